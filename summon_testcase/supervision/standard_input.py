"""Sends text to the standard input of a service, no faster than the service takes it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from ..errors import InvalidArgument
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Pause, wait
from ..unpatched import time
from .failures import not_taken
from .instance import Instance
from .process import Process

#: bytes of a message at most, so that it is sent as a whole or not at all
_CHUNK = 1 << 15
#: bytes that may be under way at most: what the socket to the keeper holds
_WINDOW = 4 * _CHUNK
#: seconds, after time is over, to learn how much was taken, or that the service has ended
_LAST_WORD = 0.2


def send(instance: Instance, text: str, deadline: Deadline) -> None:
    """Send text until the service has taken all of it.

    :raises InvalidArgument: if this is no text, or nobody reads it.
    :raises TimeoutExpired: if the service does not read; text that was not taken is dropped.
    :raises ProcessExited: if the service has ended, or ends meanwhile.
    :raises NotRunning: if its input is closed.
    """
    if not isinstance(text, str):
        raise _refusal(instance, f"send() was given {type(text).__name__}: give it a str")
    try:
        data = text.encode()
    except UnicodeEncodeError:
        said = "send() was given a lone surrogate, which no encoding has: leave it out"
        raise _refusal(instance, said) from None
    _refuse_silent(instance, "send()")
    taken = _send(instance.process, data, deadline)
    if taken < len(data):
        raise not_taken(instance, deadline, f"{taken} of {len(data)} bytes", taken)


def end(instance: Instance, deadline: Deadline) -> None:
    """End the input of the service.

    :raises SummonError: as :func:`send` does, if the service does not take the end.
    """
    _refuse_silent(instance, "send_eof()")
    process = instance.process
    if not process.input_closed and not _end(process, deadline):
        raise not_taken(instance, deadline, "the end of its input")


def _refuse_silent(instance: Instance, method: str) -> None:
    if instance.attached:
        raise _refusal(
            instance,
            f"{method} cannot reach it, since it belongs to a stack that other processes use, too: "
            "leave shared=True out",
        )
    if instance.launch.silent:
        raise _refusal(
            instance,
            f"{method} has nobody to write to, since stdin=None was declared: leave that out",
        )


def _refusal(instance: Instance, said: str) -> InvalidArgument:
    return InvalidArgument(f"{instance.name}: {said}", executor=instance.name)


def _send(process: Process, text: bytes, deadline: Deadline) -> int:
    """Send text until all is taken, or the service or the time ends; how many bytes were taken."""
    with _turn(process, deadline) as granted:
        before, rest = process.written, memoryview(text)
        while granted and rest and _wait(process, deadline, _WINDOW - _CHUNK):
            process.send(bytes(rest[:_CHUNK]))
            rest = rest[_CHUNK:]
            granted = not (rest and deadline.expired())
        if granted and not rest and _wait(process, deadline, 0):
            return len(text)
        process.forget_input()
        _wait_for_last_word(process)
        return min(process.written - before, len(text))


def _end(process: Process, deadline: Deadline) -> bool:
    """End the input of the service; whether it has taken the end."""
    with _turn(process, deadline) as granted:
        if granted:
            process.end_input()
            if _wait(process, deadline, 0):
                return True
            process.forget_input()
            _wait_for_last_word(process)
        return False


def _wait(process: Process, deadline: Deadline, under_way: int) -> bool:
    """Wait until at most ``under_way`` bytes are under way; whether that came in time."""
    while True:
        process.pump()
        if process.sent - process.taken <= under_way:
            return True
        if process.ended or process.input_closed or deadline.expired():
            return False
        wait(Pause((process.fileno(),), deadline.at))


def _wait_for_last_word(process: Process) -> None:
    """Wait a moment for the message that says how much was taken, or that the service ended."""
    deadline = Deadline(_LAST_WORD)
    while not process.ended and not deadline.expired():
        # a service that ends closes its input first
        if process.sent == process.taken and not process.input_closed:
            return
        wait(Pause((process.fileno(),), deadline.at))
        process.pump()


@contextlib.contextmanager
def _turn(process: Process, deadline: Deadline) -> Iterator[bool]:
    """A block in which no other call sends text; whether its turn came in time.

    A signal handler does not wait for the call that it has interrupted.
    """
    me = threading.get_ident(), object()
    try:
        process.senders.append(me)
        while process.senders[0][0] != me[0] and not deadline.expired():
            wait(Pause((), min(deadline.at, time.monotonic() + 0.01)))
        yield process.senders[0][0] == me[0]
    except BaseException:
        # text that an interrupted call has left must not come before the next text
        process.forget_input()
        raise
    finally:
        while me in process.senders:
            process.senders.remove(me)
