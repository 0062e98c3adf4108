"""Reading a log: its last lines, and what cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from summon_testcase import SummonError
from summon_testcase.output.excerpt import excerpt
from summon_testcase.output.log import Log

from ..programs import run
from ..samples import eventually, marked


def log_of(path: Path, *lines: str) -> Log:
    path.write_text("\n".join(lines))
    return Log(str(path), "web")


class TestTail:
    @pytest.mark.parametrize("end", ["", "\n"], ids=["open", "ended"])
    def test_many_lines(self, end: str, tmp_path: Path) -> None:
        """There are as many as asked for, however long they are together, and all are whole."""
        lines = [f"{number} {'x' * 40}" for number in range(9000)]
        log = log_of(tmp_path / "log", "\n".join(lines) + end)
        for count in (1, 3000, 8999, 9000, 10_000):
            assert log.tail(count) == lines[-count:]

    def test_a_long_line(self, tmp_path: Path) -> None:
        """It is whole, with its beginning."""
        line = f"begin {'y' * 200_000} end"
        log = log_of(tmp_path / "log", "before", line, "after", "")
        assert log.tail(2) == [line, "after"]
        assert log.tail(3) == ["before", line, "after"]

    def test_an_enormous_line(self, tmp_path: Path) -> None:
        """A line without end does not take more memory the longer it is."""
        log = log_of(tmp_path / "log", f"begin {'x' * (2 << 20)} end")
        assert log.tail(1)[0].startswith("begin ")
        log = log_of(tmp_path / "log", f"begin {'y' * (32 << 20)} end", "after", "")
        assert log.tail(1) == ["after"]
        line, after = log.tail(5)
        assert set(line[:-4]) == {"y"} and 2 << 20 <= len(line) <= 8 << 20 and after == "after"


class TestWhatCannotBeRead:
    def test_no_file(self, tmp_path: Path) -> None:
        """Before the start, and after the files are removed, there is no output."""
        log = Log(str(tmp_path / "log"))
        assert (log.size(), log.take(0, 100), log.tail(5)) == (0, (b"", 0), [])

    def test_what_is_no_file(self, tmp_path: Path) -> None:
        """A log that is there, but cannot be read, is not taken for an empty one."""
        (tmp_path / "directory").mkdir()
        log = Log(str(tmp_path / "directory"), "web")
        with pytest.raises(SummonError, match=r"^web: its log cannot be read: Is a directory$"):
            log.take(0, 100)
        below = Log(str(log_of(tmp_path / "file").path + "/log"), "web")
        for ask in (below.size, lambda: below.tail(5)):
            with pytest.raises(SummonError, match="its log cannot be read: Not a directory"):
                ask()

    def test_a_link(self, tmp_path: Path) -> None:
        """A link is not followed: the keeper has not made it."""
        victim, link = log_of(tmp_path / "victim", "precious"), tmp_path / "log"
        link.symlink_to(victim.path)
        with pytest.raises(SummonError, match="its log cannot be read: there is a link at"):
            Log(str(link)).take(0, 100)

    def test_a_report(self, tmp_path: Path) -> None:
        """What shows the output says instead why there is none."""
        (line,) = excerpt(Log(str(tmp_path), "web"), 0)
        assert line.text == "[web: its log cannot be read: Is a directory]"

    def test_no_descriptor_is_left(self, mark: str, place: Path) -> None:
        """A test that has leaked all of them does not pass; reports and deaths are told still."""
        source = """
import resource, unittest
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

def leak():
    try:
        while True:
            leaked.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass

class Case(SummonTestCase):
    script = 'echo up; read x; echo ERROR; read x; exit 3'
    web = OutputCoordinatedExecutor(["sh", "-c", script, MARK], "up")

    @classmethod
    def tearDownClass(cls):
        cls.addClassCleanup(lambda: [os.close(fd) for fd in leaked])

    def test_1_passes(self):
        self.web.sendline()
        self.web.wait_for_output("ERROR")
        leak()
        self.assertNoOutput(self.web, "ERROR")

    def test_2_fails(self):
        self.fail("on purpose")

    def test_3_a_death(self):
        self.web.sendline()
        eventually(lambda: not self.web.running(), "its end is seen")

leaked = []
result = unittest.TestResult()
unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
said = "web: its log cannot be read: Too many open files"
(passes, death), (fails,) = result.errors, result.failures
for (_, text), words in [
    (passes, [f"SummonError: {said}", f"    | [{said}]"]),
    (fails, ["on purpose", f"    | [{said}]"]),
    (death, ["web: exited with status 3 during", f"    | [{said}]"]),
]:
    for word in words:
        assert word in text, text
"""
        assert run(source, mark, place) == []
        eventually(lambda: marked(mark) == [], "all is gone")
