"""Services that are fixtures of pytest: what any test module may hold."""

import pytest
from sample_services import ask, http, ran, tcp

from summon_testcase import summon_fixture


class Stack:
    """Two services, one of which needs the other."""

    front = http("front", "{back.port}")
    back = tcp("back")

    def answer(self):
        return ask(self.front.port)


stack = summon_fixture(Stack, scope="class", each=True)
extra = summon_fixture(extra=tcp("extra"), scope="function")
never = summon_fixture({"never": tcp("never")}, scope="function")
# another module imports these
hubs = summon_fixture(
    hub=tcp("hub", reset=lambda hub: ask(hub.port, "/reset")), scope="session", each=True
)
areas = summon_fixture(area=tcp("area"), scope="module", autouse=True)
# called by their ports, so that the log shows who had which, and when
ports = summon_fixture(first=tcp("{port}"), second=tcp("{port}"), scope="class")
port = summon_fixture(port=tcp("{port}"), scope="function")


class Dependent:
    @pytest.fixture
    def answer(self, stack: Stack):
        return stack.answer()

    def test_front_asks_back(self, answer, stack, front):
        ran(self)
        assert front is stack.front
        assert answer == "front<back"

    def test_back(self, back):
        ran(self)
        assert ask(back.port) == "back"


class ForOneTest:
    def test_extra(self, extra):
        ran(self)
        assert ask(extra.extra.port) == "extra"

    @pytest.mark.usefixtures("extra")
    def test_again(self, hub):
        ran(self)
        assert ask(hub.port) == "hub"


class Shared:
    def test_both(self, hubs, areas):
        ran(self)
        assert [ask(hubs.hub.port), ask(areas.area.port)] == ["hub", "area"]

    def test_for_a_while(self, ports, port):
        ran(self)
        for _ in range(10):
            for service in (ports.first, ports.second, port.port):
                assert ask(service.port) == str(service.port)


class SharedAgain(Shared):
    """One class has the ports of another, at the same time or later."""


@pytest.mark.skip
class SkippedClass:
    def test_never(self, never):
        ran(self)


class SkippedMethods:
    @pytest.mark.skip
    def test_never(self, never):
        ran(self)
