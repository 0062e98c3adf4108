"""A stack that runs in another process: what it tells, and what can be asked of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from summon_testcase import (
    AlreadyRunning,
    InvalidArgument,
    NotRunning,
    SummonError,
)
from summon_testcase.stacks import registry
from summon_testcase.stacks.client import Client, NoAnswer
from summon_testcase.stacks.registry import NoStack, Registration, Stack
from summon_testcase.system import procfs

from ..programs import line, program, run
from ..samples import alive, eventually, kill_marked, marked, marker, status

#: brings up two servers, of which web refers to db, and tells the deaths
OWNER = """
from summon_testcase.scheduling.steps import run as take
from summon_testcase.stacks.owner import Owner
from summon_testcase.stacks.registry import Registration

def tell(name, what):
    if isinstance(what, Exception):
        say(name, str(what).partition("\\n")[0])

def server(**options):
    words = service("serves.py", "tcp", "{port}", "{tmpdir}/state", MARK)
    return TCPCoordinatedExecutor(words, **options)

group = Orchestrator({
    "db": server(env={"SECRET": "hush"}, reset=lambda e: say("reset", e.name)),
    "web": server(env={"DB": "{db.url}"}),
    "plain": Orchestrator({"nap": SimpleExecutor(service("silent.py", MARK))}),
})
group._bind({})
entry = Registration(how="up", target="shop.py:Shop", file=os.path.realpath("shop.py"), name="Shop")
owner = Owner(group, entry, restart="restart" in sys.argv, tell=tell)
try:
    take(owner.steps(lambda: say("up")))
finally:
    group._stop()
    entry.remove()
say("down")
"""

#: restarts two services that refer to each other only through others
RESTARTS = """
from summon_testcase.scheduling.steps import run as take
from summon_testcase.stacks.owner import Owner
from summon_testcase.stacks.registry import Registration

class Told(Executor):
    def start(self):
        say("start", self.name)

    def stop(self):
        say("stop", self.name)

class Front(Told):
    after = "back"

back = Orchestrator({"web": Told()}, after="db")
group = Orchestrator({"db": Told(), "back": back, "front": Front()})
group._bind({})
entry = Registration(how="up", target="x.py", file="/x.py", name="X")
owner = Owner(group, entry, tell=lambda name, what: None)

def restarts():
    say("up")
    yield from owner.restart(["db", "front"], cascade=False, reason="a change")
    say("restarted")
    owner.end()

try:
    take(owner.steps(lambda: owner.add(restarts())))
finally:
    group._stop()
    entry.remove()
"""


class Running:
    """An owner in a process of its own."""

    def __init__(self, process: object, mark: str) -> None:
        self.process, self.mark = process, mark
        self.stack = registry.find()

    def ask(self, do: str, **facts: object) -> dict:
        with Client(self.stack) as client:
            return client.ask(do, **facts)

    def service(self, name: str) -> dict:
        return self.ask("describe")["stack"]["services"][name]


@pytest.fixture(scope="module")
def here() -> Iterator[Path]:
    """The directory in which this module's stacks are found, and where they run."""
    place = Path(tempfile.mkdtemp(prefix="r"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(place))
        patch.chdir(place)
        yield place
    shutil.rmtree(place, ignore_errors=True)  # a warden may remove its files just now


@pytest.fixture(scope="module")
def owner(here: Path) -> Iterator[Running]:
    """A stack that the tests of this module leave as they have found it."""
    mark = marker()
    with program(OWNER, mark, here) as process:
        assert line(process) == ["up"]
        running = Running(process, mark)
        yield running
        assert running.ask("down") == {"ok": True}
        assert process.wait(10) == 0
    assert registry.running() == []
    assert marked(mark) == []
    kill_marked(mark)


def test_it_is_found_in_its_directory(owner: Running, here: Path) -> None:
    (stack,) = registry.running(str(here))
    assert str(stack) == f"shop.py:Shop in {here} (pid {owner.stack.pid})"
    assert registry.running("/") == []
    assert registry.find(str(here / "shop.py")).id == stack.id
    assert registry.find("shop:Shop").id == stack.id
    assert registry.find("shop.py").id == stack.id
    with pytest.raises(NoStack, match=r"no stack of other.py runs .*: what runs is shop.py:Shop"):
        registry.find("other.py")


def test_nobody_else_may_ask(owner: Running) -> None:
    for path, mode in (
        (registry.directory(), 0o700),
        (owner.stack.socket, 0o600),
        (owner.stack.path, 0o600),
    ):
        assert stat.S_IMODE(os.stat(path).st_mode) == mode


def test_it_describes_itself(owner: Running) -> None:
    facts = owner.ask("describe")["stack"]
    assert facts["state"] == "running"
    assert set(facts["services"]) == {"db", "web", "plain.nap"}
    db, web = facts["services"]["db"], facts["services"]["web"]
    assert (db["state"], db["kind"], db["after"]) == ("running", "TCPCoordinatedExecutor", [])
    assert (db["url"], db["host"]) == (f"tcp://127.0.0.1:{db['port']}", "127.0.0.1")
    assert web["after"] == ["db"]
    assert alive(db["pid"]) and Path(db["log"]).exists()
    assert "hush" not in json.dumps(facts)
    assert json.loads(Path(owner.stack.path).read_text()) == facts
    assert owner.ask("env") == {"ok": True, "env": {"db": {}, "web": {}, "plain.nap": {}}}


def test_what_is_stopped_has_no_variables(owner: Running) -> None:
    owner.ask("stop", service="db")
    assert set(owner.ask("env")["env"]) == {"web", "plain.nap"}
    owner.ask("start", service="db")
    assert set(owner.ask("env")["env"]) == {"db", "web", "plain.nap"}


def test_a_restart_keeps_the_port(owner: Running) -> None:
    before, web = owner.service("db"), owner.service("web")
    owner.ask("restart", service="db")
    after = owner.service("db")
    assert (after["port"], after["state"]) == (before["port"], "running")
    assert after["pid"] != before["pid"]
    assert owner.service("web")["pid"] == web["pid"]
    owner.ask("restart", service="db", cascade=True)
    assert owner.service("web")["pid"] != web["pid"]
    assert owner.service("plain.nap")["state"] == "running"


def test_restarts_are_in_the_order_of_the_graph(
    mark: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    said = run(RESTARTS, mark, place)
    shutil.rmtree(registry.directory())
    restarted = said[said.index("up") + 1 : said.index("restarted")]
    assert restarted == ["stop front", "stop db", "start db", "start front"]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_stopped_and_started_again(owner: Running, how: str) -> None:
    before = owner.service("web")
    owner.ask(how, service="web")
    assert owner.service("web")["state"] == "stopped"
    assert not alive(before["pid"])
    with pytest.raises(NotRunning, match="web: has no process to pause"):
        owner.ask("pause", service="web")
    owner.ask("start", service="web")
    assert owner.service("web")["port"] == before["port"]
    with pytest.raises(AlreadyRunning, match=r"web: is running already \(pid"):
        owner.ask("start", service="web")


def test_a_pause_ends_with_the_connection_that_has_asked(owner: Running) -> None:
    pid = owner.service("db")["pid"]
    with Client(owner.stack) as client:
        client.ask("pause", service="db")
        assert status(pid)[0] == "T"
        assert owner.service("db")["state"] == "paused"
        client.ask("resume", service="db")
        eventually(lambda: status(pid)[0] == "S", "it goes on")
        client.ask("pause", service="db")
    eventually(lambda: status(pid)[0] == "S", "it goes on")


def test_a_pause_of_another_connection_goes_on(owner: Running) -> None:
    pid = owner.service("db")["pid"]
    with Client(owner.stack) as one, Client(owner.stack) as other:
        one.ask("pause", service="db")
        other.ask("pause", service="db")
        assert one.ask("resume", service="db")["service"]["state"] == "paused"
        assert status(pid)[0] == "T"
        # but who has none may end those that were forgotten
        assert owner.ask("resume", service="db")["service"]["state"] == "running"
        eventually(lambda: status(pid)[0] == "S", "it goes on")


def test_signal_and_reset(owner: Running) -> None:
    owner.ask("reset", service="db")
    assert line(owner.process) == ["reset", "db"]
    owner.ask("signal", service="plain.nap", number=int(signal.SIGCONT))
    with pytest.raises(SummonError, match="web: nothing resets it"):
        owner.ask("reset", service="web")


@pytest.mark.parametrize(
    ("request_line", "kind", "said"),
    [
        (b"{", "JSONDecodeError", "line 1"),
        (b"[]", "InvalidArgument", "a request is an object"),
        (b'{"do": "dance"}', "InvalidArgument", "there is no request 'dance': there are describe,"),
        (b'{"do": "stop"}', "InvalidArgument", "there is no service None: there are db, web"),
        (b'{"do": "stop", "service": "db", "signal": "x"}', "InvalidArgument", "signal="),
    ],
)
def test_what_cannot_be_answered(owner: Running, request_line: bytes, kind: str, said: str) -> None:
    with socket.socket(socket.AF_UNIX) as plain:
        plain.connect(owner.stack.socket)
        plain.sendall(request_line + b"\n")
        answer = json.loads(plain.recv(65536))
    assert (answer["ok"], answer["kind"]) == (False, kind)
    assert said in answer["error"]
    assert {s["state"] for s in owner.ask("describe")["stack"]["services"].values()} == {"running"}


def test_errors_come_in_their_class(owner: Running) -> None:
    with pytest.raises(InvalidArgument, match="there is no service 'wbe'") as caught:
        owner.ask("stop", service="wbe")
    assert caught.value.executor == "wbe"


def test_a_death_is_noticed(owner: Running) -> None:
    os.kill(owner.service("web")["pid"], signal.SIGKILL)
    said = " ".join(line(owner.process))
    assert said == "web web: was killed by SIGKILL while the stack was up"
    assert owner.service("web")["state"] == "dead"
    owner.ask("restart", service="web")
    assert owner.service("web")["state"] == "running"


def test_two_of_one_target_in_one_directory(owner: Running) -> None:
    facts = {"target": "./shop.py", "file": os.path.realpath("shop.py"), "name": "Shop"}
    with pytest.raises(AlreadyRunning, match=rf"\./shop.py is up already .*pid {owner.stack.pid}"):
        Registration(how="up", **facts)
    # each of many commands may have a stack of its own
    one = Registration(how="run", **facts)
    try:
        assert len(registry.meant()) == 2
        assert registry.find().pid == owner.stack.pid  # the one that is up
        assert registry.find(str(one.stack.pid)).how == "run"
    finally:
        one.remove()


def test_an_owner_that_is_killed_leaves_nothing(
    mark: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = place.parent / "r"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.chdir(place)
    with program(OWNER, mark, place) as process:
        assert line(process) == ["up"]
        stack = registry.find()
        with Client(stack) as client:
            process.kill()
            process.wait()
            with pytest.raises(NoAnswer, match=r"the owner of shop.py:Shop .* is gone"):
                client.ask("describe")
    with pytest.raises(NoAnswer, match="is gone"):
        Client(stack)
    assert not stack.lives()
    assert Path(stack.path).exists()
    assert registry.running() == []
    assert os.listdir(registry.directory()) == ["lock"]
    eventually(lambda: not marked(mark), "its services are gone")


def test_files_of_another_version_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    one = Registration(how="up", target="x.py", file="/x.py", name="X")
    one.facts["format"] = 1000
    one.write()
    assert registry.running() == []
    assert Path(one.stack.path).exists()  # its owner lives


def test_a_process_that_has_got_the_pid_of_an_owner_is_none() -> None:
    here = {"pid": os.getpid(), "pid_namespace": procfs.pid_namespace()}
    assert Stack("nowhere.json", {**here, "began": procfs.began(os.getpid())}).lives()
    entry = Stack("nowhere.json", {**here, "began": "1"})
    assert not entry.lives()


def test_a_directory_that_others_may_enter_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert registry.running() == []
    os.chmod(registry.directory(), 0o755)
    with pytest.raises(SummonError, match=r"must be a directory .* nobody else may enter"):
        registry.directory()
