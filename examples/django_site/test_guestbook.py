"""The guestbook as its visitors meet it: by HTTP, with a real database behind it."""

from pathlib import Path
from unittest import TestCase

import requests

from summon_testcase import Defaults, HTTPCoordinatedExecutor, SummonMixin
from summon_testcase.services import PostgreSQL


class GuestbookTest(SummonMixin, TestCase):
    summon = Defaults(cwd="{here}")
    db = PostgreSQL(
        template="{python} manage.py migrate",
        template_key=Path("guestbook/migrations"),
        reset=True,
    )
    site = HTTPCoordinatedExecutor(
        "{python} manage.py runserver --noreload {host}:{port}",
        url="http://{host}:{port}/",
        env=[db],
    )

    def setUp(self):
        self.visitor = requests.Session()
        self.addCleanup(self.visitor.close)

    def read(self):
        return self.visitor.get(self.site.url, timeout=5).text

    def sign(self, name, text):
        self.read()  # the form comes with a token, in a cookie
        token = self.visitor.cookies["csrftoken"]
        form = {"name": name, "text": text, "csrfmiddlewaretoken": token}
        return self.visitor.post(self.site.url, data=form, timeout=5)

    def test_a_visitor_signs(self):
        page = self.sign("Ann", "Tea & <b>biscuits</b>").text
        self.assertIn("<b>Ann</b>: Tea &amp; &lt;b&gt;biscuits", page)

    def test_nobody_is_not_a_name(self):
        self.assertEqual(self.sign("", "I was here").status_code, 400)
        self.assertIn("0 have signed", self.read())

    def test_a_form_from_elsewhere_is_refused(self):
        answer = requests.post(self.site.url, data={"name": "Eve", "text": "spam"}, timeout=5)
        self.assertEqual(answer.status_code, 403)

    def test_entries_outlive_a_restart(self):
        self.sign("Bob", "Here again")
        self.site.restart()
        self.assertIn("1 have signed", self.read())
