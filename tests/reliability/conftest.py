"""Tests that interrupt by a tracer run apart from the exceptions and the garbage of all others."""

import gc
import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def own_garbage() -> None:
    """Collect only what a test has made.

    It does so after each of many rounds, to see what is left, and most of the time of such a
    test would be a search through all that other tests have left, and have imported.
    """
    with warnings.catch_warnings():
        # what others have left would be the error of a test that has nothing to do with it
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """Call a test from a generator, which has its own exception that is being handled.

    What a tracer raises as an ``except`` clause begins leaves that clause's exception behind,
    on Python 3.11: each later one of the whole process would have it for its context.
    """
    names = pyfuncitem._fixtureinfo.argnames
    values = {name: pyfuncitem.funcargs[name] for name in names}

    def apart() -> Iterator[None]:
        pyfuncitem.obj(**values)
        yield

    next(apart())
    return True
