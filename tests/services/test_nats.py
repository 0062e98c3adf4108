"""The ready-made NATS."""

from __future__ import annotations

import unittest
from pathlib import Path

from summon_testcase import SummonMixin, services

from ..needs import needs


@needs("nats-server")
class NATSTest(SummonMixin, unittest.IsolatedAsyncioTestCase):
    """The usual client can use it."""

    broker = services.NATS(jetstream=True)

    async def test_a_request_is_answered(self) -> None:
        import nats

        client = await nats.connect(self.broker.env()["NATS_URL"])

        async def answer(message: nats.aio.msg.Msg) -> None:
            await message.respond(b"two")

        await client.subscribe("sum", cb=answer)
        answered = await client.request("sum", b"1 1", timeout=10)
        self.assertEqual(answered.data, b"two")
        await client.close()

    async def test_streams_are_in_its_directory(self) -> None:
        import nats

        client = await nats.connect(self.broker.url)
        await client.jetstream().add_stream(name="orders", subjects=["orders"])
        await client.jetstream().publish("orders", b"one cup")
        await client.close()
        self.assertTrue([p for p in Path(self.broker.tmpdir).rglob("orders") if p.is_dir()])


@needs("nats-server")
class ForgetfulNATSTest(SummonMixin, unittest.IsolatedAsyncioTestCase):
    """Each test finds no stream."""

    broker = services.NATS(jetstream=True, reset=True)

    async def add_stream(self) -> None:
        import nats

        client = await nats.connect(self.broker.url)
        self.assertEqual(await client.jetstream().streams_info(), [])
        await client.jetstream().add_stream(name="orders", subjects=["orders"])
        await client.close()

    async def test_a_finds_no_stream(self) -> None:
        await self.add_stream()

    async def test_b_finds_no_stream(self) -> None:
        await self.add_stream()
