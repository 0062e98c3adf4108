"""Services of all scopes, which another module shares."""

from unittest import skip

from sample_services import ask, ran, tcp

from summon_testcase import SummonTestCase


class Shared(SummonTestCase):
    """Each of its services may refer to those that live longer."""

    hub = tcp("hub", scope="run", reset=lambda hub: ask(hub.port, "/reset"))
    area = tcp("area", scope="module", after="hub")
    own = tcp("own", scope="test", env={"AREA": "{area.port}"})

    def test_all(self):
        ran(self)
        for name in ("hub", "area", "own"):
            self.assertEqual(ask(getattr(self, name).port), name)


class SharedAgain(Shared):
    lone = tcp("lone", after="area")

    def test_lone(self):
        ran(self)
        self.assertEqual(ask(self.lone.port), "lone")


@skip("the class")
class Skipped(SummonTestCase):
    never = tcp("never", scope="run")

    def test_never(self):
        ran(self)
