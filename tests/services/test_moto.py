"""The ready-made moto server."""

from __future__ import annotations

import os
import unittest
from typing import Any
from unittest import mock

from summon_testcase import SummonMixin, services

from ..needs import needs


@needs("moto_server", package="moto[server]")
class MotoTest(SummonMixin, unittest.TestCase):
    """Each test finds it empty."""

    aws = services.Moto(reset=True)

    def client(self) -> Any:
        import boto3

        with mock.patch.dict(os.environ, self.aws.env()):
            return boto3.client("s3")

    def test_a_is_empty(self) -> None:
        self.assertEqual(self.client().list_buckets()["Buckets"], [])
        self.client().create_bucket(Bucket="orders")

    def test_b_is_empty(self) -> None:
        self.assertEqual(self.client().list_buckets()["Buckets"], [])
        self.client().create_bucket(Bucket="orders")
