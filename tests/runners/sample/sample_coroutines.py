"""Coroutines of pytest-asyncio and anyio: services that are fixtures, and some of their own."""

import asyncio
from unittest import IsolatedAsyncioTestCase

import pytest
from sample_services import ask, http, ran, tcp

from summon_testcase import SummonMixin, summon_fixture

stack = summon_fixture(lone=tcp("lone"), scope="module")


@pytest.fixture
def anyio_backend():
    """What anyio runs them on; pytest-asyncio does not ask."""
    return "asyncio"


@pytest.fixture
async def office():
    """A server on the loop of the test, whose answer is a name."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\noffice")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@pytest.fixture
async def courier(office):
    """A service that is not ready before the loop has answered it."""
    async with http("courier", str(office)) as courier:
        yield courier


class Coroutines:
    async def test_waits(self, stack):
        ran(self)
        ask(stack.lone.port, "/tea")
        match = await stack.lone.wait_for_output_async(r"GET /(\w+)", timeout=5)
        assert match[1] == "tea"

    async def test_is_called_back(self, courier):
        ran(self)
        answer = await asyncio.to_thread(ask, courier.port)
        assert answer == "courier<office"


class Isolated(SummonMixin, IsolatedAsyncioTestCase):
    lone = tcp("lone")

    async def test_waits(self):
        ran(self)
        ask(self.lone.port, "/tea")
        await self.assertOutputAsync(self.lone, "GET /tea")
