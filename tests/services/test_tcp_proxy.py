"""The ready-made TCP proxy: faults on the way to a service."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import stat
import time
import unittest
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from summon_testcase import (
    InvalidArgument,
    NotRunning,
    ProcessExited,
    SimpleExecutor,
    SummonError,
    SummonMixin,
    TimeoutExpired,
    orchestrated,
    services,
)
from summon_testcase.services import TCPProxy

from ..cases import run
from ..doubles import put_run_directory
from ..needs import needs
from ..proxy.echo import Echo, connect, echo, read
from ..samples import PATIENCE, eventually


@pytest.fixture(scope="module")
def target() -> Iterator[Echo]:
    """A server that returns what it is sent."""
    with echo() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(target: Echo) -> Iterator[TCPProxy]:
    """A proxy in front of it."""
    with TCPProxy(to=target.to) as it:
        yield it


def ask(client: socket.socket, word: bytes = b"word") -> float:
    """Send something, and read it again; the seconds that this took."""
    began = time.monotonic()
    client.sendall(word)
    assert read(client, len(word)) == word
    return time.monotonic() - began


def is_reset(client: socket.socket) -> bool:
    """Whether a connection is reset, now."""
    client.setblocking(False)
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    return True


def resets(proxy: TCPProxy) -> bool:
    """Whether it resets new clients, while these connect or when they read."""
    with pytest.raises(ConnectionResetError), connect(proxy) as client:
        client.recv(1)
    return True


def works(proxy: TCPProxy) -> bool:
    """Whether it passes on what new clients send."""
    with connect(proxy) as client:
        ask(client)
    return True


class TestDelay:
    """What the target sends is late."""

    def test_old_and_new_connections(self, proxy: TCPProxy) -> None:
        with connect(proxy) as old:
            ask(old)
            with proxy.delay(0.1) as it, connect(proxy) as new:
                assert it is proxy
                assert ask(old) >= 0.1
                assert ask(new) >= 0.1

    def test_they_add_up(self, proxy: TCPProxy) -> None:
        with connect(proxy) as client, proxy.delay(0.1), proxy.delay(0.05):
            assert ask(client) >= 0.15

    def test_what_is_on_the_way_arrives_at_the_end(self, proxy: TCPProxy) -> None:
        with connect(proxy) as client:
            with proxy.delay(1000):
                client.sendall(b"late")
                with proxy.delay(0):
                    pass
            assert read(client, 4) == b"late"

    def test_a_stream_is_late_and_not_slow(self, proxy: TCPProxy, target: Echo) -> None:
        """Pieces do not wait for each other: one after the other they would take too long."""
        pieces = 20
        end = time.monotonic() + PATIENCE
        target.heard.clear()
        with connect(proxy) as client, proxy.delay(1.1 * PATIENCE / pieces):
            for number in range(1, pieces + 1):
                client.sendall(b"x")
                # so that each is a piece of its own
                eventually(lambda: len(target.heard) == number, "the target hears it")  # noqa: B023
            assert read(client, pieces) == b"x" * pieces
        assert time.monotonic() < end


class TestLimit:
    """So many bytes per second."""

    def test_old_and_new_connections(self, proxy: TCPProxy) -> None:
        with connect(proxy) as old:
            ask(old)
            with proxy.limit(1000), connect(proxy) as new:
                # there, and meanwhile back
                assert ask(old, b"x" * 100) >= 0.1
                assert ask(new, b"x" * 100) >= 0.1

    def test_the_lowest_counts(self, proxy: TCPProxy) -> None:
        with connect(proxy) as client, proxy.limit(500), proxy.limit(1e9):
            assert ask(client, b"x" * 50) >= 0.1

    def test_nothing_passes(self, proxy: TCPProxy, target: Echo) -> None:
        """With 0: nobody is told, and what was sent arrives after the block."""
        with connect(proxy) as client:
            with proxy.limit(0):
                target.heard.clear()
                client.sendall(b"held")
                with socket.create_connection(target.server_address) as directly:  # type: ignore[arg-type]
                    ask(directly, b"direct")
                assert target.heard == [b"direct"]
            assert read(client, 4) == b"held"


class TestCut:
    """Every connection is reset."""

    def test_old_and_new_connections(self, proxy: TCPProxy) -> None:
        with connect(proxy) as old:
            ask(old)
            with proxy.cut():
                assert is_reset(old)
                assert resets(proxy)
        assert works(proxy)

    def test_a_connection_made_in_the_block(self, proxy: TCPProxy) -> None:
        """Is reset, also if the block ends at once; one made just before it, too."""
        for _ in range(20):
            with connect(proxy) as before, socket.socket() as within:
                with proxy.cut():
                    assert is_reset(before)
                    # it may meet the reset already when it connects
                    within.setblocking(False)
                    within.connect_ex((proxy.host, proxy.port))
                assert is_reset(within)

    def test_the_target_is_told(self, proxy: TCPProxy, target: Echo) -> None:
        target.reset.clear()
        with connect(proxy) as client:
            ask(client)
            with proxy.cut():
                assert target.reset.wait(PATIENCE)


class TestRefuse:
    """Nobody listens."""

    def test_old_and_new_connections(self, proxy: TCPProxy) -> None:
        with connect(proxy) as old:
            ask(old)
            for _ in range(2):
                with proxy.refuse():
                    with pytest.raises(ConnectionRefusedError):
                        connect(proxy)
                assert works(proxy)
            assert is_reset(old)

    def test_nested(self, proxy: TCPProxy) -> None:
        with proxy.refuse():
            with proxy.refuse(), proxy.delay(0.1):
                pass
            with pytest.raises(ConnectionRefusedError):
                connect(proxy)
        assert works(proxy)

    def test_somebody_else_has_taken_the_port(self, target: Echo) -> None:
        """The end of the block says so."""
        with TCPProxy(to=target.to, name="line") as it:
            with pytest.raises(SummonError, match=r"line.*cannot listen again at .*in use"):
                with it.refuse():
                    thief = socket.create_server((it.host, it.port))
            thief.close()
            it.reset()
            assert works(it)


class TestAllFaults:
    """What holds for each of them."""

    @pytest.mark.parametrize("kind", ["delay", "limit", "cut", "refuse"])
    def test_ends_with_an_exception(self, proxy: TCPProxy, kind: str) -> None:
        with pytest.raises(ZeroDivisionError):
            with fault(proxy, kind):
                1 / 0  # noqa: B018
        assert works(proxy)

    def test_ends_in_any_order(self, proxy: TCPProxy) -> None:
        refusal, cut = proxy.refuse(), proxy.cut()
        refusal.__enter__()
        cut.__enter__()
        refusal.__exit__(None, None, None)
        assert resets(proxy)
        cut.__exit__(None, None, None)
        assert works(proxy)

    def test_is_told_in_the_output(self, proxy: TCPProxy) -> None:
        """So a report of a test that fails shows it."""
        with proxy.delay(0.25), proxy.cut():
            pass
        told = ["delay(0.25) begins", "cut() begins", "cut() ends", "delay(0.25) ends"]
        proxy.wait_for_output("\n".join(map(re.escape, told)), timeout=PATIENCE)

    def test_the_proxy_has_died(self, target: Echo) -> None:
        """It is the error, unless there is another."""
        it = TCPProxy(to=target.to, name="line")
        said = "line: was killed by SIGKILL before it had obeyed: end "
        with pytest.raises(ProcessExited, match=said), it, it.delay(1):
            os.kill(it.pid, signal.SIGKILL)
        with pytest.raises(ZeroDivisionError), it, it.delay(1):
            os.kill(it.pid, signal.SIGKILL)
            1 / 0  # noqa: B018

    def test_the_proxy_was_stopped(self, target: Echo) -> None:
        """By the test: the fault is over."""
        with TCPProxy(to=target.to) as it:
            with it.refuse():
                it.restart()
                assert works(it)
            with it.refuse():
                it.stop()
        with pytest.raises(NotRunning, match="call start"), it.refuse():
            pass

    def test_the_proxy_does_not_answer(self, target: Echo) -> None:
        with TCPProxy(to=target.to, name="line") as it:
            with it.paused(), mock.patch("summon_testcase.services.client.PATIENCE", 0.2):
                with pytest.raises(TimeoutExpired, match=r"line at .* could not obey"):
                    it.cut().__enter__()
            with it.delay(0):
                pass  # it obeys one order after the other, so those before have been obeyed
            assert works(it)

    def test_only_its_owner_gives_orders(self, proxy: TCPProxy) -> None:
        control = os.stat(Path(proxy.tmpdir, "control"))
        assert stat.S_ISSOCK(control.st_mode)
        assert stat.S_IMODE(control.st_mode) == 0o600


def fault(proxy: TCPProxy, kind: str) -> AbstractContextManager[TCPProxy]:
    """One of its faults, so strong that nothing passes in time."""
    values: dict[str, tuple[float, ...]] = {"delay": (1000,), "limit": (0,)}
    make: Callable[..., AbstractContextManager[TCPProxy]] = getattr(proxy, kind)
    return make(*values.get(kind, ()))


@needs("redis-server")
class OutageTest(SummonMixin, unittest.TestCase):
    """A real client, in a TestCase; what a test has forgotten does not reach the next one."""

    cache = services.Redis()
    proxy = TCPProxy(to="{cache.host}:{cache.port}")
    forgotten = contextlib.ExitStack()

    def client(self, **options: Any) -> Any:
        once = Retry(NoBackoff(), 0)
        return redis.Redis(self.proxy.host, self.proxy.port, retry=once, **options)

    def test_a_forgets(self) -> None:
        self.forgotten.enter_context(self.proxy.refuse())
        self.forgotten.enter_context(self.proxy.limit(0))
        with self.assertRaisesRegex(redis.ConnectionError, "refused"):
            self.client().ping()

    def test_b_finds_no_fault(self) -> None:
        self.assertTrue(self.client().ping())
        # the end of a fault that is over already
        self.forgotten.close()

    def test_c_times_out(self) -> None:
        client = self.client(socket_timeout=0.1)
        with self.proxy.delay(1000), self.assertRaises(redis.TimeoutError):
            client.ping()
        self.assertTrue(client.ping())

    def test_d_starts_after_its_target(self) -> None:
        self.assertIn(f" {self.cache.host}:{self.cache.port}", self.proxy.command)
        self.assertEqual(self.proxy.url, f"tcp://127.0.0.1:{self.proxy.port}")


def test_faults_may_outlast_a_test() -> None:
    """Without a reset."""

    class Case(SummonMixin, unittest.TestCase):
        proxy = TCPProxy(to="127.0.0.1:9", reset=None)
        lasts = contextlib.ExitStack()

        def test_a(self) -> None:
            self.lasts.enter_context(self.proxy.refuse())

        def test_b(self) -> None:
            with self.assertRaises(ConnectionRefusedError):
                connect(self.proxy)
            self.lasts.close()

    assert run(Case).wasSuccessful()


class TestBadInput:
    """Is refused before anything is spawned."""

    @pytest.mark.parametrize(
        "to",
        ["", 6379, None, "6379", "127.0.0.1", "127.0.0.1:", ":80", "h:0", "h:65536", "h:x", "h:1 "]
        + ["redis://127.0.0.1:1", "127.0.0.1:1/0", "::1]:1", "a b:1"],
    )
    def test_no_address(self, to: Any) -> None:
        with pytest.raises(InvalidArgument, match=r"TCPProxy\(\): to=.*write an address such as"):
            TCPProxy(to=to)

    def test_no_address_in_a_template(self) -> None:
        proxy = TCPProxy(to="{cache.port}")
        with pytest.raises(InvalidArgument, match=r"line: to='[0-9]+': write an address such as"):
            with orchestrated(cache=SimpleExecutor("sleep 60", port=6379), line=proxy):
                pass

    def test_itself(self) -> None:
        """A connection would go round and round."""
        with pytest.raises(InvalidArgument, match=r"line: to=.* is its own address"):
            TCPProxy(to="{host}:{port}", name="line").start()

    def test_values(self, proxy: TCPProxy) -> None:
        for seconds in (-1, "1", None, float("inf"), True):
            with pytest.raises(InvalidArgument, match=r"TCPProxy\(\): seconds=.*write seconds"):
                proxy.delay(seconds)  # type: ignore[arg-type]
        for speed in (-1, "1", None, float("nan"), True):
            with pytest.raises(InvalidArgument, match=r"bytes_per_second=.*write a number"):
                proxy.limit(speed)  # type: ignore[arg-type]

    def test_a_directory_with_a_long_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = tmp_path / ("x" * 100)
        place.mkdir()
        put_run_directory(place, monkeypatch)
        with pytest.raises(InvalidArgument, match="use a shorter directory"):
            TCPProxy(to="127.0.0.1:9").start()
