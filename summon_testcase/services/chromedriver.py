"""A chromedriver, which starts browsers."""

from __future__ import annotations

from typing import Any

from ..declaration import arguments
from ..declaration.command import Launch
from ..errors import InvalidArgument
from ..foreign import let_through
from .client import Client
from .web_server import WebServer

#: where the browsers, which inherit this, have their profiles, caches and sockets
_VARIABLES = {
    "HOME": "{tmpdir}",
    "TMPDIR": "{tmpdir}",
    "XDG_CONFIG_HOME": None,
    "XDG_CACHE_HOME": None,
}
#: a socket that each browser makes below TMPDIR, and without which it does not start
_SOCKET = "/org.chromium.Chromium.123456/SingletonSocket"


class Chromedriver(WebServer):
    """A chromedriver, by which selenium and others control Chromium or Chrome.

    Ready once it answers ``/status``.  Its browsers have their profiles in ``{tmpdir}``, and end
    with it.

    :param options: further arguments of ``chromedriver``, ``["--verbose"]``.
    :param reset: True to end all sessions before each test but the first, and their browsers.

    The other arguments are those of :class:`~summon_testcase.SimpleExecutor`.

    .. code-block:: python

        class FrontTest(SummonMixin, TestCase):
            web = WSGI("shop:app")
            driver = Chromedriver(reset=True)

            def test_title(self):
                options = self.driver.browser_options()
                browser = webdriver.Remote(self.driver.url, options=options)
                browser.get(self.web.url)
                self.assertEqual(browser.title, "Tea shop")
    """

    _programs = ("chromedriver",)

    def __init__(self, **options: Any) -> None:
        # without --allowed-ips, which would have it listen at all addresses
        super().__init__(["--port={port}"], path="/status", own_env=_VARIABLES, **options)

    def _launch(self) -> Launch:
        from ..readiness.paths import UnixSocketProbe

        launch = super()._launch()
        try:
            UnixSocketProbe(launch.env.get("TMPDIR", "/tmp") + _SOCKET).check()
        except InvalidArgument as error:
            let_through(error)
            raise InvalidArgument(f"{self._called}: {error}", executor=self._called) from None
        return launch

    def env(self) -> dict[str, str]:
        """``SELENIUM_REMOTE_URL``."""
        return {"SELENIUM_REMOTE_URL": self.url}

    def browser_options(self, *switches: str, headless: bool = True) -> Any:
        """Options of selenium by which a browser runs in tests.

        That is without a window, as root, too, and with the little shared memory of containers.

        :param switches: further switches of the browser, ``"--lang=de"``.
        :param headless: False for a browser with a window: declare ``env=[screen]`` with
            :class:`Xvfb`.
        :returns: a ``selenium.webdriver.ChromeOptions``.
        :raises ImportError: if selenium is not installed.
        """
        from selenium.webdriver import ChromeOptions

        made = ChromeOptions()
        ours = ["--headless=new"] if arguments.flag(self._called, "headless", headless) else []
        for switch in (*ours, "--no-sandbox", "--disable-dev-shm-usage", *switches):
            made.add_argument(switch)
        return made

    def _forget(self) -> None:
        import json

        with Client(self) as client:
            sessions = json.loads(client.request("GET", "/sessions"))["value"]
        for session in sessions:
            with Client(self) as client:
                client.request("DELETE", f"/session/{session['id']}")

    _own_resets = {True: _forget}
