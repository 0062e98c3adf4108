"""``trace.json``: what Perfetto and chrome://tracing demand of a trace."""

from __future__ import annotations

from typing import Any

from summon_testcase.reports.trace import trace


def complaints(made: dict[str, Any]) -> list[str]:
    """What is wrong with a trace: tracks without names, times that are none, spans that overlap."""
    found = []
    events = made["traceEvents"]
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    for event in events:
        track = event["pid"], event["tid"]
        if event["ph"] != "M" and track not in named:
            found.append(f"no name: {event}")
        times = [event["ts"], event.get("dur", 0)]
        if any(type(time) is not int or time < 0 for time in times):
            found.append(f"no microseconds: {event}")
        if event["ph"] not in "MXi":
            found.append(f"unknown: {event}")
    for track in named:
        spans = [e for e in events if (e["pid"], e["tid"]) == track and e["ph"] == "X"]
        around: list[int] = []
        for span in sorted(spans, key=lambda e: (e["ts"], -e["dur"])):
            end = span["ts"] + span["dur"]
            while around and around[-1] <= span["ts"]:
                around.pop()
            if around and end > around[-1]:
                found.append(f"reaches out of the one around it: {span}")
            around.append(end)
    return found


def life(**more: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("ready", "failed", "stopping", "stopped", "died", "killed"))
    facts = {"starting": 1.0, "paused": [], "log": "", "pid": 1, "looks": 1}
    return {**nothing, **facts, "refusal": "", "error": "", "how": "", **more}


def report(*lives: dict[str, Any], tests: tuple[tuple[float, float | None], ...] = ()) -> Any:
    service = {"id": "p1.1", "process": "p1", "owner": "ShopTest", "name": "web", "lives": lives}
    facts = {"outcome": "", "message": "", "process": "p1", "name": "test"}
    return {
        "processes": [{"id": "p1", "pid": 7, "label": "gw0", "until": 9.5}],
        "services": [{**service, "resets": [[2.0, 0.1]], "restarts": [[4.5, "it had died"]]}],
        "tests": [{**facts, "began": began, "ended": ended} for began, ended in tests],
    }


def test_lives_pauses_and_deaths() -> None:
    died = {"at": 4.25, "how": "was killed by SIGKILL", "when": "during a test"}
    first = life(ready=1.5, paused=[[2.0, 3.0], [4.0, None]], stopping=4.3, stopped=4.4, died=died)
    made = trace(report(first, life(starting=4.6, ready=5.0)))
    assert complaints(made) == []
    spans = [(e["name"], e["ts"], e["dur"]) for e in made["traceEvents"] if e["ph"] == "X"]
    assert spans == [
        ("web", 1_000_000, 3_400_000),
        ("starting", 1_000_000, 500_000),
        ("paused", 2_000_000, 1_000_000),
        ("paused", 4_000_000, 400_000),
        ("stopping", 4_300_000, 100_000),
        ("web", 4_600_000, 4_900_000),
        ("starting", 4_600_000, 400_000),
    ]
    instants = [e["name"] for e in made["traceEvents"] if e["ph"] == "i"]
    assert instants == ["died: was killed by SIGKILL", "reset", "restart"]


def test_tests_that_overlap_in_threads_still_nest() -> None:
    made = trace(report(tests=((1.0, 3.0), (2.0, 4.0), (5.0, None))))
    assert complaints(made) == []
    assert [e["dur"] for e in made["traceEvents"] if e["ph"] == "X"] == [
        2_000_000,
        1_000_000,
        4_500_000,
    ]


def test_the_check_sees_what_is_wrong() -> None:
    made = trace(report(tests=((1.0, 3.0),)))
    (span,) = (e for e in made["traceEvents"] if e["ph"] == "X")
    bad = [{**span, "ts": 2_000_000}, {**span, "ts": 0.5}, {**span, "tid": 99}]
    for event in bad:
        assert complaints({"traceEvents": [*made["traceEvents"], event]}) != []
