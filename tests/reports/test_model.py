"""From events to ``report.json``: what is recorded, what is read again, what logs show."""

from __future__ import annotations

import json
import os
import shutil
import time
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from summon_testcase import events
from summon_testcase.reports.directory import Directory
from summon_testcase.reports.model import report
from summon_testcase.reports.recorder import Recorder
from summon_testcase.reports.trace import trace

from .test_trace import complaints

NASTY = b"hello\n\x1b[32mgreen\x1b[0m </script>\xff\xfe\x00\n"


class Backup(events.Event):
    """An event of a user, with fields that mean something else in a report."""

    sizes: list[int]
    event: str = "end"
    number: int = 1


class ServiceTime(events.ServiceEvent):
    """Not one of ours, though it is called as these are."""


class end(events.Event):
    """As the last line of a part is called."""


class TestBegan(events.Event):
    """Has the name of one of ours, and not its fields."""


class Screenshot(events.Note):
    """A note with more in it."""

    window: str


class ModelTest(unittest.TestCase):
    """One process, whose events are written here one by one."""

    def setUp(self):
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.directory = Directory(folder.name)
        logs = Path(folder.name, "logs")
        logs.mkdir()
        self.directory.join(logs=str(logs))
        self.recorder = Recorder(self.directory, str(logs))
        self.who = {"service": "web", "owner": "ShopTest", "number": 1}
        self.log = logs / "web-1.log"
        self.log.write_bytes(b"")

    def tell(self, kind: type[events.Event], /, **facts: Any) -> None:
        if issubclass(kind, events.ServiceEvent):
            facts |= self.who
        self.recorder(kind(**facts))

    def write(self, data: bytes) -> None:
        with self.log.open("ab") as file:
            file.write(data)

    def start(self):
        self.tell(events.ServiceStarting, kind="Web", scope="class", after=("redis",))
        self.tell(events.ServiceSpawned, pid=12, command=("web",), cwd="/", log=str(self.log))
        self.write(NASTY)
        self.tell(events.ServiceReady, after=0.5, looks=3, refusal="refused", url="http://web")

    def run_test(self, name: str, outcome: str, wrote: bytes) -> None:
        self.tell(events.TestBegan, test=name, services=("web",))
        self.write(wrote)
        self.tell(events.TestEnded, test=name, outcome=outcome)

    def life(self, number: int = -1) -> dict[str, Any]:
        (service,) = report(self.directory)["services"]
        return dict(service["lives"][number])

    def wrote_during(self, name: str) -> str:
        made = report(self.directory)
        (test,) = (test for test in made["tests"] if test["name"] == name)
        (life,) = made["services"][0]["lives"]
        sizes = dict(life["marks"])
        begin, end = (
            max((s for t, s in sizes.items() if t <= test[when]), default=0)
            for when in ("began", "ended")
        )
        return "".join(text for offset, text in life["excerpt"] if begin <= offset < end)

    def test_tells_the_life_of_a_service(self):
        self.start()
        self.tell(events.ServicePaused)
        self.tell(events.ServiceResumed)
        self.tell(events.ServiceReset, after=0.1)
        self.tell(events.ServiceDied, how="was killed by SIGKILL", when="during test_it")
        self.tell(events.ServiceRestarted, reason="it had died")
        self.start()
        self.tell(events.ServiceStopping)
        self.tell(events.ServiceStopped, after=0.2, how="exited with status 0")
        (service,) = report(self.directory)["services"]
        self.assertEqual(service["id"], "p1.1")
        self.assertEqual((service["owner"], service["refs"]), ("ShopTest", ["redis"]))
        self.assertEqual((service["url"], service["command"]), ("http://web", ["web"]))
        self.assertEqual((len(service["resets"]), len(service["restarts"])), (1, 1))
        first, second = service["lives"]
        self.assertEqual(first["died"]["how"], "was killed by SIGKILL")
        self.assertEqual(
            (first["looks"], first["refusal"], first["log"]), (3, "refused", "logs/web-1.log")
        )
        ((since, until),) = first["paused"]
        self.assertLess(first["ready"], since)
        self.assertLess(since, until)
        self.assertLess(second["stopping"], second["stopped"])
        self.assertEqual(second["how"], "exited with status 0")

    def test_a_death_that_is_noticed_late(self):
        """It is older than what was told before it, and what was written since is no matter."""
        self.start()
        self.tell(events.TestBegan, test="it", services=("web",))
        moment = time.monotonic()
        self.write(b"during\n")
        self.tell(events.ServiceReset, after=0.1)
        self.write(b"at last\n")
        self.tell(events.ServiceDied, at=moment, how="was killed by SIGKILL", when="during it")
        self.tell(events.TestEnded, test="it", outcome="failed")
        self.tell(events.ServiceStopped)
        life = self.life()
        ((reset, _),) = report(self.directory)["services"][0]["resets"]
        self.assertLess(life["ready"], life["died"]["at"])
        self.assertLess(life["died"]["at"], reset)
        self.assertEqual(life["marks"], sorted(life["marks"]))
        self.assertEqual(self.wrote_during("it"), "during\nat last\n")
        self.assertEqual(complaints(trace(report(self.directory))), [])

    def test_shows_all_that_was_written_during_a_test_that_failed(self):
        self.start()
        self.run_test("passes", "passed", b"before\n" * 10_000)
        self.run_test("fails", "failed", b"during\n" * 10_000)
        self.run_test("passes too", "passed", b"after\n")
        self.assertEqual(self.wrote_during("fails"), "during\n" * 10_000)
        self.assertEqual(self.wrote_during("passes too"), "after\n")
        some = self.wrote_during("passes")
        self.assertTrue(some.startswith("before\n") and some.endswith("before\n"))
        self.assertLess(len(some), 3000)

    def test_bytes_of_any_kind_become_text(self):
        self.start()
        offset, text = self.life()["excerpt"][0]
        self.assertEqual((offset, text), (0, "hello\ngreen </script>\ufffd\ufffd\\x00\n"))

    def test_a_report_that_was_renamed_shows_its_own_logs(self):
        """Another run may have written a report in its former place meanwhile."""
        self.start()
        now = Path(self.directory.path).rename(f"{self.directory.path}-then")
        self.addCleanup(shutil.rmtree, now)
        self.log.parent.mkdir(parents=True)
        self.log.write_bytes(b"of another run\n")
        (service,) = report(Directory(str(now)))["services"]
        (life,) = service["lives"]
        self.assertEqual(life["log"], "logs/web-1.log")
        self.assertTrue(life["excerpt"][0][1].startswith("hello"), life["excerpt"])

    def test_logs_that_are_kept_elsewhere_are_found(self):
        """By ``SUMMON_LOGS``: elsewhere, or in the directory of the report itself."""
        for kept in ("..", "."):
            self.directory = Directory(os.path.join(self.log.parent.parent, f"report{kept}"))
            logs = os.path.normpath(os.path.join(self.directory.path, kept))
            self.directory.join(logs=logs)
            self.recorder = Recorder(self.directory, logs)
            self.log = Path(logs, f"web{kept}.log")
            self.log.write_bytes(b"")
            self.start()
            life = self.life()
            self.assertEqual(life["log"], os.path.join(kept, self.log.name).removeprefix("./"))
            self.assertTrue(life["excerpt"])

    def test_logs_never_take_more_than_their_room(self):
        self.start()
        for number in range(50):
            self.run_test(f"fails {number}", "failed", b"\xff" * 50_000)
        self.assertLess(len(json.dumps(report(self.directory))), 4_100_000)

    def test_a_line_that_is_cut_off_is_left_out(self):
        self.start()
        self.tell(events.ServiceStopped, after=0.2)
        part = Path(self.directory.part)
        for cut in range(1, 400, 7):
            part.write_bytes(part.read_bytes()[:-7])
            self.assertEqual(report(self.directory)["format"], 1, cut)
        part.write_bytes(b"")
        self.assertEqual(report(self.directory)["processes"], [])

    def test_keeps_a_copy_of_an_attachment(self):
        picture = Path(self.directory.path, "shot.png")
        picture.write_bytes(b"picture")
        self.tell(events.Note, text="as it was", service="web", attachment=str(picture))
        (note,) = report(self.directory)["notes"]
        self.assertEqual(note["attachment"], "attachments/shot-1.png")
        copy = Path(self.directory.path, note["attachment"])
        self.assertEqual(copy.read_bytes(), b"picture")

    def test_events_of_a_user_are_no_events_of_ours(self):
        self.start()
        before = report(self.directory)
        self.tell(Backup, sizes=[1, 2])
        self.tell(ServiceTime)
        self.tell(end)
        self.tell(TestBegan)
        after = report(self.directory)
        self.assertEqual(after["services"], before["services"])
        self.assertEqual((after["tests"], after["processes"][0]["ended"]), ([], None))
        self.tell(Screenshot, text="as it was", window="left")
        (note,) = report(self.directory)["notes"]
        self.assertEqual(note["text"], "as it was")

    def test_names_an_attachment_that_cannot_be_copied(self):
        for path in (f"{self.directory.path}/none.png", self.directory.path):
            self.tell(events.Note, text="as it was", attachment=path)
            self.assertEqual(report(self.directory)["notes"][-1]["attachment"], path)
        self.assertEqual(list(Path(self.directory.path, "attachments").iterdir()), [])


if __name__ == "__main__":
    unittest.main()
