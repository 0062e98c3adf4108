"""A coroutine that fails."""

import pytest
from sample_services import ask, ran, tcp

from summon_testcase import summon_fixture

stack = summon_fixture(talker=tcp("talker"), scope="module")


@pytest.fixture
def anyio_backend():
    return "asyncio"


class CoroutineFails:
    async def test_their_case(self, stack):
        ran(self)
        ask(stack.talker.port, "/said-in-their-case-")
        await stack.talker.wait_for_output_async("their-case", timeout=5)
        raise AssertionError("a coroutine fails")
