"""Runs the steps of a start, a stop or a wait on an asyncio event loop, which goes on meanwhile.

Imported only by coroutines that need it, since asyncio takes long to import.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable

from ..foreign import let_through
from ..unpatched import os, time
from .steps import SHARED, Pause, Steps, T, background


async def run(steps: Steps[T]) -> T:
    """Run a start, a stop or a wait to its end; other tasks of the loop run in its pauses.

    An exception that comes during a pause, CancelledError above all, is raised inside the
    generator, so that it can clean up.  The clean-up kills, and takes milliseconds in which the
    loop stands still.

    What is in the :data:`~.steps.background` goes on meanwhile.

    :raises RuntimeError: if no asyncio event loop runs here.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        steps.close()
        raise RuntimeError(
            "no asyncio event loop runs here: call the method without _async; under trio in a "
            "thread, await anyio.to_thread.run_sync(service.start)"
        ) from None
    try:
        pause = next(steps)
        while True:
            try:
                await wait(background.beside(pause) if background.members else pause)
                if background.members:
                    background.advance()
            except GeneratorExit:  # the loop is gone, and with it all pauses
                raise
            except BaseException as error:
                pause = steps.throw(error)
            else:
                pause = next(steps)
    except StopIteration as end:
        value: T = end.value
        return value
    except BaseException:
        steps.close()
        raise


async def wait(pause: Pause) -> None:
    """Let other tasks run as long as a pause says.

    May return early: the caller looks whether its event has come.
    """
    seconds = pause.until - time.monotonic()
    fds = {*pause.fds, *(question.fileno() for question in pause.asked)}
    if seconds <= 0 or any(question.fresh for question in pause.asked):
        await asyncio.sleep(0)
        return
    loop = asyncio.get_running_loop()
    over = loop.create_future()

    def wake() -> None:
        if not over.done():
            over.set_result(None)

    # another thread may read the news, as in a wait that blocks
    timer = loop.call_later(min(seconds, SHARED if fds else 86400.0), wake)
    watched: list[int] = []
    try:
        for fd in fds:
            if fd >= 0 and not _watch(loop, fd, wake, watched):
                return
        await over
    finally:
        timer.cancel()
        for copy in watched:
            loop.remove_reader(copy)
            os.close(copy)


def _watch(
    loop: asyncio.AbstractEventLoop, fd: int, wake: Callable[[], None], watched: list[int]
) -> bool:
    """Have a function called when a descriptor is readable; False if it was closed meanwhile.

    The loop gets a copy of the descriptor: it takes one reader for each, but several tasks may
    wait for one, and it must not be left with the number of a descriptor that others have closed.

    :param watched: gets the copy, which has to be closed.
    """
    try:
        watched.append(os.dup(fd))
    except OSError as error:
        let_through(error)
        if error.errno != errno.EBADF:
            raise
        return False
    loop.add_reader(watched[-1], wake)
    return True
