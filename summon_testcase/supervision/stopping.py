"""Ends an instance: politely, then by force."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..clean import line_of
from ..errors import StopFailed
from ..events import Warned, emit
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Pause, Steps, run
from ..unpatched import time
from ..wording import counted, describe_exit, signal_name
from .warden import ANSWER

if TYPE_CHECKING:
    from .instance import Instance

#: seconds between looks at a server elsewhere that a command stops
_LOOK = 0.02


def stop(
    instance: Instance, number: int | None = None, timeout: float | None = None
) -> Steps[None]:
    """Stop an instance politely, then by force.

    :param number: a signal, instead of its stop signal or stop command.
    :param timeout: seconds, instead of its ``stop_timeout``.
    :raises StopFailed: if it had to be killed, or ended with an unexpected status.
    """
    process, launch = instance.process, instance.launch
    grace = instance.limits.stop_timeout if timeout is None else timeout
    process.pump()
    elsewhere, deadline = not process.gone and _may_be_elsewhere(instance), Deadline(grace)
    # the command is also needed where no signal can reach the server of a launcher
    argv = launch.stop if number is None or instance.outlasts else ()
    number = instance.limits.stop_signal if number is None else number
    was_running = process.exit_code is None and not process.gone
    if instance.pauses:
        process.signal_everything(signal.SIGCONT)
    began = time.monotonic()
    try:
        yield from _gone(
            instance,
            lambda: process.request_stop(number, grace, argv, instance.outlasts),
            grace + ANSWER,
        )
    except BaseException:
        kill(instance)
        raise
    if instance.needed is not None and _died(instance, instance.needed, number):
        when = "before it was stopped"
        instance.tell_death(when)
        raise instance.exited(when)
    failure = _not_stopped(instance, number, grace, argv, was_running)
    if elsewhere and not failure:
        failure = yield from _left_elsewhere(instance, deadline)
    if failure:
        took = time.monotonic() - began
        raise instance.error(StopFailed, f"{instance.name}: {failure}", seconds=took)


def kill(instance: Instance, number: int = signal.SIGKILL) -> None:
    """Signal all processes of the service, and wait until they are gone.

    :param number: the signal; if it is not SIGKILL, that follows after ``stop_timeout``.
    """
    process, launch = instance.process, instance.launch
    process.pump()
    if process.gone:
        return
    # a stop that waits for the end meanwhile, in another thread or task, does not call it a failure
    process.kill_wished = True
    asks = _may_be_elsewhere(instance)
    try:
        if number != signal.SIGKILL:
            run(_signalled_to_death(instance, number))
        if instance.outlasts and launch.stop:
            # the command stops a server that is no process of ours, and so cannot be killed
            grace = instance.limits.stop_timeout

            def request() -> None:
                process.request_stop(signal.SIGKILL, grace, launch.stop, instance.outlasts)

            run(_gone(instance, request, grace + ANSWER))
            if failure := _stop_command_failed(instance, grace):
                emit(Warned(text=f"{instance.name}: {failure}", service=instance.name))
    finally:
        run(_gone(instance, process.request_kill, ANSWER))
    if asks:
        instance.left = run(_left_elsewhere(instance, Deadline(instance.limits.stop_timeout)))


def survivors(instance: Instance) -> str:
    """In words, which processes could not be ended, and why; empty if none lives on."""
    left = instance.process.killed[2]
    if not left:
        return instance.left
    why = "it belongs to another user, or hangs in the kernel"
    return f"{counted(left, 'process')} could not be killed: {why}"


def _may_be_elsewhere(instance: Instance) -> bool:
    """Whether the server to stop may be no process of ours."""
    if instance.lives_elsewhere is not None:
        instance.running()  # sets outlasts
    return instance.outlasts


def _left_elsewhere(instance: Instance, deadline: Deadline) -> Steps[str]:
    """In words, what still listens where a launcher left it; waits for a stop command to end it."""
    if instance.who_is_there is None:
        return ""
    while True:
        found = yield from instance.who_is_there(time.monotonic() + ANSWER)
        if found is None:
            return ""
        if not instance.launch.stop or deadline.expired():
            said = found.message.removeprefix(f"{instance.name} cannot start: ")
            return f"what it left goes on: {said}: declare a stop_command= that ends it"
        yield Pause((), min(time.monotonic() + _LOOK, deadline.at))


def _signalled_to_death(instance: Instance, number: int) -> Steps[None]:
    process, deadline = instance.process, Deadline(instance.limits.stop_timeout)
    if not process.mine():
        return
    process.signal_everything(number)
    if instance.pauses:
        process.signal_everything(signal.SIGCONT)
    process.pump()
    while not process.ended and not deadline.expired():
        yield Pause((process.fileno(),), deadline.at)
        process.pump()


def _gone(instance: Instance, request: Callable[[], None], patience: float) -> Steps[None]:
    process = instance.process
    if not process.mine():
        return
    if not process.gone:
        request()
    deadline = Deadline(patience)
    pause = Pause((process.fileno(),), deadline.at)
    while not process.gone:
        if deadline.expired():
            process.abandon()
        yield pause
        process.pump()


def _died(instance: Instance, fine: frozenset[int], number: int) -> bool:
    """Whether the service had ended by itself before it was asked to.

    :param fine: statuses that are no death.
    :param number: the signal that it was sent.
    """
    process, status = instance.process, instance.process.exit_code
    if instance.awaited or instance.outlasts or process.kill_wished:
        return False
    killed = status == -signal.SIGKILL != -number and not process.killed[0]
    return killed or (bool(process.died_first) and status not in fine)


def _stop_command_failed(instance: Instance, grace: float) -> str:
    """In words, how the stop command failed; empty if it did not."""
    said = instance.process.stopper_said
    if said is None or said[0] == 0:
        return ""
    how = describe_exit(said[0])
    if said[0] == -signal.SIGKILL:
        how = f"did not end within {grace:g} s"
    lines = [line_of(line) for line in said[1].splitlines() if line.strip()]
    output = ": " + " | ".join(lines) if lines else ""
    return f"stop_command={shlex.join(instance.launch.stop)!r} {how}{output}"


def _not_stopped(
    instance: Instance, number: int, grace: float, argv: tuple[str, ...], ran: bool
) -> str:
    """In words, why the service did not stop as it should; empty if it did.

    :param ran: whether it was running before the stop.
    """
    process, status = instance.process, instance.process.exit_code
    main_killed, killed, immortal = process.killed
    command = _stop_command_failed(instance, grace)
    also = f"; {command}" if command else ""
    if immortal:
        return survivors(instance) + also
    if process.lost:
        return "its keeper was killed, and it with it"
    if process.kill_wished:
        return ""
    by = f"stop_command= and {signal_name(number)}" if argv else signal_name(number)
    if main_killed or killed:
        who = "it" if main_killed else f"{counted(killed, 'process')} that it left"
        return (
            f"{who} did not end within {grace:g} s of {by} and was killed: give it longer with "
            f"stop_timeout=, or another stop_signal={also}"
        )
    if command:
        return command
    # a shell, a JVM and others turn the signal into a status
    accepted = {0, -number, 128 + number, *instance.limits.expected_exit, None}
    if ran and status == -signal.SIGKILL and not argv and status not in accepted:
        return (
            f"{instance.exit_words()} when it was stopped by {by}, and not by this library: the "
            "system may have run out of memory, or another program has killed it"
        )
    if ran and status not in accepted:
        return (
            f"{instance.exit_words()} when it was stopped by {by.partition(' ')[0]}: if that is "
            f"how it ends, declare expected_exit={status}{also}"
        )
    return ""
