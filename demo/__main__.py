"""Run the shop's tests and tell what happened: ``python -m demo [REPORT]``."""

import logging
import os
import re
import sys
import tempfile
import time
import unittest

from demo.test_shop import DatabaseShopTest, ShopTest


class Story:
    """Prints lines and keeps them for the report; a stream, so that a runner can write to it."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text
        sys.stdout.write(text)

    def flush(self):
        sys.stdout.flush()

    def say(self, line=""):
        self.write(f"{line}\n")

    def save(self, path=None):
        """Write the report, by default to a new file for temporary things."""
        if path is None:
            descriptor, path = tempfile.mkstemp(prefix="summon_testcase-demo-", suffix=".txt")
        else:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        with open(descriptor, "w") as report:
            report.write(self.text)
        return os.path.abspath(path)


class Witness(logging.Handler):
    """Handles the library's own log records, and notes each service that becomes ready."""

    def __init__(self, story):
        super().__init__(logging.INFO)
        self.story = story
        self.case = ShopTest  # the one that is run
        self.began = time.monotonic()
        self.seen = []  # (name, pid, started, ready), in seconds since the beginning

    def emit(self, record):
        now = time.monotonic() - self.began
        message = record.getMessage()
        self.story.say(f"    {now:6.3f} s  {message}")
        match = re.match(r"(\w+): ready after ([\d.]+) s", message)
        if match:
            name, took = match[1], float(match[2])
            self.seen.append((name, getattr(self.case, name).pid, now - took, now))


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def run(case, story, witness):
    """Run the tests of a TestCase; their result."""
    witness.case = case
    story.say()
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    result = unittest.TextTestRunner(stream=story, verbosity=2).run(suite)
    story.say()
    return result


def main():
    story = Story()
    witness = Witness(story)
    logger = logging.getLogger("summon_testcase")
    logger.setLevel(logging.INFO)
    logger.addHandler(witness)

    # here a skip only means that there is less to see
    os.environ.pop("SUMMON_FORBID_SKIPS", None)
    story.say(
        "The shop needs its store, which needs PostgreSQL and Redis; a TestCase declares all of"
    )
    story.say("them, and says who has to know of whom.")
    result = run(DatabaseShopTest, story, witness)
    if result.skipped:
        story.say(
            "They are not both installed: a store that needs nothing but Python takes their place."
        )
        result = run(ShopTest, story, witness)

    story.say("What was started, in seconds since the beginning:")
    story.say(f"    {'service':10} {'process':>8} {'started':>9} {'ready':>9} {'took':>9}")
    for name, pid, started, ready in witness.seen:
        story.say(f"    {name:10} {pid:8} {started:9.3f} {ready:9.3f} {ready - started:9.3f}")
    left = [f"{name} ({pid})" for name, pid, *_ in witness.seen if is_alive(pid)]
    story.say()
    story.say(f"Still alive: {', '.join(left) or 'none'}")

    # Unless the services were ready, nothing was shown, whatever the tests say.
    complete = {"store", "web"} <= {name for name, *_ in witness.seen}
    fine = result.wasSuccessful() and complete and not left
    story.say(f"Tests: {result.testsRun} run, {'all is well' if fine else 'something is wrong'}")
    print(f"Report: {story.save(*sys.argv[1:2])}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
