"""Tests that interrupt by a tracer run apart from the exceptions of all others."""

from collections.abc import Iterator

import pytest


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
