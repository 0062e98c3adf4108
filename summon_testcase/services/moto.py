"""S3 and the rest of AWS, as moto imitates them."""

from __future__ import annotations

from typing import Any

from .client import Client
from .web_server import WebServer


class Moto(WebServer):
    """A moto server: S3, SQS, DynamoDB and the rest of AWS, in memory.

    Ready once it answers a request.

    :param options: further arguments of ``moto_server``.
    :param reset: True to forget all that is in it (``/moto-api/reset``) before each test but the
        first.

    The other arguments are those of :class:`~summon_testcase.SimpleExecutor`.
    """

    _programs = ("moto_server",)
    _pypi = "moto[server]"

    def __init__(self, **options: Any) -> None:
        super().__init__(["-H", "{host}", "-p", "{port}"], path="/moto-api/", **options)

    def env(self) -> dict[str, str]:
        """``AWS_ENDPOINT_URL``, and credentials and a region, without which clients refuse."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def _forget(self) -> None:
        with Client(self) as client:
            client.request("POST", "/moto-api/reset")

    _own_resets = {True: _forget}
