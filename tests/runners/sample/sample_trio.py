"""Coroutines of trio, as anyio runs them."""

import anyio
import pytest
from sample_services import ask, ran, tcp

from summon_testcase import summon_fixture

stack = summon_fixture(lone=tcp("lone"), scope="module")


@pytest.fixture
def anyio_backend():
    return "trio"


@pytest.fixture
async def own():
    own = tcp("own")
    await anyio.to_thread.run_sync(own.start)
    yield own
    await anyio.to_thread.run_sync(own.stop)


class OnTrio:
    async def test_both(self, stack, own):
        ran(self)
        for service, name in {stack.lone: "lone", own: "own"}.items():
            assert await anyio.to_thread.run_sync(ask, service.port) == name
