"""A test with fixtures during which Ctrl-C is pressed."""

from sample_services import ran, tcp, until_ctrl_c

from summon_testcase import summon_fixture

early = summon_fixture(early=tcp("early"), scope="class")
lone = summon_fixture(lone=tcp("lone"), scope="function")
shared = summon_fixture(shared=tcp("shared"), scope="session")


class Before:
    def test_before(self, early):
        ran(self)


class Interrupted:
    def test_interrupted(self, shared, lone):
        ran(self)
        until_ctrl_c()
