"""A fixture with a service that cannot start, among tests that pass."""

from sample_services import ask, broken, ran, tcp

from summon_testcase import summon_fixture

lone = summon_fixture(lone=tcp("lone"), scope="class")
fails = summon_fixture({"broken": broken()}, scope="module")


class Bystander:
    def test_passes(self, lone):
        ran(self)
        assert ask(lone.lone.port) == "lone"


class CannotStart:
    def test_one(self, fails):
        ran(self)

    def test_two(self, fails):
        ran(self)


class CannotStartEither:
    def test_three(self, lone, fails):
        ran(self)


class Successor(Bystander):
    pass
