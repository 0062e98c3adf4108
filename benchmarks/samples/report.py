"""A made-up run of any size, as ``report.json`` has it: a shop's tests in many processes."""

from __future__ import annotations

import random
from typing import Any

Facts = dict[str, Any]

#: name, kind, seconds to be ready, what it waits for, a line that it writes
KINDS = (
    ("postgres", "PostgreSQL", 0.9, (), "LOG:  statement: SELECT * FROM orders WHERE id = {}"),
    ("redis", "Redis", 0.08, (), "1:M * Background saving started by pid {}"),
    ("mail", "SMTP", 0.3, (), "queued message {} for café@example.org"),
    ("migrate", "SimpleExecutor", 0.7, ("postgres",), "Applying shop.{:04}_more_columns... OK"),
    ("worker", "Celery", 1.1, ("redis", "migrate"), "Task shop.tasks.bill[{}] succeeded in 0.01s"),
    ("web", "WSGI", 0.5, ("redis", "migrate", "mail"), '"POST /orders/{} HTTP/1.1" 201 17'),
    ("nginx", "Nginx", 0.1, ("web",), "GET /orders/{} 200 0.004"),
)
CLASSES = ("ShopTest", "CartTest", "SearchTest", "BillTest", "StockTest")
VERBS = ("buys", "pays", "returns", "finds", "counts", "forgets", "mails", "bills")
THINGS = ("one_tea", "by_card", "what_was_sold_out", "nothing", "a_very_long_basket_of_many_teas")
#: what a log may contain: colours, controls, bytes that are no text, markup, text turned around
STRANGE = "\x1b[31mred\x1b[0m \x00\x07\x85 \ud800 \udcff </script><b>bold</b> \u202eturned 🐘\n"


def run(tests: int = 2000, services: int = 50, processes: int = 8) -> Facts:
    """A run with deaths that fail tests, restarts, resets, pauses and strange output.

    In the first process redis is killed in the test after a third of them; the sixth process was
    killed itself, in its last test.
    """
    chance = random.Random(12)
    note = {"at": 2.5, "process": "p1", "text": "The basket", "service": ""}
    report: Facts = {
        "format": 1,
        "epoch": 1764235662.0,
        "machine": {"name": "ci-4", "cpus": 8, "memory": "16 GB"},
        "versions": {"summon_testcase": "0.3.0"},
        "processes": [],
        "services": [],
        "tests": [],
        "notes": [{**note, "attachment": "attachments/basket.png"}],
        "warnings": [{**note, "text": "web has a port that is in use", "service": "web"}],
    }

    def share(total: int, number: int) -> int:
        return total * (number + 1) // processes - total * number // processes

    for number in range(processes):
        process = {
            "id": f"p{number + 1}",
            "pid": 4000 + number,
            "label": f"gw{number}",
            "argv": ["/venv/bin/python", "-m", "pytest", "-n", "8", "tests"],
            "began": 0.05 * number,
            "ended": None,
            "python": "3.12.4",
            "platform": "Linux-6.12-x86_64",
            "cwd": "/srv/shop",
        }
        report["processes"].append(process)
        own = _services(process, chance, share(services, number))
        report["services"] += own
        at = max(service["lives"][0]["ready"] for service in own) + 0.05
        count = share(tests, number)
        for place in range(count):
            fatal = number == 0 and place == count // 3
            at = _test(report, chance, process, own, at, fatal)
        if number == 5:
            report["tests"][-1].update(ended=None, outcome="")
            continue
        for service in own[::-1]:
            service["lives"][-1].update(stopping=at, stopped=at + 0.05)
            at += 0.03
        process["ended"] = at + 0.1
    return report


def _services(process: Facts, chance: random.Random, count: int) -> list[Facts]:
    ready: dict[str, float] = {}
    made = []
    owner = CLASSES[int(process["label"][2:]) % len(CLASSES)]
    for place in range(count):
        name, kind, takes, refs, _ = KINDS[place % len(KINDS)]
        starting = max([process["began"] + 0.6, *(ready.get(ref, 0.0) for ref in refs)]) + 0.002
        ready[name] = starting + takes * chance.uniform(0.7, 1.6)
        life = _life(f"logs/{owner}/{name}-1.log", starting, ready[name])
        _write(life, f"{name} starting\n{name} ready to serve\n", ready[name])
        made.append(
            {
                "id": f"{process['id']}.{place}",
                "process": process["id"],
                "owner": owner,
                "name": name,
                "number": place,
                "kind": kind,
                "scope": "class",
                "command": [name, "--port", str(20000 + place), "--dir", f"/tmp/s-x/{name}"],
                "cwd": "/srv/shop",
                "url": "",
                "refs": list(refs),
                "lives": [life],
                "resets": [],
                "restarts": [],
            }
        )
    return made


def _life(log: str, starting: float, ready: float) -> Facts:
    return {
        **dict.fromkeys(("failed", "stopping", "stopped", "died", "killed")),
        "starting": starting,
        "spawned": starting + 0.004,
        "ready": ready,
        "pid": 5000,
        "looks": int((ready - starting) * 200),
        "refusal": "connection refused by 127.0.0.1:5432",
        "error": "",
        "how": "",
        "paused": [],
        "log": log,
        "marks": [[starting, 0]],
        "excerpt": [],
    }


def _write(life: Facts, text: str, at: float) -> None:
    """Add to its log what it has written until then."""
    if text:
        last = life["marks"][-1][1]
        life["excerpt"].append([last, text])
        life["marks"].append([round(at, 6), last + len(text.encode(errors="replace"))])


def _test(
    report: Facts,
    chance: random.Random,
    process: Facts,
    own: list[Facts],
    began: float,
    fatal: bool,
) -> float:
    """Add a test that begins then; when the next one can begin."""
    number = len(report["tests"])
    took = chance.choice((0.003, 0.01, 0.02, 0.05, 0.3)) * chance.uniform(0.5, 2) + 0.5 * fatal
    ended = began + took
    strange = number % 701 == 700
    name = f"test_{VERBS[number % 8]}_{THINGS[number % 5]}_{number}"
    outcome, message = "skipped" if number % 97 == 96 else "passed", ""
    if strange:
        outcome, message = "failed", "AssertionError: 500 != 201\n</script> \x1b[1m\x00"
    if fatal:
        outcome, message = "error", "redis was killed by SIGKILL\nConnectionError: [Errno 111]"
    for place, service in enumerate(own):
        life, line = service["lives"][-1], KINDS[place % len(KINDS)][-1]
        if number % 25 == 24 and place == 1:
            service["resets"].append([began, 0.002])
        said = [line.format(chance.randrange(9000)) + "\n"] * chance.choice((0, 0, 0, 1, 2))
        if fatal and service["name"] == "redis":
            _write(life, "".join([*said, "1:M # Out of memory\n"]), ended)
            how = {"how": "was killed by SIGKILL", "when": f"during {name}"}
            life.update(died={"at": began + 0.2, **how}, stopped=ended + 0.1)
            again = _life(life["log"].replace("-1", "-2"), ended + 0.1, ended + 0.3)
            _write(again, "redis again\n", ended + 0.3)
            service["lives"].append(again)
            service["restarts"].append([ended + 0.1, "restart=True, and it had died"])
        else:
            _write(life, "".join([*said, STRANGE if strange else ""]), ended)
        if fatal and service["name"] == "web":
            life["paused"].append([began + 0.05, began + 0.35])
    report["tests"].append(
        {
            "id": f"t{number}",
            "process": process["id"],
            "name": f"tests/test_shop.py::{CLASSES[number % 5]}::{name}",
            "began": round(began, 6),
            "ended": round(ended, 6),
            "outcome": outcome,
            "message": message,
            "services": [service["id"] for service in own],
        }
    )
    return ended + 0.001 + 0.35 * fatal
