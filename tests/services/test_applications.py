"""The ready-made servers of web applications, and Celery."""

from __future__ import annotations

import os
import unittest
from pathlib import Path

import pytest
import requests

from summon_testcase import (
    InvalidArgument,
    ProcessExited,
    SummonMixin,
    TimeoutExpired,
    services,
)

from ..needs import find, needs
from ..places import can_bind, require
from .test_ready_made import descendants, listens_at

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    "kind, app, program",
    [
        ("WSGI", "apps:wsgi", "gunicorn"),
        ("WSGI", "apps:wsgi", "waitress-serve"),
        ("ASGI", "apps:asgi", "uvicorn"),
        ("ASGI", "apps:asgi", "hypercorn"),
    ],
)
class TestApplications:
    """Each server finds the module in the directory that it runs in."""

    def test_it_answers(self, kind: str, app: str, program: str) -> None:
        find(program)
        make = getattr(services, kind)
        with make(app, program=program, cwd=HERE, env={"SAID": "{name}"}, name="web") as web:
            assert program in web.command
            assert requests.get(web.url).text == "web"
            assert listens_at(descendants(web.pid)) == {"0100007F"}
            assert web.url == f"http://127.0.0.1:{web.port}"

    def test_options(self, kind: str, app: str, program: str) -> None:
        """They are understood, and an error calls the server by its name."""
        find(program)
        make = getattr(services, kind)
        option = "--threads" if kind == "WSGI" else "--backlog"
        with make(app, program=program, cwd=HERE, options=[option, "64"]) as web:
            assert f" {option} 64" in web.command
        with pytest.raises((ProcessExited, TimeoutExpired), match=f"^{program}: "):
            make(app, program=program, cwd=HERE, options=["--nonsense=1"], timeout=20).start()

    def test_ipv6(self, kind: str, app: str, program: str) -> None:
        """As the address to listen at."""
        find(program)
        require(can_bind("::1"), "there is IPv6")
        with getattr(services, kind)(app, program=program, cwd=HERE, host="::1") as web:
            assert requests.get(web.url).text == "nothing"

    def test_a_module_that_is_not_there(self, kind: str, app: str, program: str) -> None:
        find(program)
        with pytest.raises((ProcessExited, TimeoutExpired)) as caught:
            getattr(services, kind)("nowhere:app", program=program, timeout=20).start()
        assert "nowhere" in str(caught.value)


@pytest.mark.parametrize("kind", ["WSGI", "ASGI"])
def test_bad_input(kind: str) -> None:
    """Before anything is spawned."""
    make = getattr(services, kind)
    with pytest.raises(InvalidArgument, match=rf"{kind}\(\): app=3: write text such as"):
        make(3)
    with pytest.raises(InvalidArgument, match=rf"{kind}\(\): path='x': write a path such as"):
        make("a:b", path="x")


@needs("celery", package="celery")
@needs("redis-server")
class CeleryTest(SummonMixin, unittest.TestCase):
    """A worker does what a test asks for."""

    broker = services.Redis()
    worker = services.Celery("tests.services.tasks", env=[broker], stop_timeout=30)

    def test_it_is_ready(self) -> None:
        """It has said so when its start is over."""
        with services.Celery("tests.services.tasks", env=[self.broker], name="other") as other:
            said = other.tail(100)
        self.assertRegex("\n".join(said), r"celery@\S+ ready\.")

    def test_options_that_silence_it(self) -> None:
        """Are refused: it would never be ready."""
        levels = ["-l WARNING", "-lwarning", "--loglevel error", "--loglevel=FATAL", "-l INFOX"]
        for option in [*levels, "-f here", "-fhere", "--logfile here", "--logfile=here"]:
            with self.assertRaisesRegex(InvalidArgument, rf"mails: options= has '{option}'.*write"):
                services.Celery("tasks", options=["-E", *option.split()], name="mails")
        for option in ("-l info", "-lDEBUG", "--loglevel=INFO", "-Q celery-l", "--fair"):
            services.Celery("tasks", options=option.split())
        with services.Celery("tests.services.tasks", options=["-l", "DEBUG"], name="m") as worker:
            self.assertIn(" ready.", "\n".join(worker.tail(100)))

    def test_a_task(self) -> None:
        from . import tasks

        os.environ["REDIS_URL"] = self.broker.url
        self.addCleanup(os.environ.pop, "REDIS_URL")
        self.assertEqual(tasks.make_app().send_task("double", [21]).get(timeout=20), 42)
        self.assertOutput(self.worker, "double.* succeeded")
