"""``python -m summon_testcase`` is the command ``summon``."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
