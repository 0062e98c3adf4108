"""Tests with the plugins and decorators that real suites use on their own process.

Run by tests/test_unpatched.py, by pytest with its plugins; not part of the suite.
"""

from __future__ import annotations

import os
import socket
import sys
from datetime import datetime
from typing import Any
from unittest import mock

import pytest
import requests
import responses
import time_machine
from freezegun import freeze_time
from pyfakefs.fake_filesystem_unittest import TestCase as FakeFilesTestCase

from summon_testcase import (
    HTTPCoordinatedExecutor,
    OutputCoordinatedExecutor,
    SummonMixin,
    SummonTestCase,
    TCPCoordinatedExecutor,
    TimeoutExpired,
    orchestrated,
)

LISTENS = "import socket,sys,time; s=socket.create_server(('127.0.0.1', int(sys.argv[1])))"


def cat(**options: Any) -> OutputCoordinatedExecutor:
    return OutputCoordinatedExecutor("sh -c 'echo up; exec cat'", "up\n", **options)


def http() -> HTTPCoordinatedExecutor:
    command = [sys.executable, "-m", "http.server", "{port}", "--bind", "{host}"]
    return HTTPCoordinatedExecutor(command, "http://{host}:{port}/")


def talk(it: OutputCoordinatedExecutor) -> None:
    it.sendline("hello")
    it.wait_for_output("hello", timeout=60)
    with pytest.raises(TimeoutExpired):
        it.wait_for_output("never", timeout=0.1)


class Talks:
    shared: OutputCoordinatedExecutor
    own: OutputCoordinatedExecutor

    def test_talks(self) -> None:
        talk(self.shared)
        talk(self.own)
        self.shared.restart()
        with self.own.stopped():
            pass


@freeze_time("2020-01-01")
class FrozenTest(Talks, SummonTestCase):
    shared, own = cat(), cat(scope="test")

    def test_date(self) -> None:
        self.assertEqual(datetime.now().year, 2020)


@time_machine.travel("2020-01-01", tick=False)
class TravelledTest(Talks, SummonTestCase):
    shared, own = cat(), cat(scope="test")

    def test_date(self) -> None:
        self.assertEqual(datetime.now().year, 2020)


class FakeFilesTest(Talks, SummonMixin, FakeFilesTestCase):
    shared, own = cat(), cat(scope="test")

    def setUp(self) -> None:
        self.setUpPyfakefs()

    def test_files(self) -> None:
        self.assertFalse(os.path.exists(self.shared.log_path))


@freeze_time("2020-01-01")
def test_frozen() -> None:
    with cat() as it:
        talk(it)


@mock.patch("builtins.open", mock.mock_open())
@mock.patch("time.monotonic", mock.Mock(return_value=5.0))
@mock.patch("time.sleep", mock.Mock())
@mock.patch("os.getpid", mock.Mock(return_value=1))
@mock.patch("os.path.isdir", mock.Mock(return_value=False))
@mock.patch("socket.socket", mock.Mock())
@mock.patch("shutil.which", mock.Mock(return_value=None))
@mock.patch("subprocess.Popen", mock.Mock())
@mock.patch("sys.platform", "win32")
def test_mocks() -> None:
    command = [sys.executable, "-c", f"{LISTENS}; time.sleep(600)", "{port}"]
    with orchestrated(cat(), TCPCoordinatedExecutor(command)) as (it, other):
        talk(it)
        other.restart()


def test_fake_files(fs: Any) -> None:
    with cat() as it:
        talk(it)


def test_fake_processes(fp: Any) -> None:
    with cat() as it:
        talk(it)


@pytest.mark.disable_socket
def test_no_sockets() -> None:
    with pytest.raises(RuntimeError), pytest.warns(UserWarning):
        socket.socket()
    with http() as it:
        assert it.running()


@responses.activate
def test_faked_requests() -> None:
    responses.add(responses.GET, "http://example.com/", body="faked")
    with http():
        assert requests.get("http://example.com/", timeout=60).text == "faked"
    assert len(responses.calls) == 1
