"""``files=``: texts with templates that a service finds in its directory."""

from __future__ import annotations

import copy
import os
import pickle
import sys
import unittest
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import pytest

from summon_testcase import (
    DependencyCycle,
    InvalidArgument,
    NotRunning,
    SimpleExecutor,
    SpawnFailed,
    SummonTestCase,
    TCPCoordinatedExecutor,
    UnknownReference,
    orchestrated,
)

from ..cases import run
from ..doubles import check_declared, leased_ports, reset
from ..samples import eventually, text

#: listens at the port that a file says
LISTENS = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(open(sys.argv[1]).read())))
while True:
    server.accept()
"""
COMMAND = [sys.executable, "-S", "-c", LISTENS, "{tmpdir}/port"]


def server(**options: Any) -> TCPCoordinatedExecutor:
    """One whose port is nowhere but in a file."""
    return TCPCoordinatedExecutor(COMMAND, files={"port": "{port}"}, **options)


def sleeper(files: Any, **options: Any) -> SimpleExecutor:
    return SimpleExecutor("sleep 600", files=files, **options)


def found(it: SimpleExecutor, name: str) -> str:
    return Path(it.tmpdir, name).read_text()


class TestWritten:
    def test_templates(self) -> None:
        """Its own, those of others, further ports; other braces stay."""
        files = {
            "nginx.conf": "listen {port}; proxy_pass http://{web.host}:{web.port}; # {port:more}",
            "deep/in/it.json": '{"at": {"here": "${port}", "a": {}, "b": {port: 80}}} {name}\r\n',
        }
        web, front = server(), sleeper(MappingProxyType(files))
        with orchestrated(front=front, web=web):
            at = front.port
            assert found(front, "nginx.conf") == (
                f"listen {at}; proxy_pass http://127.0.0.1:{web.port}; # {front.ports['more']}"
            )
            there = Path(front.tmpdir, "deep/in/it.json").read_bytes()
            assert there == b'{"at": {"here": "${port}", "a": {}, "b": {port: 80}}} front\r\n'

    def test_a_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Read at each start; a relative one starts where relative paths of the service do."""
        place = tmp_path / "in"
        place.mkdir()
        (place / "web.conf.in").write_bytes("listen {web.port} é\r\n".encode())
        monkeypatch.chdir(tmp_path)
        here = Path(os.path.relpath(place / "web.conf.in", Path(__file__).parent))
        for origin, cwd in (
            (Path("in/web.conf.in"), None),
            (PurePosixPath("web.conf.in"), "in"),
            (place / "web.conf.in", "{tmpdir}"),
            ("{here}" / here, "/"),
        ):
            web, it = server(), sleeper({"conf": origin}, cwd=cwd)
            with orchestrated(it=it, web=web):
                assert Path(it.tmpdir, "conf").read_bytes() == f"listen {web.port} é\r\n".encode()
                (place / "web.conf.in").write_text("changed {name}")
                it.restart()
                assert found(it, "conf") == "changed it"
                (place / "web.conf.in").write_bytes("listen {web.port} é\r\n".encode())

    def test_anew_at_each_start(self, tmp_path: Path) -> None:
        """In place of what is there, whatever it is; what else is there stays."""
        kept = tmp_path / "kept"
        kept.write_text("kept")
        it = sleeper({"conf": "{name}", "other": ""}, name="it")
        with it:
            conf = Path(it.tmpdir, "conf")
            (Path(it.tmpdir) / "data").touch()
            conf.unlink()
            conf.symlink_to(kept)
            it.restart()
            assert (conf.read_text(), conf.is_symlink(), kept.read_text()) == ("it", False, "kept")
            conf.chmod(0)
            with it.stopped():
                pass
            it.kill()
            it.start()
            assert conf.read_text() == "it" and (Path(it.tmpdir) / "data").exists()

    def test_prepare_comes_after(self) -> None:
        """It finds what was written, and may change it; the command comes last."""

        class Own(SimpleExecutor):
            def prepare(self) -> None:
                conf = Path(self.tmpdir, "conf")
                conf.write_text(conf.read_text() + " and more")

        with Own("cat {tmpdir}/conf", files={"conf": "{name}"}, name="own") as own:
            assert own.output().read() == "own and more"

    def test_its_port_is_told_by_it(self) -> None:
        """So it is not refused as one that cannot know its port; another file does not help."""
        with server() as it:
            assert found(it, "port") == str(it.port)
        with pytest.raises(InvalidArgument, match="nothing tells it at which port to listen"):
            check_declared(TCPCoordinatedExecutor("x", files={"conf": "{host}"}))

    def test_the_file_of_another_service(self) -> None:
        """It is there once that is ready."""
        make = SimpleExecutor("sh -c 'printf {%s} name >$0' {tmpdir}/made", one_shot=True)
        user = sleeper({"conf": Path("{make.tmpdir}/made")})
        with orchestrated(user=user, make=make):
            assert found(user, "conf") == "user"


class TestGraph:
    def test_references_are_awaited(self, tmp_path: Path) -> None:
        (tmp_path / "conf").write_text("{two.name}")
        one = sleeper({"conf": tmp_path / "conf"})
        with pytest.raises(DependencyCycle, match="one -> two -> one"):
            orchestrated(one=one, two=sleeper({"conf": "{one.name}"})).start()

    def test_unknown_ones(self, tmp_path: Path) -> None:
        (tmp_path / "conf").write_text("{wbe.port}")
        for source in ("{wbe.port}", tmp_path / "conf"):
            with pytest.raises(UnknownReference, match=r"did you mean \{web.port\}\?"):
                orchestrated(web=server(), it=sleeper({"conf": source})).start()

    def test_one_that_does_not_run(self) -> None:
        """A start that fails at a file leaves nothing."""
        web = server(name="web")
        it = sleeper({"conf": "{web.tmpdir} {port}"})
        with orchestrated(web=web, it=it):
            web.stop()
            with pytest.raises(NotRunning, match="web: has no directory"):
                it.restart()
            assert not it.running()
        reset()
        assert leased_ports() == 0


class TestRefusals:
    @pytest.mark.parametrize(
        "name",
        [
            *("", "/etc/passwd", "..", "../x", "a/../../x", ".", "./", "a/", "~/x", "a\0b"),
            *("a\ud800", 3, b"a", None, "{tmpdir}/x", "{port}", PurePosixPath("/x")),
        ],
    )
    def test_names(self, name: Any) -> None:
        with pytest.raises(InvalidArgument, match=r"^web: files= has a? ?.*name"):
            sleeper({"fine": "", name: "text"}, name="web")

    def test_names_that_are_fine(self) -> None:
        it = sleeper({"a": "", ".b": "", "./c//d": "c", Path("e f"): "", "g..h": "", "{i}": ""})
        with it:
            assert sorted(os.listdir(it.tmpdir)) == [".b", "a", "c", "e f", "g..h", "{i}"]
            assert found(it, "c/d") == "c"

    @pytest.mark.parametrize("other", ["./conf", "conf/more", PurePosixPath("conf")])
    def test_names_in_the_way(self, other: Any) -> None:
        for files in ({"conf": "", other: ""}, {other: "", "conf": ""}):
            if len(files) == 2:
                with pytest.raises(InvalidArgument, match="and both cannot be there"):
                    sleeper(files)

    @pytest.mark.parametrize("value", [None, 3, b"secret", ["secret"], {"a": "secret"}, True])
    def test_values(self, value: Any) -> None:
        with pytest.raises(InvalidArgument, match=r"^web: files= has \w+ for 'a': write text, or"):
            sleeper({"a": value}, name="web")
        with pytest.raises(InvalidArgument) as caught:
            sleeper({"a": value}, name="web")
        assert "secret" not in str(caught.value)

    def test_paths(self, tmp_path: Path) -> None:
        """They are read before anything is spawned."""
        (tmp_path / "binary").write_bytes(b"\xff\xfe")
        os.mkfifo(tmp_path / "pipe")
        events = tmp_path / "events"
        for path, said in (
            (tmp_path / "none", "there is no file /.*none: create it"),
            (tmp_path, "is no file: write the path of one"),
            (tmp_path / "pipe", "is no file: write the path of one"),
            (tmp_path / "binary", "is no text in UTF-8"),
        ):
            other = SimpleExecutor(["touch", events])
            with pytest.raises(InvalidArgument, match=f"^it: files= for 'conf': .*{said}"):
                orchestrated(other=other, it=sleeper({"conf": path})).start()
            assert not events.exists()
        for path in (Path("~/x"), Path("$HOME/x")):
            with pytest.raises(InvalidArgument, match=r"files= for 'conf'=.* no shell fills in"):
                sleeper({"conf": path})

    def test_what_cannot_be_written(self) -> None:
        """A directory that the service has made there."""
        it = sleeper({"conf": ""}, name="it")
        with it:
            os.unlink(f"{it.tmpdir}/conf")
            os.mkdir(f"{it.tmpdir}/conf")
            with pytest.raises(SpawnFailed, match=r"^it: not started: .*conf"):
                it.restart()
            assert not it.running()


class TestCopies:
    def test_copies(self) -> None:
        it = server()
        with it, copy.copy(it) as one, copy.deepcopy(it) as two:
            assert len({found(each, "port") for each in (it, one, two)}) == 3
        with pickle.loads(pickle.dumps(it)) as there:
            assert found(there, "port") == str(there.port)

    def test_a_running_one_keeps_its_secrets(self) -> None:
        with sleeper({"conf": "hunter2"}) as it:
            assert b"hunter2" not in pickle.dumps(it)


class ScopesTest(unittest.TestCase):
    def test_in_a_test_case(self) -> None:
        """It stays as long as the directory; a restart writes it again."""
        seen = []

        class Base(SummonTestCase):
            web = server(scope="run")
            front = sleeper({"conf": "{web.port}"}, scope="test")

            def test_1(self) -> None:
                seen.append(found(self.front, "conf"))
                os.unlink(os.path.join(self.front.tmpdir, "conf"))
                self.front.kill()
                self.front.start()
                seen.append(found(self.front, "conf"))

        class Other(Base):
            pass

        self.addCleanup(reset)
        result = run(Base, Other)
        self.assertEqual(result.errors + result.failures, [])
        self.assertEqual((len(seen), len(set(seen))), (4, 1))

    def test_a_shorter_life(self) -> None:
        class Case(SummonTestCase):
            web = server(scope="test")
            front = sleeper({"conf": "{web.port}"})

            def test(self) -> None:
                self.fail("is not reached")

        self.addCleanup(reset)
        ((_, said),) = run(Case).errors
        self.assertIn("front: it refers to web, which would be gone before it", said)


def test_all_is_gone_with_it() -> None:
    it = sleeper({"a/b/c": "text"}).start()
    place = it.tmpdir
    assert text(f"{place}/a/b/c") == "text"
    it.stop()
    eventually(lambda: not os.path.exists(place), "its directory is removed")
