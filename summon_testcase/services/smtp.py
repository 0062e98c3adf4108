"""A mail server that keeps what it is sent."""

from __future__ import annotations

import signal
from email.message import EmailMessage
from typing import Any

from ..foreign import suppress
from ..unpatched import open, os
from .ready_made import ReadyMade


class SMTP(ReadyMade):
    """A mail server (aiosmtpd) that takes any message, and keeps it for the test.

    Ready once it answers ``EHLO``.

    :param options: further arguments of ``aiosmtpd``, ``["-s", "33554432"]`` for large messages.
    :param reset: True to forget all messages before each test but the first.

    The other arguments are those of :class:`~summon_testcase.SimpleExecutor`.
    """

    _programs = ("aiosmtpd",)
    _pypi = "aiosmtpd"
    _protocol = "smtp"
    _address = "smtp://{address}"

    def __init__(self, **options: Any) -> None:
        words = ["-n", "-l", "{host}:{port}"]
        words += ["-c", "aiosmtpd.handlers.Mailbox", "{tmpdir}/mail"]
        # by SIGTERM it ends in the middle of a message
        super().__init__(words, **{"stop_signal": signal.SIGINT, **options})

    def env(self) -> dict[str, str]:
        """``EMAIL_URL``, ``EMAIL_HOST`` and ``EMAIL_PORT``."""
        return {"EMAIL_URL": self.url, "EMAIL_HOST": self.host, "EMAIL_PORT": str(self.port)}

    def messages(self) -> list[EmailMessage]:
        """All messages that were sent to it, and not forgotten, in the order of their arrival.

        :raises NotRunning: if it is not running.
        """
        import email
        import email.policy

        found = []
        for path in self._mails():
            with open(path, "rb") as file:
                message = email.message_from_binary_file(file, policy=email.policy.default)
                assert isinstance(message, EmailMessage)
                found.append(message)
        return found

    def _mails(self) -> list[str]:
        """The files with the messages, in the order in which they came."""
        place = os.path.join(self.tmpdir, "mail", "new")
        with suppress(FileNotFoundError):
            files = [os.path.join(place, name) for name in os.listdir(place)]
            return sorted(files, key=lambda path: (os.stat(path).st_mtime_ns, path))
        return []

    def _forget(self) -> None:
        for path in self._mails():
            os.unlink(path)

    _own_resets = {True: _forget}
