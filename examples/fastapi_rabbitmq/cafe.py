"""A café: guests order by HTTP, the kitchen is reached by queues: ``uvicorn cafe:app``."""

import asyncio
import itertools
import json
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from fastapi import FastAPI
from pydantic import BaseModel


class Order(BaseModel):
    item: str


@asynccontextmanager
async def open_queues(app: FastAPI) -> AsyncIterator[None]:
    async with await aio_pika.connect(os.environ["AMQP_URL"]) as connection:
        app.state.channel = await connection.channel()
        await app.state.channel.declare_queue("orders")
        ready = await app.state.channel.declare_queue("ready")
        await ready.consume(tell_guest)
        yield


app = FastAPI(lifespan=open_queues)
numbers = itertools.count(1)
ready: dict[int, asyncio.Event] = defaultdict(asyncio.Event)


async def tell_guest(message: AbstractIncomingMessage) -> None:
    async with message.process():
        ready[json.loads(message.body)["number"]].set()


@app.post("/orders", status_code=202)
async def order(order: Order) -> dict[str, int]:
    number = next(numbers)
    body = json.dumps({"number": number, "item": order.item}).encode()
    exchange = app.state.channel.default_exchange
    await exchange.publish(aio_pika.Message(body), routing_key="orders")
    return {"number": number}


@app.get("/orders/{number}/ready")
async def wait_until_ready(number: int) -> dict[str, bool]:
    """Answer when the kitchen says so."""
    await ready[number].wait()
    return {"ready": True}
