"""Decorates functions of all kinds so that services run during their calls."""

from __future__ import annotations

import functools
import threading
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import (
    AbstractContextManager,
    ExitStack,
    aclosing,
    asynccontextmanager,
    contextmanager,
)
from typing import Any

from ..errors import InvalidArgument
from ..tracebacks import hidden

#: has unittest leave our frames, which are above those of the user's function, out of tracebacks
__unittest = True


class Shared:
    """A context that calls at the same time share.

    A function may call itself, and tasks and threads may call it at the same time.  The first
    call enters the context, the others wait for that, and the last one to end leaves it.

    :param context: the context to enter.
    """

    def __init__(self, context: AbstractContextManager[object]) -> None:
        self._context = context
        self._inside = 0
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        __tracebackhide__ = hidden
        with self._lock:
            if not self._inside:
                self._context.__enter__()
            self._inside += 1

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> bool | None:
        with self._lock:
            self._inside -= 1
            return None if self._inside else self._context.__exit__(kind, error, traceback)


def decorated(context: AbstractContextManager[object], function: Any) -> Any:
    """A function that enters a context for each of its calls.

    If the function makes a coroutine or a generator, the context is left when that ends.

    :raises InvalidArgument: for a class, and for objects that cannot be called.
    """
    import inspect

    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(decorated(context, function.__func__))
    if isinstance(function, type):
        raise InvalidArgument(
            f"orchestrated() decorates functions, and {function.__name__} is a class: write class "
            f"{function.__name__}(SummonMixin, TestCase) with the services as class attributes, or "
            "decorate its methods"
        )
    if not callable(function):
        raise InvalidArgument(f"orchestrated() decorates functions, not {function!r}")
    managers = [make(function).__code__ for make in (contextmanager, asynccontextmanager)]
    if getattr(function, "__code__", None) in managers:
        raise InvalidArgument(
            f"orchestrated() is given {function.__name__}(), whose context would begin when the "
            "services are gone: write @contextmanager above @orchestrated(…)"
        )

    async def awaiting(*args: Any, **kwargs: Any) -> Any:
        with context:
            return await function(*args, **kwargs)

    def yielding(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with context:
            return (yield from function(*args, **kwargs))

    def calling(*args: Any, **kwargs: Any) -> Any:
        with context:
            result = function(*args, **kwargs)
            if inspect.isgenerator(result):  # a decorated generator function is not seen as one
                return _yielding(context, result)
            if inspect.isasyncgen(result):
                return _yielding_async(context, lambda: result)()
            deferred = hasattr(result, "addBoth")  # twisted's
            if not deferred and not inspect.isawaitable(result):
                return result
            # entered once more, and left when the result has come
            context.__enter__()
            stack = ExitStack()
            stack.push(context)
        if deferred:
            return result.addBoth(functools.partial(_passed, stack))
        return _awaited(result, stack)

    # an object may have a coroutine or generator function as its __call__()
    kinds = [function, vars(type(function)).get("__call__")]
    wrapper: Callable[..., Any] = calling
    for kind, fitting in (
        (inspect.isasyncgenfunction, _yielding_async(context, function)),
        (inspect.iscoroutinefunction, awaiting),
        (inspect.isgeneratorfunction, yielding),
    ):
        if any(map(kind, kinds)):
            wrapper = fitting
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if flags & inspect.CO_ITERABLE_COROUTINE:
        wrapper = types.coroutine(yielding)
    return functools.wraps(function)(wrapper)


def _yielding(context: AbstractContextManager[object], inner: Any) -> Generator[Any, Any, Any]:
    """Wrap a generator that has not begun: the context is entered when it begins."""
    with context:
        return (yield from inner)


def _yielding_async(context: AbstractContextManager[object], function: Any) -> Callable[..., Any]:
    async def yielding_async(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with context:
            async with aclosing(function(*args, **kwargs)) as inner:
                step = inner.__anext__()
                while True:
                    try:
                        given = await step
                    except StopAsyncIteration:
                        return
                    try:
                        step = inner.asend((yield given))
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        step = inner.athrow(error)

    return yielding_async


async def _awaited(result: Awaitable[Any], stack: ExitStack) -> Any:
    with stack:
        return await result


def _passed(stack: ExitStack, result: Any) -> Any:
    stack.close()
    return result
