"""The ready-made chromedriver, with real browsers: each takes seconds, so they are few."""

from __future__ import annotations

import os
import signal
import unittest
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests

from summon_testcase import InvalidArgument, ProcessExited, SummonMixin, orchestrated, services

from ..doubles import put_run_directory
from ..needs import needs
from ..places import linux
from ..samples import eventually

PAGE = "data:text/html,<title>Tea shop</title>"


def browse(driver: services.Chromedriver, **options: Any) -> Any:
    """A browser, which shows a page."""
    from selenium import webdriver

    browser = webdriver.Remote(driver.url, options=driver.browser_options(**options))
    browser.get(PAGE)
    assert browser.title == "Tea shop"
    return browser


def processes_in(directory: str) -> list[str]:
    """The commands of all processes that keep their files in a directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"TMPDIR={directory}".encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text())
        except OSError:  # it has ended
            pass
    return found


@linux
@needs("chromedriver", package="chromium-driver")
class ChromedriverTest(SummonMixin, unittest.TestCase):
    """A test that has left a browser open does not disturb the next one."""

    driver = services.Chromedriver(reset=True)
    left: ClassVar[Any]

    def sessions(self) -> list[str]:
        """The sessions that are open."""
        answer = requests.get(self.driver.url_for("/sessions"), timeout=10).json()
        return [session["id"] for session in answer["value"]]

    def test_a_leaves_a_browser_open(self) -> None:
        type(self).left = browse(self.driver)
        self.assertEqual(self.sessions(), [self.left.session_id])
        profile = self.left.capabilities["chrome"]["userDataDir"]
        self.assertEqual(os.path.commonpath([profile, self.driver.tmpdir]), self.driver.tmpdir)

    def test_b_finds_none(self) -> None:
        self.assertEqual(self.sessions(), [])
        driver = [f"{self.driver.command.split()[0]}\0--port={self.driver.port}\0"]
        eventually(lambda: processes_in(self.driver.tmpdir) == driver, "its processes are gone")

    def test_variables(self) -> None:
        self.assertEqual(self.driver.env(), {"SELENIUM_REMOTE_URL": self.driver.url})


@linux
@needs("chromedriver", package="chromium-driver")
@needs("Xvfb", package="xvfb")
def test_a_browser_that_outlives_its_driver() -> None:
    """It has a window, and ends with the service, which leaves nothing behind."""
    screen = services.Xvfb()
    driver = services.Chromedriver(env=[screen])
    with pytest.raises(ProcessExited, match="driver: was killed by SIGKILL"):
        with orchestrated(screen=screen, driver=driver):
            browse(driver, headless=False)
            place = driver.tmpdir
            assert len(processes_in(place)) > 1
            os.kill(driver.pid, signal.SIGKILL)
    assert processes_in(place) == []
    assert not os.path.exists(place)


@needs("chromedriver", package="chromium-driver")
def test_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names the argument, or the directory that is too long for the sockets of a browser."""
    with pytest.raises(InvalidArgument, match="headless='no': write True or False"):
        services.Chromedriver().browser_options(headless="no")  # type: ignore[arg-type]
    place = tmp_path / ("x" * 80)
    place.mkdir()
    put_run_directory(place, monkeypatch)
    with pytest.raises(InvalidArgument, match="driver: the path of a unix socket has at most"):
        services.Chromedriver(name="driver").start()
