"""Makes one description of what has happened of the parts that processes have written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..unpatched import os
from .directory import Directory, read
from .excerpts import add_excerpts

Facts = dict[str, Any]

#: outcomes of tests whose output the report shows whole
BAD = frozenset({"failed", "error", "unexpected success"})


def report(directory: Directory) -> Facts:
    """What has happened, in the form of ``report.json``.  All times are seconds since its epoch.

    :param directory: the one whose parts are read; parts of processes that were killed, and lines
        that are cut off, count as far as they go.
    """
    parts = [lines for path in directory.all_parts() if (lines := list(read(path)))]
    parts = sorted((p for p in parts if "pid" in p[0]), key=lambda lines: float(lines[0]["at"]))
    start = min((float(lines[0]["at"]) for lines in parts), default=0.0)
    processes = [
        _Process(f"p{number}", lines, start, directory.path)
        for number, lines in enumerate(parts, 1)
    ]
    heads = [lines[0] for lines in parts]
    made: Facts = {
        "format": 1,
        "epoch": heads[0]["unix"] if heads else 0.0,
        "ended": max((process.facts["until"] for process in processes), default=0.0),
        "machine": heads[0].get("machine", {}) if heads else {},
        "versions": heads[0].get("versions", {}) if heads else {},
        "processes": [process.facts for process in processes],
        "services": [facts for process in processes for facts in process.services.values()],
        "tests": [facts for process in processes for facts in process.tests],
        "notes": [facts for process in processes for facts in process.notes],
        "warnings": [facts for process in processes for facts in process.warnings],
    }
    add_excerpts(made, {k: v for process in processes for k, v in process.logs.items()}, BAD)
    return made


class _Process:
    """What one process has written.

    :param lines: of its part; the first one is about the process itself.
    :param start: the moment of the monotonic clock at which the report begins.
    :param folder: the directory of the report.
    """

    def __init__(self, name: str, lines: list[Facts], start: float, folder: str) -> None:
        head = lines[0]
        self._start, self._folder = start, folder
        self._kept = os.path.normpath(os.path.join(folder, head.get("logs", "")))
        self.facts: Facts = {
            "id": name,
            "pid": head["pid"],
            "label": head.get("label", "main"),
            "argv": head.get("argv", []),
            "began": self._time(head["at"]),
            "ended": None,
            "until": self._time(max(float(line["at"]) for line in lines)),
            "python": head.get("python", ""),
            "platform": head.get("platform", ""),
            "cwd": head.get("cwd", ""),
        }
        #: by number, and by name for those that have the number 0
        self.services: dict[tuple[int, str], Facts] = {}
        self.tests: list[Facts] = []
        self.notes: list[Facts] = []
        self.warnings: list[Facts] = []
        #: by the identity of a life, the path of its log, which exists if it is kept, or if the
        #: service runs
        self.logs: dict[int, str] = {}
        for line in lines[1:]:
            self._take(line)
        if head.get("forked") and self.facts["ended"] is None:
            # most forked children end by os._exit(), which nobody notices
            self.facts["ended"] = self.facts["until"]

    def _time(self, at: float) -> float:
        return round(float(at) - self._start, 6)

    def _take(self, line: Facts) -> None:
        at, event = self._time(line["at"]), line.get("event", "")
        if event == "end":
            self.facts["ended"] = at
        elif event.startswith("Service"):
            known: Callable[[Facts, float, Facts], None] | None = getattr(
                self, f"_on_{event.removeprefix('Service').lower()}", None
            )
            if known is not None:
                known(self._service(line), at, line)
        elif event == "TestBegan":
            self.tests.append(
                {
                    "id": f"{self.facts['id']}.t{len(self.tests) + 1}",
                    "process": self.facts["id"],
                    "name": line["test"],
                    "began": at,
                    "ended": None,
                    "outcome": "",
                    "message": "",
                    "services": self._named(line.get("services", ())),
                }
            )
        elif event == "TestEnded":
            for test in reversed(self.tests):
                if test["name"] == line["test"] and test["ended"] is None:
                    test.update(ended=at, outcome=line["outcome"], message=line.get("message", ""))
                    break
        elif event in ("Note", "Warned"):
            facts = {"at": at, "process": self.facts["id"], "text": line.get("text", "")}
            facts["service"] = line.get("service", "")
            if event == "Note":
                self.notes.append({**facts, "attachment": line.get("attachment", "")})
            else:
                self.warnings.append(facts)
        for number, size in line.get("sizes", {}).items():
            for life in self.services.get((int(number), ""), {}).get("lives", [])[-1:]:
                life["marks"].append([at, size])

    def _named(self, names: Iterable[str]) -> list[str]:
        """The ids of the services that have these names at the moment."""
        last = {service["name"]: service["id"] for service in self.services.values()}
        return [last[name] for name in names if name in last]

    def _service(self, line: Facts) -> Facts:
        number = line["number"]
        key = number, "" if number else line.get("service", "")
        if key not in self.services:
            self.services[key] = {
                "id": f"{self.facts['id']}.{key[1] or number}",
                "process": self.facts["id"],
                "owner": line.get("owner", ""),
                "name": line.get("service", ""),
                "number": number,
                "kind": "",
                "scope": "",
                "command": [],
                "cwd": "",
                "url": "",
                "refs": [],
                "lives": [],
                "resets": [],
                "restarts": [],
            }
        return self.services[key]

    def _life(self, service: Facts, at: float, begins: bool = False) -> Facts:
        """The life that an event is about: the last one.

        :param begins: whether a new one begins.
        """
        lives = service["lives"]
        if begins or not lives:
            lives.append(
                {
                    **dict.fromkeys(("spawned", "ready", "failed", "stopping", "stopped")),
                    "starting": at,
                    "pid": 0,
                    "attached": False,
                    "looks": 0,
                    **dict.fromkeys(("refusal", "error", "how"), ""),
                    "died": None,
                    "killed": None,
                    "paused": [],
                    "log": "",
                    "marks": [],
                    "excerpt": [],
                }
            )
        life: Facts = lives[-1]
        return life

    # -- one for each kind of event, called by its name --

    def _on_starting(self, service: Facts, at: float, line: Facts) -> None:
        service.update(kind=line.get("kind", ""), scope=line.get("scope", ""))
        service["refs"] = list(line.get("after", ()))
        self._life(service, at, begins=True)

    def _on_spawned(self, service: Facts, at: float, line: Facts) -> None:
        last = service["lives"][-1] if service["lives"] else {}
        life = self._life(service, at, begins=last.get("spawned") is not None)
        life.update(spawned=at, pid=line["pid"], attached=line.get("attached", False))
        service.update(command=list(line.get("command", ())), cwd=line.get("cwd", ""))
        # what is in the directory of the report is named relative to it, which may have been moved
        path = os.path.join(self._folder, line["log"]) if line.get("log") else ""
        self.logs[id(life)] = path
        if path.startswith(self._kept + os.sep):
            life["log"] = os.path.relpath(path, self._folder)

    def _on_ready(self, service: Facts, at: float, line: Facts) -> None:
        life = self._life(service, at)
        life.update(ready=at, looks=line.get("looks", 0), refusal=line.get("refusal", ""))
        service["url"] = line.get("url", "") or service["url"]

    def _on_waiting(self, service: Facts, at: float, line: Facts) -> None:
        self._life(service, at)["refusal"] = line.get("refusal", "")

    def _on_failed(self, service: Facts, at: float, line: Facts) -> None:
        life = self._life(service, at)
        facts = {key: line.get(key) or life[key] for key in ("error", "looks", "refusal", "how")}
        life.update(failed=at, **facts)

    def _on_paused(self, service: Facts, at: float, line: Facts) -> None:
        self._life(service, at)["paused"].append([at, None])

    def _on_resumed(self, service: Facts, at: float, line: Facts) -> None:
        for pause in self._life(service, at)["paused"][-1:]:
            pause[1] = at

    def _on_reset(self, service: Facts, at: float, line: Facts) -> None:
        service["resets"].append([at, line.get("after", 0.0)])

    def _on_died(self, service: Facts, at: float, line: Facts) -> None:
        self._life(service, at)["died"] = {
            "at": at,
            "how": line.get("how", ""),
            "when": line.get("when", ""),
        }

    def _on_restarted(self, service: Facts, at: float, line: Facts) -> None:
        service["restarts"].append([at, line.get("reason", "")])

    def _on_stopping(self, service: Facts, at: float, line: Facts) -> None:
        self._life(service, at)["stopping"] = at

    def _on_stopped(self, service: Facts, at: float, line: Facts) -> None:
        life = service["lives"][-1] if service["lives"] else self._life(service, at)
        life.update(stopped=at, how=line.get("how", ""), error=line.get("error", ""))

    def _on_killed(self, service: Facts, at: float, line: Facts) -> None:
        self._life(service, at)["killed"] = {"at": at, "signal": line.get("signal", "")}
