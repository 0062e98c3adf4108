"""The guestbook as Django's test client sees it, and as its visitors do."""

import requests
from django.test import TestCase
from guestbook.models import Entry

from summon_testcase.django import SummonLiveServerTestCase


class BookTest(TestCase):
    """In the process of the tests, and in a transaction: fast, and good for most."""

    def test_shows_who_has_signed(self):
        Entry.objects.create(name="Ann", text="Tea & <b>biscuits</b>")
        self.assertContains(self.client.get("/"), "<b>Ann</b>: Tea &amp; &lt;b&gt;biscuits")

    def test_nobody_is_not_a_name(self):
        answer = self.client.post("/", {"name": "", "text": "I was here"})
        self.assertContains(answer, "0 have signed", status_code=400)
        self.assertFalse(Entry.objects.exists())


class VisitorTest(SummonLiveServerTestCase):
    """By HTTP, from a process of its own, as in production: with cookies, forms and restarts."""

    def setUp(self):
        self.visitor = requests.Session()
        self.addCleanup(self.visitor.close)

    def read(self):
        return self.visitor.get(self.live_server_url, timeout=5).text

    def sign(self, name, text):
        self.read()  # the form comes with a token, in a cookie
        token = self.visitor.cookies["csrftoken"]
        form = {"name": name, "text": text, "csrfmiddlewaretoken": token}
        return self.visitor.post(self.live_server_url, data=form, timeout=5)

    def test_a_visitor_signs(self):
        self.assertIn("<b>Ann</b>: Tea", self.sign("Ann", "Tea").text)
        self.assertEqual(Entry.objects.get().name, "Ann")

    def test_a_form_from_elsewhere_is_refused(self):
        form = {"name": "Eve", "text": "spam"}
        answer = requests.post(self.live_server_url, data=form, timeout=5)
        self.assertEqual(answer.status_code, 403)

    def test_entries_outlive_a_restart(self):
        self.sign("Bob", "Here again")
        self.site.restart()
        self.assertIn("1 have signed", self.read())
