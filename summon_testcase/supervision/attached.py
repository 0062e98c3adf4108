"""One life of a service that another process owns: that of a stack which runs already.

Its owner has started it, and its keeper reports to the owner.  Here its address, its log and its
pid are known; what tests do to it is asked of the owner.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..declaration.arguments import Limits
from ..errors import AlreadyRunning, AttachFailed, NotRunning
from ..events import (
    ServiceDied,
    ServiceReady,
    ServiceRestarted,
    ServiceSpawned,
    Warned,
    emit,
    numbers,
)
from ..foreign import let_through, suppress
from ..output.log import Log
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Pause, wait
from ..system import procfs
from ..system.descriptors import moved
from ..unpatched import os, time
from .instance import Instance
from .lease import InstanceFiles, Lease
from .process import Process, _processes
from .warden import ANSWER

#: seconds for which a test waits until all output is in the log
_PATIENCE = 2.0
#: seconds that a process which was killed takes to die, unless it hangs in the kernel
_MOMENT = 0.1
#: what its owner tells of a service, see ``describe`` in ``stacks/description.py``
Facts = Mapping[str, Any]


def runs(facts: Facts) -> bool:
    """Whether a service is alive."""
    return facts["state"] in ("running", "paused", "starting")


class Owner(Protocol):
    """The process that has started a stack."""

    #: in words, to follow "of"
    called: str

    def ask(self, do: str, service: str, patience: float, **more: object) -> Facts:
        """Have the owner do something with a service, and wait for its answer.

        :param patience: seconds until there must be an answer.
        :returns: what it tells of the service afterwards.
        :raises AttachFailed: if the owner has ended, or does not answer.
        :raises SummonError: as the owner says, if it cannot do that.
        """


class _Files(InstanceFiles):
    """The log, which the owner removes when it stops the service."""

    def __init__(self, log: str, service: str) -> None:
        base = log.removesuffix(".log")
        super().__init__(base, base, Log(log, service))

    def discard(self, keep_log: bool) -> None:
        """Leave them to the owner."""


class _Lease(Lease):
    """Ports and directory, which the owner has leased."""

    def __init__(self, owner: Owner, service: str, facts: Facts, number: int) -> None:
        self.facts, self.owner, self.service, self.number = facts, owner, service, number
        self._user = os.getpid()
        self.begun, self.over = True, False
        #: whether a test of this process has stopped or killed the service
        self.interrupted = False

    def mine(self) -> bool:
        """Whether this process has attached it, and not a parent that has forked this one."""
        return self._user == os.getpid()

    @property
    def port(self) -> int | None:
        """Its port, if it was leased."""
        port: int | None = self.facts.get("port")
        return port

    @property
    def ports(self) -> dict[str, int]:
        """Its ports that have names."""
        return dict(self.facts.get("ports", {}))

    def lease(self, name: str = "") -> int:
        """One of its ports."""
        port = self.ports.get(name) if name else self.port
        if port is None:
            raise NotRunning(f"{self.service}: has no port {name!r} in its stack")
        return int(port)

    @property
    def tmpdir(self) -> str:
        """Its directory."""
        return str(self.facts.get("tmpdir", ""))

    @property
    def elsewhere(self) -> str:
        """Its directory in another place."""
        return str(self.facts["elsewhere"])

    def next_files(self, log: str = "") -> InstanceFiles:
        """The files of its life at the moment."""
        return _Files(self.facts.get("log", ""), self.service)

    def end(self) -> None:
        """Use it no more; what a test has stopped runs again for the others."""
        if self.over or not self.mine():
            return
        self.over = True
        if self.interrupted:
            # another process may have started it already; or the stack has ended
            with suppress(AlreadyRunning, AttachFailed):
                self.ask("start")

    def ask(self, do: str, patience: float = ANSWER, **more: object) -> Facts:
        """Have the owner do something with the service."""
        return self.owner.ask(do, self.service, patience, **more)


class _Process(Process):
    """Its processes.  What their keeper reports, is asked of the owner once one has ended."""

    tells = False

    def __init__(
        self,
        files: InstanceFiles,
        lease: _Lease,
        usual: int,
        new_life: Callable[[Facts, str], None],
    ) -> None:
        super().__init__(files, lease.service)
        self._lease, self._new_life = lease, new_life
        #: the signal that stops it, if no test says otherwise
        self._usual = usual
        #: why it cannot be used any more; empty while it can
        self.why_gone = ""
        #: how often it had died when this life of it was new
        self._deaths = 0
        #: the moment of the last of these deaths; 0 if it is not known
        self.died_at = 0.0
        #: readable when its main process has ended
        self._pidfd = -1
        # so that a forked child forgets it
        _processes.add(self)

    def take(self, facts: Facts) -> None:
        """Note what the owner tells."""
        former = self.pid
        if not (former and facts["state"] == "starting"):  # not all is known of its new life yet
            self.pid = facts.get("pid", former)
        self.keeper_pid = facts["keeper"]
        self.exit_code, self.ended = facts["exit_code"], not runs(facts)
        self.ended_at = facts["ended_at"]
        self.stopped_by_others = facts["state"] == "stopped" and not facts.get("wanted")
        if self.pid == former:
            return
        deaths, how, self.died_at = facts.get("died", (0, "", 0.0))
        died, self._deaths = how if deaths > self._deaths else "", deaths
        self._close()
        try:
            if not self.ended:
                self._pidfd = moved(os.pidfd_open(self.pid))
        except (OSError, AttributeError) as error:  # it has ended meanwhile, or this is no Linux
            let_through(error)
        if former:
            # another process has started it again
            log = self.files.log.path = facts.get("log", "")
            self.files.base = log.removesuffix(".log")
            self._new_life(facts, died)

    def pump(self) -> None:
        """Look whether it is alive; if not, ask what has become of it."""
        with self._lock:
            if self.gone or not self.mine() or (not self.ended and procfs.is_alive(self.pid)):
                return
            self.heard += 1
            try:
                self.take(self._lease.ask("describe"))
            except AttachFailed as error:
                let_through(error)
                self.why_gone = error.message.removeprefix(f"{self._lease.service}: ")
                self.forget()

    def fileno(self) -> int:
        """A descriptor, readable when it has ended; -1 for none."""
        return -1 if self.ended else self._pidfd

    def _tell(self, *fields: bytes | str | int | float) -> None:
        """Say nothing: its keeper listens to the owner alone."""

    def watch(self, position: int) -> None:
        """Do nothing: whoever waits for output looks into the log now and then."""

    def probe(self, timeout: float, argv: tuple[str, ...]) -> None:
        """Have a probe command count as answered: its keeper, which would run it, does not hear."""
        self.probed = 0, ""

    def signal(self, number: int) -> None:
        """Have its owner signal the main process."""
        self._lease.ask("signal", number=number)

    def signal_everything(self, number: int) -> int:
        """Have its owner signal all processes."""
        with self._lock:
            if number == signal.SIGSTOP:
                self._lease.ask("pause")
            elif number == signal.SIGCONT:
                # if another process has stopped it meanwhile, that has ended the pause
                with suppress(NotRunning):
                    self._lease.ask("resume")
            else:
                self._lease.ask("signal", number=number, everything=True)
            self.signalled = self._orders = self._orders + 1
            return self._orders

    def request_stop(
        self, number: int, grace: float, argv: tuple[str, ...] = (), elsewhere: bool = False
    ) -> None:
        """Have its owner stop it."""
        chosen = None if number == self._usual else number
        self._end("stop", grace + ANSWER, signal=chosen, timeout=grace, until_closed=True)

    def request_kill(self) -> None:
        """Have its owner kill it."""
        self._end("kill", ANSWER, until_closed=True)

    def _end(self, do: str, patience: float, **more: object) -> None:
        with self._lock:
            if self.gone:
                return
            self.ending = self._lease.interrupted = True
            try:
                self.exit_code = self._lease.ask(do, patience, **more)["exit_code"]
            finally:
                self.forget()

    def abandon(self) -> None:
        """Give it up, since its owner does not answer."""
        self.forget()

    def forget(self) -> None:
        """Know nothing of it any more."""
        _processes.discard(self)
        self.gone = self.ended = True
        self._close()

    def _close(self) -> None:
        fd, self._pidfd = self._pidfd, -1
        if fd >= 0:
            os.close(fd)


class AttachedInstance(Instance):
    """One life of a service of a stack.

    :param declared_by: the name of the class that declares it.
    :param owner: who has started the stack.
    :param service: what the stack calls the service.
    :param facts: what the owner tells of it.
    :param match_of: returns the match of the banner that the facts tell, if they tell one.
    :param previous: the instance before this one, if a test has stopped that.
    """

    attached = True

    process: _Process
    lease: _Lease

    def __init__(
        self,
        name: str,
        declared_by: str,
        limits: Limits,
        owner: Owner,
        service: str,
        facts: Facts,
        match_of: Callable[[Facts], Any],
        previous: Instance | None = None,
    ) -> None:
        number = next(numbers) if previous is None else previous.lease.number
        lease = _Lease(owner, service, facts, number)
        super().__init__(name, declared_by, limits, previous, lease)
        self.process = _Process(self.files, self.lease, limits.stop_signal, self._begin_life)
        self.process.take(facts)
        self.in_use = self.ready = self.has_run = True
        self._match_of = match_of
        self._know(facts)
        #: whether the owner has answered whenever it should wait for output
        self._owner_answers = True
        #: in words, how it has died before the owner has started it again; empty if it has not
        self._mended = ""
        # what was written before is of no interest to these tests
        self.mark = self.output_from = self.log.size()
        self.since = self.mark

    def _know(self, facts: Facts) -> None:
        """Note what each life of it may have anew."""
        self.lease.facts = facts
        self.waits, self.url = facts["waits"], facts.get("url", "")
        self.port, self.match = facts.get("port"), self._match_of(facts)

    def _begin_life(self, facts: Facts, died: str) -> None:
        """Another process has started it again, and it writes another log.

        :param facts: what the owner tells of it now.
        :param died: in words, how it has ended before, if nobody has asked for that.
        """
        self._know(facts)
        self.mark = self.output_from = self.since = 0
        known, self.died, self.awaited = self.died is not None or self.awaited, None, False
        if died and not known:
            self._tell_death(f"{died} in the stack of {self.lease.owner.called}")

    def _tell_death(self, how: str) -> None:
        """Tell of a death that was mended before anybody here has noticed it."""
        self._mended = f"{how}, and was started again there"
        words = f"{self.name}: {self._mended}"
        now = time.monotonic()
        at = min(max(self.process.died_at, self.ready_at), now) if self.process.died_at else now
        self.tell(ServiceDied, at=at, how=how, when="and was started again there")
        self.tell(ServiceRestarted, reason=how)
        pid, log, launch = self.process.pid, self.log.path, self.launch
        where = {"command": launch.argv, "cwd": launch.cwd, "log": log}
        self.tell(ServiceSpawned, pid=pid, **where, attached=True)
        self.tell(ServiceReady, after=0.0, looks=0, refusal="", url=self.url)
        emit(Warned(text=words, service=self.name))

    def ended(self) -> str:
        """In words, how it ended, also if it was started again; see :meth:`Instance.ended`."""
        return super().ended() or self._mended

    def end_test(self) -> None:
        """The test is over; see :meth:`Instance.end_test`."""
        super().end_test()
        self._mended = ""

    def ask_for_news(self) -> int:
        """See here whether it has died; only then its owner, which takes longer, is asked."""
        process, deadline = self.process, Deadline(_MOMENT)
        while procfs.is_dying(process.pid) and not deadline.expired():
            wait(Pause((process.fileno(),), deadline.at))
        if not process.ended and not procfs.is_alive(process.pid):
            self.catch_up()  # until its keeper has told the owner, that takes it for alive
        return 0

    def catch_up(self, order: int | None = None) -> int:
        """Have the owner wait until the keeper has stored all output up to now.

        Not if :meth:`ask_for_news` was called before, and output is of no interest. An owner that
        has not answered, since Ctrl-Z has stopped it perhaps, is not asked again.
        """
        if self._owner_answers and order is None:
            try:
                self.lease.ask("catch_up", _PATIENCE)
            except AttachFailed as error:
                let_through(error)
                self._owner_answers = False
        return self.process.fileno()

    def pause(self, block: object) -> None:
        """Freeze it for a block; see :meth:`Instance.pause`."""
        if not self.running():
            raise self.exited("before it should be paused")
        super().pause(block)

    def exit_words(self) -> str:
        """How the main process ended; empty while it lives."""
        if self.process.why_gone:
            return self.process.why_gone
        stack = f"the stack of {self.lease.owner.called}"
        if self.process.stopped_by_others:
            return f"was stopped by another process that uses {stack}"
        how = super().exit_words()
        return how and f"{how} in {stack}"
