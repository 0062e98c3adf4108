"""The ready-made nginx."""

from __future__ import annotations

import os
import unittest

import requests

from summon_testcase import ProcessExited, SummonMixin, services

from ..needs import needs


@needs("nginx")
class NginxTest(SummonMixin, unittest.TestCase):
    """In front of an application, and with files of its own."""

    web = services.WSGI("tests.services.apps:wsgi", env={"SAID": "hello"})
    front = services.Nginx("location / { proxy_pass http://{web.host}:{web.port}; }")
    files = services.Nginx('root "{here}";')
    empty = services.Nginx()

    def test_in_front_of_an_application(self) -> None:
        self.assertEqual(requests.get(self.front.url).text, "hello")
        # larger than what it keeps in memory: it writes into its directory
        self.assertEqual(requests.post(self.front.url, data=b"x" * (1 << 20)).status_code, 200)
        self.assertOutput(self.front, r'"POST / HTTP/1.1" 200')

    def test_files(self) -> None:
        answer = requests.get(self.files.url_for(f"/{os.path.basename(__file__)}"))
        self.assertIn("class NginxTest", answer.text)

    def test_empty(self) -> None:
        self.assertEqual(requests.get(self.empty.url_for("/any")).status_code, 404)

    def test_a_wrong_configuration(self) -> None:
        with self.assertRaisesRegex(ProcessExited, 'unknown directive "no"'):
            services.Nginx("no such thing;").start()
