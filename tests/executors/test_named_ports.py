"""More ports than one: ``{port:admin}`` in texts, ``service.ports["admin"]`` in tests."""

from __future__ import annotations

import copy
import pickle
import socket
import sys
import unittest
from collections.abc import Iterator
from typing import Any

import pytest

from summon_testcase import (
    CommandCoordinatedExecutor,
    Executor,
    HTTPCoordinatedExecutor,
    InvalidArgument,
    NotRunning,
    SimpleExecutor,
    SummonTestCase,
    TCPCoordinatedExecutor,
    UnknownReference,
    orchestrated,
    summoned,
)

from ..cases import run
from ..doubles import check_declared, instance_of, leased_ports, reset

#: listens at all ports that it is given, and says so; at the first one last, since that is what
#: its start waits for
LISTENS = """
import socket, sys
servers = [socket.create_server(("127.0.0.1", int(port))) for port in reversed(sys.argv[1:])]
print("listening", flush=True)
while True:
    servers[-1].accept()
"""
COMMAND = [sys.executable, "-S", "-c", LISTENS, "{port}"]


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    yield
    reset()


def server(*more: str, **options: Any) -> TCPCoordinatedExecutor:
    return TCPCoordinatedExecutor([*COMMAND, *more], **options)


def reaches(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(60)
        return client.connect_ex(("127.0.0.1", port)) == 0


class Etcd(Executor):
    """An executor of one's own that has ports with names."""

    ports = {"peer": 4711}

    def start(self) -> Etcd:
        return self

    def stop(self) -> None:
        pass


class TestPorts:
    def test_each_name_has_its_own(self) -> None:
        """Everywhere the same; all of them are open."""
        it = server("{port:admin}", "{port:a-b_2}", env={"ADMIN": "at {port:admin}"})
        with it:
            ports = it.ports
            assert sorted(ports) == ["a-b_2", "admin"] and len({it.port, *ports.values()}) == 3
            assert all(map(reaches, [it.port, *ports.values()]))
            launch = instance_of(it).launch
            assert launch.env["ADMIN"] == f"at {ports['admin']}"
            assert launch.argv[-3:] == tuple(map(str, (it.port, ports["admin"], ports["a-b_2"])))

    def test_it_stays_with_the_lease(self) -> None:
        it = server("{port:admin}").start()
        before = dict(it.ports)
        assert it.restart().ports == before
        it.kill()
        assert it.ports == before == it.start().ports
        assert leased_ports() == 2
        it.stop()
        assert leased_ports() == 0

    def test_where_there_is_none(self) -> None:
        it = server("{port:admin}", name="web")
        with pytest.raises(NotRunning, match=r"^web: has no ports, since it is not running"):
            it.ports  # noqa: B018
        with it:
            with pytest.raises(
                NotRunning, match=r"^web: has no port named 'admn', it has admin: wr"
            ):
                it.ports["admn"]
            assert it.ports.get("admn") is None and "admn" not in it.ports
            with pytest.raises(TypeError):
                it.ports["admin"] = 1  # type: ignore[index]
        with pytest.raises(NotRunning):
            it.ports  # noqa: B018
        with server(name="web") as it:
            assert it.ports == {}
            with pytest.raises(
                NotRunning, match=r"it has none with a name: write \{port:xy\} in its"
            ):
                it.ports["xy"]

    def test_they_are_there_when_prepare_is_called(self) -> None:
        seen = {}

        class Own(SimpleExecutor):
            def prepare(self) -> None:
                seen.update(self.ports)

        with Own("sleep 600", env={"X": "{port:xy}"}) as it:
            assert seen == it.ports != {}

    def test_others_are_told(self) -> None:
        """And wait, whatever kind of executor has the port."""
        etcd = server("{port:peer}")
        user = SimpleExecutor("sleep {etcd.port:peer} {own.port:peer} {thing.port:peer}")
        with orchestrated(user=user, etcd=etcd, own=Etcd(), thing=summoned(Etcd())):
            assert instance_of(user).launch.argv[1:] == (str(etcd.ports["peer"]), "4711", "4711")

    def test_its_own_name_may_be_written_too(self) -> None:
        web = server("{web.port:admin}", env={"X": "{port:admin}"})
        with orchestrated(web=web):
            assert instance_of(web).launch.argv[-1] == instance_of(web).launch.env["X"]
            assert str(web.ports["admin"]) == instance_of(web).launch.env["X"]

    def test_names_that_nobody_has(self) -> None:
        for service, hint in (
            (server("{port:peer}"), r"did you mean \{etcd.port:peer\}\?"),
            (SimpleExecutor("sleep 600"), "did you mean {etcd.port}"),
            (Etcd(), "it has no port named 'per'|cannot be filled in"),
        ):
            user = SimpleExecutor("sleep {etcd.port:per}")
            with pytest.raises(UnknownReference, match=hint):
                orchestrated(user=user, etcd=service).start()
        with pytest.raises(UnknownReference, match=r"\{etc.port:peer\} names no declared service"):
            SimpleExecutor("sleep {etc.port:peer}").start()

    @pytest.mark.parametrize(
        "text",
        [
            "{port:}",
            "{port:Bad Name}",
            "{port: 80}",
            "{port:80}",
            "${port:xy}",
            "{port:d}",
            "{port:02d}",
            "{host:xy}",
        ],
    )
    def test_other_braces_stay(self, text: str) -> None:
        with SimpleExecutor(["sleep", "600"], env={"X": text}) as it:
            assert instance_of(it).launch.env["X"] == text
            assert it.ports == {}

    def test_readiness_at_a_named_port(self) -> None:
        """It is the service's port that is asked, so the command must be told."""
        web = HTTPCoordinatedExecutor(
            ["python3", "-m", "http.server", "--bind", "{host}", "{port:web}"],
            "http://{host}:{port:web}/",
        )
        with web:
            assert web.url == f"http://127.0.0.1:{web.ports['web']}/"
        said = (
            r"at which port to listen: (did you mean .*)?write \{port:web\} into command= or env=$"
        )
        for it in (
            HTTPCoordinatedExecutor("x {port}", "http://{host}:{port:web}/"),
            CommandCoordinatedExecutor("x {port}", "probe {port:web}"),
        ):
            with pytest.raises(InvalidArgument, match=said):
                check_declared(it)
        check_declared(CommandCoordinatedExecutor("sleep {port:web}", "true {port:web}"))
        with pytest.raises(InvalidArgument, match=r"write \{port\} into command="):
            check_declared(TCPCoordinatedExecutor("sleep {port:}"))

    def test_copies_and_travellers(self) -> None:
        with server("{port:admin}") as it:
            assert pickle.loads(pickle.dumps(it)).ports == it.ports
            other = copy.copy(it)
            with other:
                assert not set(other.ports.values()) & set(it.ports.values())


class ScopesTest(unittest.TestCase):
    def test_in_a_test_case(self) -> None:
        """The ports live as long as the scope."""
        seen = []

        class Base(SummonTestCase):
            web = server("{port:admin}", scope="run")
            user = SimpleExecutor("sleep {web.port:admin}", scope="test")

            def test_1(self) -> None:
                seen.append((self.web.ports["admin"], self.user.command))
                self.web.kill()

            def test_2(self) -> None:
                seen.append((self.web.ports["admin"], self.user.command))

        class Other(Base):
            pass

        self.addCleanup(reset)
        result = run(Base, Other)
        self.assertEqual(result.errors + result.failures, [])
        self.assertEqual(len(seen), 4)
        self.assertEqual(len(set(seen)), 1)
        self.assertEqual(seen[0][1], f"sleep {seen[0][0]}")


#: is given one port, and takes the next one too, as a server for a cluster does
TWO = """
import socket, sys
port = int(sys.argv[1])
servers = [socket.create_server(("127.0.0.1", port + more)) for more in (1, 0)]
while True:
    servers[1].accept()
"""


def test_servers_that_take_the_next_port_too() -> None:
    """All of them can start, many at the same time and beside many that take one."""
    two = [sys.executable, "-S", "-c", TWO, "{port}"]
    greedy = {f"two{number}": TCPCoordinatedExecutor(two) for number in range(20)}
    modest = {f"one{number}": server("{port:more}") for number in range(10)}
    with orchestrated(**greedy, **modest):
        assert all(reaches(it.port + 1) for it in greedy.values())
