"""What runners do with plain unittest code, without anything of ours."""

from __future__ import annotations

import signal
from collections import Counter

from .matrix_checks import DEADLINE, PATIENCE, Ran, run
from .matrix_rows import Row

FACTS = (
    "setUpClass per class",
    "tearDownClass",
    "class clean-ups",
    "module clean-ups",
    "setUpClass raises",
    "skip in setUpClass",
    "setUpClass of a skipped class",
    "splits classes",
    "prints notes",
    "Ctrl-C in a test",
)


def often(ran: Ran, hook: str, case: str | None = None) -> list[int]:
    """How often a hook was called for each of the classes, or for one."""
    count: Counter[str] = Counter()
    for line in ran.outcome.log:
        if line.startswith(f"{hook} "):
            count[line.split()[1]] += 1
    return [count[c] for c in ([case] if case else ("Hooks", "HooksAgain", "HooksOnceMore"))]


def in_words(counts: list[int], row: Row) -> str:
    if not any(counts):
        return "never"
    if set(counts) == {1}:
        return "once"
    if max(counts) <= row.workers:
        return "once per worker" if row.splits or row.copies > 1 else "once or twice"
    return f"up to {max(counts)} times"


def find(row: Row) -> dict[str, str]:
    """Run the plain modules of the sample, and look at which hooks were called."""
    facts = dict.fromkeys(FACTS, "")
    ran = run(row, ["sample_plain"])
    for fact, hook in zip(
        FACTS, ("setUpClass", "tearDownClass", "classCleanup", "moduleCleanup"), strict=False
    ):
        facts[fact] = in_words(often(ran, hook), row)
    called = facts["setUpClass per class"] != "never"
    tests = Counter(line for line in ran.outcome.log if line.startswith("ran Hooks"))
    splits = any(count < 4 for count in tests.values())  # of a class, in one process
    facts["splits classes"] = "yes" if splits else "no" if row.workers > 1 else ""
    facts["setUpClass of a skipped class"] = (
        "called" if any(often(ran, "setUpClass", "Marked")) else "not called"
    )
    if called:
        cleaned = any(often(ran, "classCleanup", "Skips"))
        skips = "fails" if ran.outcome.status else "skips"
        facts["skip in setUpClass"] = with_cleanups(skips, cleaned)
    ran = run(row, ["sample_plain_raises"])
    if called:
        cleaned = any(often(ran, "classCleanup", "Raises"))
        fails = "fails" if ran.outcome.status else "**passes**"
        facts["setUpClass raises"] = with_cleanups(fails, cleaned)
    ran = run(row, ["sample_plain_fails"])
    if "the message" in ran.said:
        facts["prints notes"] = "yes" if "the note of an exception" in ran.said else "no"
    ran = run(row, ["sample_plain_interrupted"], PATIENCE if row.hangs else DEADLINE)
    hooks = [
        words
        for hook, words in {
            "tearDownClass": "tearDownClass",
            "classCleanup": "clean-ups",
            "atexit": "atexit",
        }.items()
        if any(often(ran, hook, "Interrupted"))
    ]
    status = ran.outcome.status
    end = f"exits with {status}" if status >= 0 else f"dies by {signal.Signals(-status).name}"
    end = "**hangs**" if ran.hung else end
    facts["Ctrl-C in a test"] = f"{', '.join(hooks) or 'nothing runs'}; {end}"
    return facts


def with_cleanups(word: str, cleaned: bool) -> str:
    return f"{word}, {'with' if cleaned else '**without**'} clean-ups"
