"""Makes ``trace.json``, which Perfetto and chrome://tracing show: Chrome's trace format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Facts = dict[str, Any]

#: the track of a process that has its tests; those of services follow
_TESTS = 1


def trace(report: Facts) -> Facts:
    """The events of a trace: a process per process, a track for its tests and for each service.

    :param report: what is in ``report.json``.
    """
    return {"displayTimeUnit": "ms", "traceEvents": list(_events(report))}


def _events(report: Facts) -> Iterator[Facts]:
    tracks: dict[str, tuple[int, int]] = {}
    until = {process["id"]: process["until"] for process in report["processes"]}
    pids = {process["id"]: n for n, process in enumerate(report["processes"], 1)}
    for process in report["processes"]:
        pid = pids[process["id"]]
        yield _named("process_name", pid, 0, f"{process['label']} (pid {process['pid']})")
        yield _named("thread_name", pid, _TESTS, "tests")
    for number, service in enumerate(report["services"], _TESTS + 1):
        track = tracks[service["id"]] = pids[service["process"]], number
        name = f"{service['owner']}.{service['name']}" if service["owner"] else service["name"]
        yield _named("thread_name", *track, name)
        begins = [life["starting"] for life in service["lives"]]
        ends = [*begins[1:], until[service["process"]]]
        for life, end in zip(service["lives"], ends, strict=False):
            yield from _of_life(service["name"], life, end, track)
        for at, seconds in service["resets"]:
            yield _instant("reset", at, track, {"seconds": seconds})
        for at, reason in service["restarts"]:
            yield _instant("restart", at, track, {"reason": reason})
    for process in report["processes"]:
        track = pids[process["id"]], _TESTS
        tests = [test for test in report["tests"] if test["process"] == process["id"]]
        spans = [
            (
                test["name"],
                test["began"],
                process["until"] if test["ended"] is None else test["ended"],
                {"outcome": test["outcome"], "message": test["message"]},
            )
            for test in tests
        ]
        yield from _nested(spans, track)


def _of_life(name: str, life: Facts, until: float, track: tuple[int, int]) -> Iterator[Facts]:
    ends = [life[key] for key in ("stopped", "failed") if life[key] is not None]
    end = min([*ends, until]) if ends else until
    spans = [(name, life["starting"], end, {"pid": life["pid"], "log": life["log"]})]
    ready = life["ready"]
    if ready is not None:
        facts = {"looks": life["looks"], "last refusal": life["refusal"]}
        spans.append(("starting", life["starting"], ready, facts))
    for since, to in life["paused"]:
        spans.append(("paused", since, end if to is None else to, {}))
    if life["stopping"] is not None:
        spans.append(("stopping", life["stopping"], end, {"how": life["how"]}))
    yield from _nested(spans, track)
    if life["failed"] is not None:
        yield _instant("failed", life["failed"], track, {"error": life["error"]})
    if life["died"]:
        yield _instant(f"died: {life['died']['how']}", life["died"]["at"], track, life["died"])
    if life["killed"]:
        signal = life["killed"]["signal"]
        yield _instant(f"killed by {signal}", life["killed"]["at"], track, life["killed"])


def _nested(
    spans: Iterable[tuple[str, float, float, Facts]], track: tuple[int, int]
) -> Iterator[Facts]:
    """Complete events; one that would reach out of the one around it ends with that."""
    open_until: list[int] = []
    for name, since, until, facts in sorted(spans, key=lambda span: (span[1], -span[2])):
        begin, end = _microseconds(since), max(_microseconds(since), _microseconds(until))
        while open_until and open_until[-1] <= begin:
            open_until.pop()
        end = min([end, *open_until[-1:]])
        open_until.append(end)
        yield {
            **_at(begin, track),
            "ph": "X",
            "name": name,
            "dur": end - begin,
            "args": facts,
        }


def _instant(name: str, at: float, track: tuple[int, int], facts: Facts) -> Facts:
    return {**_at(_microseconds(at), track), "ph": "i", "name": name, "s": "t", "args": facts}


def _named(what: str, pid: int, tid: int, name: str) -> Facts:
    return {**_at(0, (pid, tid)), "ph": "M", "name": what, "args": {"name": name}}


def _at(moment: int, track: tuple[int, int]) -> Facts:
    return {"ts": moment, "pid": track[0], "tid": track[1], "cat": "summon_testcase"}


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)
