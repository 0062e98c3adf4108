"""The process that has brought a stack up: it serves other processes, and looks after the services.

All of it is steps in one loop, so that the owner needs no thread.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

from ..declaration import arguments
from ..errors import AlreadyRunning, InvalidArgument, SummonError, sentence
from ..executors.executor import Executor, overridden, start_of, stop_of, tell_restart
from ..executors.sharing import declaration
from ..executors.simple import SimpleExecutor
from ..foreign import let_through, suppress
from ..orchestration.orchestrator import Orchestrator
from ..readiness.paths import UNIX_PATH_LIMIT
from ..scheduling.graph import GraphRun, reverse, up_to
from ..scheduling.steps import Pause, Scheduler, Steps, nothing
from ..tracebacks import in_a_sentence
from ..unpatched import os, socket, time
from .description import describe, references, services_of, state_of
from .registry import Registration

#: bytes that a request may have
LONGEST_REQUEST = 1 << 20
#: seconds between looks at services, beside those that their keepers ask for, and at our files
_LOOK = 0.5
#: seconds between looks whether something else has come to its end
_SOON = 0.01
#: seconds for which those wait who ask for a service that has died, and is started again at once
_MENDING = 2.0
#: A service that dies again within this time is started again only after a second, then two, and
#: so on up to the longest pause, which must be shorter.
_SETTLED, _LONGEST_PAUSE = 60.0, 30.0


Request = dict[str, Any]
#: requests that are told, and how
_TOLD = {
    **{"start": "started", "stop": "stopped", "kill": "killed", "restart": "restarted"},
    **{"pause": "paused", "resume": "resumed"},
}


class Owner:
    """Starts a stack, serves requests about it, and looks after it until it goes down.

    :param orchestrator: the services, bound to each other; none of them runs.
    :param registration: the entry by which other processes find the stack.
    :param restart: whether a service that dies is started again.
    :param lasting: whether to go on when no service runs any more.
    :param tell: is given the name of a service and what has happened to it: the error of a death,
        or text.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        registration: Registration,
        *,
        restart: bool = False,
        lasting: bool = False,
        tell: Callable[[str, object], object],
    ) -> None:
        self.orchestrator = orchestrator
        self.registration = registration
        self.services = services_of(orchestrator)
        key = os.urandom(16)
        registration.facts["key"] = key.hex()
        #: what each was declared with, before a start has filled in what was left open
        self._declarations = {
            name: declaration(executor, key)
            for name, executor in self.services.items()
            if isinstance(executor, SimpleExecutor)
        }
        #: which service refers to which, as the check before the start has found
        self._references: dict[str, list[str]] = {}
        self._restart = restart
        self._lasting = lasting
        self._tell = tell
        #: deaths, and starts that have failed, by name of the service, until they are mended
        self.dead: dict[str, Exception] = {}
        #: errors of the stop that another process has asked for
        self.failure: Exception | None = None
        #: whether all services are ready, or were
        self.up = False
        self._over = False
        self._busy = False
        self._scheduler = Scheduler()
        #: for each service that has died when it is started again
        self._due: dict[str, float] = {}
        #: by name of the service: how often it has died, how it has the last time, and when
        self._died: dict[str, tuple[int, str, float]] = {}
        #: when services have died, or could not be started
        self._deaths: dict[str, list[float]] = {}

    # -- its life --

    def steps(self, when_up: Callable[[], object]) -> Steps[None]:
        """Start everything, and go on until another process says ``down``, or nothing runs.

        At an exception all that runs is left running: the caller stops it.

        :param when_up: called once everything is ready.
        :raises SummonError: if the start fails.
        """
        self._listener = self._listen()
        try:
            self.add(self._accept())
            self.add(self._start(when_up))
            while not self._over:
                for _, error in self._scheduler.advance():
                    if error is not None:
                        raise error
                if self._scheduler and not self._over:
                    yield self._scheduler.pause()
        finally:
            self._listener.close()
            self._scheduler.cancel()

    def add(self, steps: Steps[None]) -> None:
        """Have some steps run beside those of the owner; an error of theirs ends all of them."""
        self._scheduler.add(steps)

    def end(self) -> None:
        """Leave the loop."""
        self._over = True

    def _start(self, when_up: Callable[[], object]) -> Steps[None]:
        with in_a_sentence():
            self.orchestrator._check()
            self._references = references(self.orchestrator)
        self.note()  # so that others know its services from now on
        self._busy = True
        try:
            with in_a_sentence():
                yield from self.orchestrator._starting()
        finally:
            self._busy = False
        self.up = True
        self.note("running")
        when_up()
        self.add(self._look_after())

    def note(self, state: str = "") -> None:
        """Write what is true now into the file.

        :param state: of the stack, if that has changed.
        """
        services = {
            name: describe(executor, self._references[name], self._declarations.get(name))
            for name, executor in self.services.items()
        }
        for name, died in self._died.items():
            services[name]["died"] = died
        for name in self.dead:
            services[name]["wanted"] = True  # also if its start has failed, so that it is stopped
        self.registration.facts.update(services=services, **({"state": state} if state else {}))
        with suppress(OSError):  # a full disk: who asks is told nevertheless
            self.registration.write()

    # -- deaths --

    def _look_after(self) -> Steps[None]:
        """Notice deaths, and mend them if that was asked for."""
        while True:
            while self._busy:  # what ends now may have been stopped
                yield Pause((), time.monotonic() + _SOON)
            for name, executor in self.services.items():
                self._notice(name, executor)
            for name, moment in list(self._due.items()):
                if moment <= time.monotonic():
                    yield from self._alone(self._mend(name))
            states = {state_of(executor) for executor in self.services.values()}
            if states <= {"dead", "done"} and not (self._due or self._lasting):
                self.end()
            processes = [e._instance.process for e in self.services.values() if e._instance]
            fds = tuple(fd for process in processes if (fd := process.fileno()) >= 0)
            yield Pause(fds, min([time.monotonic() + _LOOK, *self._due.values()]))

    def _notice(self, name: str, executor: Executor) -> None:
        instance = executor._instance
        death = None if instance is None else instance.death("while the stack was up")
        if instance is None or death is None or self.dead.get(name) is death:
            return
        before, how = self._died.get(name, (0,))[0], instance.exit_words() or "has ended"
        self._died[name] = before + 1, how, instance.process.ended_at
        self._take_death(name, death)

    def _take_death(self, name: str, death: Exception) -> None:
        """Tell that a service does not run that should, and have it started again if it may be."""
        self.dead[name] = death
        if self._restart:
            self._postpone(name)
        self._tell(name, death)
        self.note()

    def _forget_death(self, name: str) -> None:
        """Note that a service does on purpose what it does now."""
        self.dead.pop(name, None)
        self._due.pop(name, None)

    def _postpone(self, name: str) -> None:
        """Have a service started again: at once if it has not died of late, or else later."""
        now = time.monotonic()
        recent = [at for at in self._deaths.get(name, ()) if now - at < _SETTLED]
        self._deaths[name] = [*recent, now]
        pause = min(2.0 ** min(len(recent) - 1, 9), _LONGEST_PAUSE) if recent else 0.0
        self._due[name] = now + pause

    def _mend(self, name: str) -> Steps[None]:
        del self._due[name]
        try:
            yield from self._start_one(name, f"--restart: {sentence(self.dead[name])}")
        except Exception as error:
            let_through(error)  # is told, and tried again
        else:
            self._tell(name, "was started again")
        self.note()

    def _start_one(self, name: str, reason: str) -> Steps[None]:
        """Start a service that has run before; if that fails, it counts as dead.

        :param reason: why, in words.
        """
        executor = self.services[name]
        if executor._instance is None or not executor._instance.running():
            tell_restart(executor, reason, name)
        try:
            with in_a_sentence(name):
                yield from start_of(executor)
        except AlreadyRunning:
            raise  # so it does run
        except Exception as error:
            let_through(error)
            self._take_death(name, error)
            raise
        self._forget_death(name)

    def _stop_one(self, name: str) -> Steps[None]:
        with in_a_sentence(name):
            yield from _stop(self.services[name])

    def env(self) -> dict[str, dict[str, str]]:
        """The variables that clients of each service read, of those that can tell.

        :raises SummonError: what an ``env()`` of the user's has raised, as a sentence.
        """
        told = {}
        for name, executor in self.services.items():
            if state_of(executor) in ("running", "paused", "done"):
                with in_a_sentence(name):
                    told[name] = executor.env()
        return told

    # -- requests --

    def _listen(self) -> socket.socket:
        path = self.registration.stack.socket
        if len(os.fsencode(path)) > UNIX_PATH_LIMIT:
            raise InvalidArgument(
                f"{path} is too long for a socket: set XDG_RUNTIME_DIR to a directory with a "
                "shorter path"
            )
        listener = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        try:
            listener.bind(path)
        except BaseException:
            listener.close()
            raise
        finally:
            os.umask(before)
        listener.listen()
        listener.setblocking(False)
        return listener

    def _be_found(self) -> None:
        """Make the files and the socket anew if something has removed them.

        A cleaner of /tmp may, and logind removes the user's directory when the last session ends.
        """
        if self.registration.is_there():
            return
        with suppress(OSError, SummonError):  # the user has not logged in again: later
            self.registration.restore()
            if not os.path.exists(self.registration.stack.socket):
                former, self._listener = self._listener, self._listen()
                former.close()

    def _accept(self) -> Steps[None]:
        while True:
            yield Pause((self._listener.fileno(),), time.monotonic() + _LOOK)
            self._be_found()
            with suppress(BlockingIOError, ConnectionError):
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                self.add(self._serve(connection))

    def _serve(self, connection: socket.socket) -> Steps[None]:
        """Answer the requests of one connection, one after the other."""
        received = b""
        #: what it wants to run again when it has gone
        ended: set[str] = set()
        try:
            while True:
                line, newline, rest = received.partition(b"\n")
                if newline:
                    received = rest
                    answer = yield from self._answer(line, connection, ended)
                    yield from _send(connection, json.dumps(answer).encode() + b"\n")
                    continue
                if len(received) > LONGEST_REQUEST:
                    return
                yield Pause((connection.fileno(),), math.inf)
                try:
                    data = connection.recv(65536)
                except BlockingIOError:
                    continue
                if not data:
                    return
                received += data
        except ConnectionError as error:
            let_through(error)
        finally:
            for executor in self.services.values():
                instance = executor._instance
                if instance is not None and connection in instance.pauses:
                    instance.unpause(connection)
            connection.close()
            for name in ended:
                self.add(self._start_again(name))

    def _start_again(self, name: str) -> Steps[None]:
        """Start a service that a process has stopped which has gone."""
        try:
            if state_of(self.services[name]) == "stopped":
                yield from self._alone(self._start_one(name, "a test had stopped it"))
                self._tell(name, "was started again")
        except Exception as error:
            let_through(error)  # is told already; or another process has started it
        self.note()

    def _answer(
        self, line: bytes, connection: socket.socket, ended: set[str]
    ) -> Steps[dict[str, Any]]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise InvalidArgument('a request is an object, such as {"do": "describe"}')
            do = str(request.get("do"))
            if do == "describe":
                if "service" in request:
                    self._service(request["service"])
                    yield from self._mended(request["service"])
                self.note()
                if "service" in request:
                    return self._done(request)
                return {"ok": True, "stack": self.registration.facts}
            if do == "catch_up":
                instance = self._service(request.get("service"))._instance
                if instance is not None:
                    instance.catch_up()
                return {"ok": True}
            if do == "env":
                return {"ok": True, "env": self.env()}
            if do == "down" and not self.up:
                self.end()  # the start is cancelled
                return {"ok": True}
            if do == "down":
                yield from self._alone(self._go_down())
                return {"ok": True} if self.failure is None else _refused(self.failure)
            operation = getattr(self, f"_do_{do}", None)
            if operation is None:
                known = ["describe", "catch_up", "env", "down"]
                known += [name[4:] for name in dir(self) if name.startswith("_do_")]
                raise InvalidArgument(f"there is no request {do!r}: there are {', '.join(known)}")
            executor = self._service(request.get("service"))
            if request.get("until_closed"):
                ended.add(str(request["service"]))
            with in_a_sentence(executor.name):
                yield from self._alone(operation(executor, request, connection))
            if do in ("start", "restart"):
                ended.discard(str(request["service"]))
            if do in ("stop", "kill"):
                self._forget_death(str(request["service"]))
            self.note()
            if do in _TOLD:
                self._tell(str(request["service"]), f"was {_TOLD[do]} on request")
            return self._done(request)
        except Exception as error:
            let_through(error)
            return _refused(error)

    def _mended(self, name: str) -> Steps[None]:
        """If a service has died that is started again at once, wait until it runs.

        Otherwise it would depend on the moment of the question whether its death is an error.
        """
        until = time.monotonic() + _MENDING
        while self._restart and (name in self.dead or state_of(self.services[name]) == "dead"):
            if max(time.monotonic(), self._due.get(name, 0.0)) >= until:
                return
            yield Pause((), time.monotonic() + _SOON)

    def _done(self, request: Request) -> dict[str, Any]:
        services = self.registration.facts["services"]
        return {"ok": True, "service": services[request["service"]]}

    def _service(self, name: object) -> Executor:
        executor = self.services.get(str(name))
        if executor is None:
            known = ", ".join(self.services)
            raise InvalidArgument(f"there is no service {name!r}: there are {known}")
        return executor

    def _alone(self, steps: Steps[None]) -> Steps[None]:
        """Run some steps when no others change the stack."""
        while self._busy:
            yield Pause((), time.monotonic() + _SOON)
        self._busy = True
        try:
            yield from steps
        finally:
            self._busy = False

    def _go_down(self) -> Steps[None]:
        self.note("stopping")
        try:
            with in_a_sentence():
                yield from self.orchestrator._stopping()
        except Exception as error:
            let_through(error)
            self.failure = error
        self.end()

    # each of these carries out the request of its name

    def _do_start(self, executor: Executor, request: Request, _: object) -> Steps[None]:
        name = str(request["service"])
        reason = "a test needs it" if name in self.dead else "a test had stopped it"
        yield from self._start_one(name, reason)

    def _do_stop(self, executor: Executor, request: Request, _: object) -> Steps[None]:
        number, timeout = request.get("signal"), request.get("timeout")
        if number is not None:
            _process(executor, "sent a signal")._checked(number)
        if timeout is not None:
            arguments.seconds(executor.name, "timeout", timeout)
        yield from _stop(executor, number, timeout)

    def _do_kill(self, executor: Executor, request: Request, _: object) -> Steps[None]:
        _process(executor, "killed").kill(request.get("signal"))
        yield from nothing()

    def _do_restart(self, executor: Executor, request: Request, _: object) -> Steps[None]:
        name, cascade = str(request["service"]), bool(request.get("cascade"))
        reason = f"summon restart {name}{' --cascade' if cascade else ''}"
        yield from self._restarting([name], cascade, reason)

    def _do_pause(self, executor: Executor, request: Request, by: object) -> Steps[None]:
        _process(executor, "paused")._current("process to pause").pause(by)
        yield from nothing()

    def _do_resume(self, executor: Executor, request: Request, by: object) -> Steps[None]:
        instance = _process(executor, "paused")._current("process to resume")
        # others may need their pauses still; who has none wants to end those that were forgotten
        for block in [by] if by in instance.pauses else list(instance.pauses):
            instance.unpause(block)
        yield from nothing()

    def _do_signal(self, executor: Executor, request: Request, _: object) -> Steps[None]:
        number: Any = request.get("number")
        _process(executor, "signalled").signal(number, bool(request.get("everything")))
        yield from nothing()

    def _do_reset(self, executor: Executor, request: Request, _: object) -> Steps[None]:
        executor.reset()
        yield from nothing()

    # -- restarts --

    def restart(self, names: Iterable[str], cascade: bool, reason: str) -> Steps[None]:
        """Stop services in the reverse order of the graph, and start them again.

        :param cascade: whether also those are restarted that refer to them.
        :param reason: why, in words.
        :raises SummonError: the error of the start that failed first; the others are tried.
        """
        yield from self._alone(self._restarting(names, cascade, reason))

    def _restarting(self, names: Iterable[str], cascade: bool, reason: str) -> Steps[None]:
        wanted = set(names)
        needed = {key: up_to(self._references, key) for key in self.services}
        if cascade:
            wanted |= {key for key in needed if needed[key] & wanted}
        # also of two that refer to each other only through others
        before = {key: needed[key] & wanted - {key} for key in needed if key in wanted}
        for key in before:
            self._forget_death(key)
        stop = GraphRun(reverse(before, list(before)), self._stop_one)
        yield from stop.steps(go_on=True)
        for key, failure in zip(stop.failed, stop.errors, strict=True):
            self._tell(key, failure)
        start = GraphRun(before, lambda key: self._start_one(key, reason))
        yield from start.steps(go_on=True)
        self.note()
        if start.errors:
            first, *others = start.errors
            if isinstance(first, SummonError):
                first.consequences += tuple(f"and failed: {sentence(e)}" for e in others)
            raise first


def _stop(executor: Executor, number: Any = None, timeout: Any = None) -> Steps[None]:
    """Stop a service so that it can be started again with the same port and files."""
    if not isinstance(executor, SimpleExecutor):
        yield from stop_of(executor)
    elif overridden(executor, "stop"):
        executor._stop_for_now()
    else:
        yield from executor._stopping(True, number, timeout)


def _process(executor: Executor, what: str) -> SimpleExecutor:
    """The executor, if it runs a process.

    :param what: what should be done to it, for the error.
    """
    if not isinstance(executor, SimpleExecutor):
        kind = type(executor).__name__
        raise InvalidArgument(f"{executor.name}: is a {kind}, which cannot be {what}")
    return executor


def _refused(error: Exception) -> dict[str, Any]:
    return {"ok": False, "error": str(error), "kind": type(error).__name__}


def _send(connection: socket.socket, data: bytes) -> Steps[None]:
    while data:
        try:
            data = data[connection.send(data) :]
        except BlockingIOError:
            yield Pause((), time.monotonic() + _SOON)
