"""Run the shop's tests and tell what happened: ``python -m demo [DIRECTORY]``."""

import os
import sys
import tempfile
import time
import unittest

from demo.test_shop import DatabaseShopTest, ShopTest
from summon_testcase import subscribe
from summon_testcase.events import ServiceReady, ServiceSpawned, ServiceStopped


class Witness:
    """Tells what happens to the services as it happens, and keeps what the end shows."""

    def __init__(self):
        self.began = time.monotonic()
        self.pids = {}  # of all processes: the name of the service
        self.ready = []  # (name, pid, seconds until the start began, seconds until it was ready)

    def __call__(self, event):
        now = event.at - self.began
        if isinstance(event, ServiceSpawned):
            self.pids[event.pid] = event.service
        elif isinstance(event, ServiceReady):
            pid = next(pid for pid in reversed(self.pids) if self.pids[pid] == event.service)
            self.ready.append((event.service, pid, now - event.after, now))
            print(f"    {now:6.3f} s  {event.service}: ready after {event.after:.3f} s")
        elif isinstance(event, ServiceStopped):
            print(f"    {now:6.3f} s  {event.service}: stopped after {event.after:.3f} s")

    def alive(self):
        return [f"{name} ({pid})" for pid, name in self.pids.items() if is_alive(pid)]


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def run(case):
    """Run the tests of a TestCase; their result."""
    print()
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    print()
    return result


def main():
    # here a skip only means that there is less to see
    os.environ.pop("SUMMON_FORBID_SKIPS", None)
    report = os.path.abspath(
        sys.argv[1] if sys.argv[1:] else tempfile.mkdtemp(prefix="summon-demo-")
    )
    os.environ["SUMMON_REPORT"] = report
    witness = Witness()
    subscribe(witness)

    print("The shop needs its store, which needs PostgreSQL and Redis; a TestCase declares all of")
    print("them, and says who has to know of whom.")
    result = run(DatabaseShopTest)
    if result.skipped:
        print(
            "They are not both installed: a store that needs nothing but Python takes their place."
        )
        result = run(ShopTest)

    print("What was started, in seconds since the beginning:")
    print(f"    {'service':10} {'process':>8} {'started':>9} {'ready':>9} {'took':>9}")
    for name, pid, started, ready in witness.ready:
        print(f"    {name:10} {pid:8} {started:9.3f} {ready:9.3f} {ready - started:9.3f}")
    left = witness.alive()
    print(f"\nStill alive: {', '.join(left) or 'none'}")

    # Unless the services were ready, nothing was shown, whatever the tests say.
    complete = {"store", "web"} <= {name for name, *_ in witness.ready}
    fine = result.wasSuccessful() and complete and not left
    print(f"Tests: {result.testsRun} run, {'all is well' if fine else 'something is wrong'}")
    print(f"Report: {report}/report.html")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
