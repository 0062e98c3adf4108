"""Makes the report of a directory: ``python -m summon_testcase.reports DIR``.

The warden runs it when the test process was killed.
"""

from __future__ import annotations

import signal
import sys

from .directory import Directory, has_ended
from .writing import write


def main() -> int:
    """Run with the argument DIR; the exit status is 1 if something could not be written.

    With a part as second argument, nothing is done if the process of that part has come to its end.
    """
    if len(sys.argv) not in (2, 3):
        print("usage: python -m summon_testcase.reports DIR", file=sys.stderr)
        return 2
    if any(map(has_ended, sys.argv[2:])):
        return 0
    # the warden ignores signals, and what it runs would inherit that
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    directory = Directory(sys.argv[1])
    if not directory.all_parts():
        print(f"{directory.path} has no parts of a report", file=sys.stderr)
        return 1
    with directory.turn():
        problems = write(directory) if directory.alone() or not sys.argv[2:] else []
    for problem in problems:
        print(problem, file=sys.stderr)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
