"""Commands about stacks that run: ``down``, ``ps``, ``logs``, ``restart`` and ``wait``."""

from __future__ import annotations

import argparse
import json
import math
import sys
from contextlib import closing

from ..errors import SummonError
from ..foreign import let_through
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Pause, wait
from ..stacks import registry
from ..stacks.client import Client
from ..stacks.registry import NoStack, Stack
from ..unpatched import os, time
from . import screen
from .commands import Parsers
from .target import UsageError

#: seconds between looks at what another process does
_OFTEN = 0.05
#: seconds that a stack may take to go down
_DOWN = 300.0


def add(parsers: Parsers) -> None:
    """Add the commands."""
    which = "the stack, or its pid; without it, the only one that runs in this directory"
    down = parsers.add(
        "down",
        "stop a stack that runs",
        "Stops a stack that runs, in this terminal, another one, or the background.",
        "example:\n  summon down\n",
        _down,
    )
    down.add_argument("target", metavar="TARGET", nargs="?", default="", help=which)
    ps = parsers.add(
        "ps",
        "list the services that run",
        "Lists the stacks that run in this directory, and their services. In a command of summon "
        "run that is the stack that it runs in.",
        "examples:\n  summon ps\n  summon ps --json | jq '.[].services.db.url'\n",
        _ps,
    )
    ps.add_argument(
        "target", metavar="TARGET", nargs="?", default="", help="only this stack, or its pid"
    )
    ps.add_argument("--json", action="store_true", help="all that is known, for programs")
    ps.add_argument("-a", "--all", action="store_true", help="those of other directories, too")
    logs = parsers.add(
        "logs",
        "show what services have written",
        "Shows what the services of a stack have written since they were started.",
        "examples:\n  summon logs web\n  summon logs -f\n",
        _logs,
    )
    logs.add_argument("names", metavar="NAME", nargs="*", help="only these services")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    restart = parsers.add(
        "restart",
        "restart a service of a stack that runs",
        "Stops services and starts them again, with the same ports, directories and data.",
        "examples:\n  summon restart web\n  summon restart db --cascade\n",
        _restart,
    )
    restart.add_argument("names", metavar="NAME", nargs="+", help="the services")
    restart.add_argument(
        "--cascade", action="store_true", help="restart those that refer to them, too"
    )
    for parser in (logs, restart):
        parser.add_argument("--target", metavar="TARGET", default="", help=which)
    until = parsers.add(
        "wait",
        "wait until a stack is ready",
        "Waits until a stack is up, and all its services are ready.",
        "example:\n  summon up test_shop.py & summon wait --timeout 30 && make smoke-test\n",
        _wait,
    )
    until.add_argument("target", metavar="TARGET", nargs="?", default="", help=which)
    until.add_argument(
        "--timeout", type=_seconds, default=60, metavar="SECONDS", help="default: 60; inf: for ever"
    )


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        let_through(error)
        number = math.nan
    if not number >= 0:  # also for nan, which no time is ever after
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, such as 30")
    return number


def _down(options: argparse.Namespace) -> int:
    stack = registry.find(options.target)
    deadline = Deadline(_DOWN)
    with Client(stack) as client:
        client.ask("down", patience=_DOWN)
    while stack.lives():
        if deadline.expired():
            raise SummonError(f"{stack} is not down after {_DOWN:g} s")
        wait(Pause((), time.monotonic() + 0.01))
    screen.say(f"{stack} is down")
    return os.EX_OK


def _ps(options: argparse.Namespace) -> int:
    named = options.target
    if options.all:
        stacks = [s for s in registry.running() if not named or s.is_meant_by(named)]
    else:
        stacks = registry.meant(named)
    if options.json:
        screen.say(json.dumps([_up_to_date(s).facts for s in stacks], indent=2))
        return os.EX_OK if stacks else 1
    # if there is none, find() says what runs elsewhere
    for stack in map(_up_to_date, stacks or [registry.find(named)]):
        screen.say(f"{stack}: {stack.state}")
        screen.put(screen.services(stack.services, states=True), sys.stdout)
    return os.EX_OK


def _up_to_date(stack: Stack) -> Stack:
    """What the owner tells now, or has told last if it does not answer."""
    try:
        with Client(stack) as client:
            return Stack(stack.path, client.ask("describe", patience=5)["stack"])
    except SummonError as error:
        let_through(error)
        return stack


def _logs(options: argparse.Namespace) -> int:
    stack = _up_to_date(registry.find(options.target))
    while stack.state == "starting" and not stack.services and stack.lives():
        wait(Pause((), time.monotonic() + _OFTEN))  # it has only just begun
        stack = _read_again(stack)
    for name in options.names:
        if name not in stack.services:
            raise UsageError(f"there is no service {name!r}: there are {', '.join(stack.services)}")
    names = options.names or list(stack.services)
    with closing(screen.Following(screen.Screen(names, sys.stdout))) as following:
        following.look(_paths(stack, names))
        while options.follow and stack.lives():
            wait(Pause((), time.monotonic() + _OFTEN))
            stack = _read_again(stack)
            following.look(_paths(stack, names))
        following.finish()
    return os.EX_OK


def _read_again(stack: Stack) -> Stack:
    """What its file tells now; while it starts, that does not tell of each log yet."""
    stack = registry.read(stack.path) or stack
    return _up_to_date(stack) if stack.state == "starting" else stack


def _paths(stack: Stack, names: list[str]) -> dict[str, str]:
    facts = {name: stack.services[name] for name in names}
    return {name: each["log"] for name, each in facts.items() if "log" in each}


def _restart(options: argparse.Namespace) -> int:
    with Client(registry.find(options.target)) as client:
        for name in options.names:
            client.ask("restart", service=name, cascade=options.cascade)
            screen.say(f"{name} was restarted")
    return os.EX_OK


def _wait(options: argparse.Namespace) -> int:
    deadline = Deadline(options.timeout)
    while True:
        try:
            stack = _up_to_date(registry.find(options.target))
            missing = [
                f"{name} is {facts['state']}"
                for name, facts in stack.services.items()
                if facts["state"] not in ("running", "done")
            ]
            if stack.state == "running" and not missing:
                return os.EX_OK
            reason = ", ".join(missing)
            if stack.state != "running":
                reason = f"{stack} is {stack.state}" + (f": {reason}" if reason else "")
        except NoStack as error:
            reason = error.message
        if deadline.expired():
            raise SummonError(f"not ready within {options.timeout:g} s: {reason}")
        wait(Pause((), min(deadline.at, time.monotonic() + _OFTEN)))
