"""Takes the pictures of a report that ``report.rst`` shows.

``python docs/report_picture.py``, in the environment of ``make test``, runs the tests of a small
shop, and writes ``docs/report.png`` and ``docs/report-small.png`` anew; both are committed.  It
needs redis-server, PostgreSQL, Chromium and its driver.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from selenium import webdriver

from summon_testcase.services import Chromedriver

DOCS = Path(__file__).resolve().parent
#: the files of the pictures, and the width and the height of the browser's window
PICTURES = {"report.png": (1280, 800), "report-small.png": (390, 844)}

SHOP = """
import os, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pg8000.native
import redis

url = urlsplit(os.environ["DATABASE_URL"])
db = pg8000.native.Connection(url.username or "postgres", host=url.hostname, port=url.port)
if sys.argv[1] == "tables":
    for table in "teas", "orders", "customers":
        print("creating the table", table, flush=True)
        db.run(f"CREATE TABLE {table} (id serial, name text)")
        time.sleep(0.1)
    sys.exit()
cache = redis.Redis.from_url(os.environ["REDIS_URL"])

class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            name = self.path.strip("/")
            seen = cache.incr(name)
            db.run("INSERT INTO orders (name) VALUES (:name)", name=name)
            cache.lpush("mails", name)
            status = 200
        except Exception as error:
            print("cannot sell:", error, flush=True)
            status = 500
        self.send_response(status)
        self.end_headers()

if sys.argv[1] == "mails":
    time.sleep(0.3)
    print("waiting for mails", flush=True)
    while True:
        print("mail about", cache.brpop("mails", timeout=60), flush=True)
time.sleep(0.2)
HTTPServer(("127.0.0.1", int(sys.argv[2])), Page).serve_forever()
"""

TESTS = """
import os
import signal
from unittest import TestCase

import requests
from summon_testcase import (
    HTTPCoordinatedExecutor, OutputCoordinatedExecutor, SimpleExecutor, SummonMixin
)
from summon_testcase.services import PostgreSQL, Redis

URLS = {"DATABASE_URL": "{db.url}", "REDIS_URL": "{cache.url}"}


class Shop(SummonMixin):
    db = PostgreSQL()
    cache = Redis(reset=True, restart=True)
    tables = SimpleExecutor("{python} shop.py tables", env=URLS, one_shot=True)
    web = HTTPCoordinatedExecutor(
        "{python} shop.py web {port}", url="http://{host}:{port}/", env=URLS, after=["tables"]
    )
    mails = OutputCoordinatedExecutor(
        "{python} shop.py mails", banner="waiting for mails", env=URLS, restart=True
    )

    def sell(self, name):
        answer = requests.get(self.web.url_for(name), timeout=5)
        self.assertEqual(answer.status_code, 200)


class BasketTest(Shop, TestCase):
    def test_mails_what_was_sold(self):
        self.sell("sencha")
        self.mails.wait_for_output("sencha", timeout=5)

    def test_sells_while_no_mail_goes_out(self):
        with self.mails.paused():
            for number in range(40):
                self.sell(f"tea_{number}")

    def test_needs_no_cache(self):
        os.kill(self.cache.pid, signal.SIGKILL)
        self.sell("oolong")


class OrderTest(Shop, TestCase):
    def test_knows_orders_after_a_restart(self):
        self.sell("assam")
        self.web.restart()
        self.sell("assam")


def sells(number):
    def test(self):
        for time in range(1 + number * 7 % 12):
            self.sell(f"tea_{time}")
    return test


for number in range(24):
    setattr(BasketTest, f"test_sells_tea_{number:02}", sells(number))
    setattr(OrderTest, f"test_sells_tea_{number:02}", sells(number))
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "shop.py").write_text(SHOP)
        (folder / "test_shop.py").write_text(TESTS)
        run_tests(folder)
        take_pictures(folder / "report" / "report.html")


def run_tests(folder: Path) -> None:
    """One test fails, so the exit status is not 0."""
    env = {**os.environ, "SUMMON_REPORT": "report"}
    options = ("-q", "-n", "2", "--dist", "loadscope", "-p", "no:cacheprovider")
    subprocess.run([sys.executable, "-m", "pytest", *options], cwd=folder, env=env)


def take_pictures(report: Path) -> None:
    with Chromedriver() as driver:
        with webdriver.Remote(driver.url, options=driver.browser_options()) as browser:
            for name, (width, height) in PICTURES.items():
                size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
                browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
                browser.get(report.as_uri())
                browser.execute_async_script(
                    "requestAnimationFrame(() => setTimeout(arguments[0], 100))"
                )
                browser.save_screenshot(str(DOCS / name))


if __name__ == "__main__":
    main()
