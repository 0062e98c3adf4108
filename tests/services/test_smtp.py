"""The ready-made mail server."""

from __future__ import annotations

import smtplib
import unittest
from email.message import EmailMessage

from summon_testcase import NotRunning, SummonMixin, services

from ..needs import needs


@needs("aiosmtpd", package="aiosmtpd")
class SMTPTest(SummonMixin, unittest.TestCase):
    """Each test finds no message."""

    mail = services.SMTP(reset=True)

    def send(self, *subjects: str) -> None:
        told = self.mail.env()
        with smtplib.SMTP(told["EMAIL_HOST"], int(told["EMAIL_PORT"])) as client:
            for subject in subjects:
                message = EmailMessage()
                message["Subject"], message["From"], message["To"] = subject, "me@x", "you@x"
                message.set_content("Grüße")
                client.send_message(message)

    def test_a_in_order(self) -> None:
        subjects = [f"order {number}" for number in range(20)]
        self.assertEqual(self.mail.messages(), [])
        self.send(*subjects)
        messages = self.mail.messages()
        self.assertEqual([message["Subject"] for message in messages], subjects)
        self.assertEqual(messages[0].get_content(), "Grüße\n")

    def test_b_in_order(self) -> None:
        self.test_a_in_order()

    def test_without_a_server(self) -> None:
        with self.assertRaises(NotRunning):
            services.SMTP().messages()
