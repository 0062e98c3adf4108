"""The café, with a kitchen that is played by the test: all of it in one event loop."""

import asyncio
import json
from unittest import IsolatedAsyncioTestCase

import aio_pika
import httpx

from summon_testcase import SummonMixin
from summon_testcase.services import ASGI, RabbitMQ


class CafeTest(SummonMixin, IsolatedAsyncioTestCase):
    broker = RabbitMQ(reset="purge")
    web = ASGI("cafe:app", env=[broker], cwd="{here}")

    async def asyncSetUp(self):
        self.guest = httpx.AsyncClient(base_url=self.web.url)
        self.addAsyncCleanup(self.guest.aclose)
        connection = await aio_pika.connect(self.broker.url)
        self.addAsyncCleanup(connection.close)
        self.kitchen = await connection.channel()

    async def order(self, item):
        answer = await self.guest.post("/orders", json={"item": item})
        self.assertEqual(answer.status_code, 202)
        return answer.json()["number"]

    async def next_order(self):
        orders = await self.kitchen.get_queue("orders")
        async with (await orders.get(timeout=5)).process() as message:
            return json.loads(message.body)

    async def test_the_kitchen_gets_the_order(self):
        number = await self.order("tea")
        self.assertEqual(await self.next_order(), {"number": number, "item": "tea"})

    async def test_the_till_prints_each_order(self):
        await self.order("tea")
        await self.assertOutputAsync(self.web, '"POST /orders HTTP/1.1" 202')

    async def test_guests_order_while_a_branch_opens(self):
        branch = ASGI("cafe:app", name="branch", env=[self.broker], cwd="{here}")
        opening = asyncio.create_task(branch.start_async())
        self.addAsyncCleanup(branch.stop_async)
        await self.order("tea")  # the loop goes on
        await opening
        await self.guest.post(branch.url_for("/orders"), json={"item": "cake"})
        items = [(await self.next_order())["item"] for _ in range(2)]
        self.assertEqual(items, ["tea", "cake"])

    async def test_many_guests_order_at_once(self):
        numbers = await asyncio.gather(*(self.order(f"tea {n}") for n in range(20)))
        seen = [(await self.next_order())["number"] for _ in numbers]
        self.assertCountEqual(seen, numbers)

    async def test_a_guest_waits_for_the_kitchen(self):
        number = await self.order("coffee")
        waiting = asyncio.create_task(self.guest.get(f"/orders/{number}/ready"))
        order = json.dumps({"number": (await self.next_order())["number"]})
        message = aio_pika.Message(order.encode())
        await self.kitchen.default_exchange.publish(message, routing_key="ready")
        self.assertEqual((await waiting).json(), {"ready": True})
