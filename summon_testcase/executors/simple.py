"""The executor that all flavours extend: ready when its process is spawned.

Modules that only a running service needs are imported by the functions that use them: a TestCase is
declared much more often than it is run.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from signal import SIGKILL, SIGTERM
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeVar

from ..declaration import arguments, file_arguments, lifetime, programs, templates, variables
from ..declaration import command as commands
from ..declaration.arguments import Limits, Pattern, compile_patterns
from ..declaration.concealed import concealing
from ..declaration.directory import declaring_place
from ..declaration.lifetime import Reset, Scope
from ..errors import InvalidArgument, StopFailed, is_ours
from ..foreign import let_through
from ..scheduling.caller import Caller, is_own
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Steps, run
from ..supervision import interpreter  # noqa: F401  # it remembers how we were started
from ..tracebacks import boundary, boundary_of_start, boundary_on_a_loop, hidden, warn_on_a_loop
from ..unpatched import os, stay_imported
from ..wording import at, signal_name
from . import checks, end, references
from .address import Addressed
from .copies import Copied
from .deaths import leave, must_arrive, tell_too
from .executor import at_once, overridden
from .loading import load, warm_up
from .running import handover, hold, let_go

if TYPE_CHECKING:
    from ..declaration.options import Alive, Env
    from ..readiness.probe import Probe
    from ..supervision.instance import Instance

__tracebackhide__ = hidden

E = TypeVar("E", bound="SimpleExecutor")


class SimpleExecutor(Copied, Addressed):
    """A process; ready as soon as it is spawned.

    :param command: the program to run, and its arguments. A text is split into words as a shell
        would split it. The words of a sequence are taken as they are; they may also be numbers and
        paths. A path alone is a program without arguments. Templates are filled in at start:
        ``{port}``, ``{host}``, ``{url}``, ``{tmpdir}`` and ``{name}`` of the service itself;
        ``{port:admin}``, one more free port, whatever its name; ``{other.port}`` and
        ``{other.port:admin}`` of another service; ``{python}``, the Python that runs the tests;
        ``{here}``, the directory of the module that makes the executor. Other text in braces stays
        as it is, and so do ``${port}`` and ``{{port}}``.
    :param shell: whether ``/bin/sh -c`` is given the command, which is one text then.
    :param timeout: seconds until the service must be ready; None for no limit.
    :param env: variables that are added to the inherited environment: text, numbers, paths; None
        removes a variable. Templates are filled in; ``$NAME`` is not filled in but refused. The
        virtual environment that the tests run in is active in the service, too, unless ``env`` has
        a ``PATH``. In a list of executors, names of services, and mappings,
        ``[db, {"DEBUG": "1"}]``, an executor stands for what its :meth:`env` says, and is waited
        for as with ``after``; later items win.
    :param files: files that are written to ``{tmpdir}`` at each start, in UTF-8. For each relative
        path a text in which templates are filled in, ``{"web.conf": "listen {port};"}``, or the
        path of a file that has such a text, as a :class:`pathlib.Path`; directories on the way are
        made.
    :param cwd: the directory that the service runs in, and that relative paths start from;
        default: the current one.
    :param name: the name of the service in messages and templates; default: the class attribute or
        mapping key.
    :param after: executors, or their names, that must be ready before this one starts.
    :param stop_signal: the signal that ``stop()`` sends first.
    :param stop_timeout: seconds that ``stop()`` waits before it kills the service.
    :param stop_wait: whether a TestCase waits, at the end of the scope, until the service is
        stopped. If not, the next class begins while the service ends.
    :param stop_command: a command that ``stop()`` runs instead of sending a signal, as text or as
        a sequence. It has the environment and the directory of the service; templates are filled
        in. If it fails, or half of ``stop_timeout`` has passed, ``stop()`` also sends the signal.
    :param fails_on: a pattern, or a list of patterns. If the output matches one of them during a
        start, the start fails at once.
    :param expected_exit: statuses that ``stop()`` accepts in addition to 0, to the status of a
        process that the signal has ended, and to 128 plus the signal. For a ``one_shot`` or a
        ``launcher``: statuses that count as success in addition to 0.
    :param tty: whether the service gets a pseudo-terminal; otherwise it gets pipes.
    :param stdin: ``"send"`` if tests may write to the standard input, by ``send()``; None for an
        empty standard input (``/dev/null``).
    :param one_shot: whether the command does some work and ends (migrations). It is ready when it
        has exited with status 0. It suffices that ``until`` has been true at some moment, before
        the exit or after it.
    :param launcher: whether the command exits with status 0 and leaves a server that is no process
        of ours (``docker compose up -d``). After the exit, the start waits until the server is
        ready, whichever process it is. Only ``stop_command`` can end the server.
    :param requires: a program that must be installed too, or several. They are looked for before
        anything is started, as the command is.
    :param optional: whether a TestCase skips its tests, instead of failing, if the command or a
        program of ``requires`` is not installed. Once the service has run in this process, a
        missing program is an error.
    :param until: a callable that is given the executor; the service is ready only once it returns
        something true. An exception counts as "not yet", except for a mistake in the callable,
        which ends the start: NameError, SyntaxError, ImportError, a TypeError or AttributeError of
        the callable itself (unless it is about None), an AssertionError with a message
        (``assert x, "why"``; those of ``assertEqual`` and its like count as "not yet"). While the
        callable runs, no other service is asked; before it is called again, four times as long
        passes as the call took.
    :param scope: how long the service lives in a TestCase: ``"test"``, so that each test has a
        fresh one; ``"class"``; ``"module"``; ``"run"``, so that all classes that inherit the same
        declaration share it until the process ends.
    :param reset: a callable that is given the executor. A TestCase calls it before each test but
        the first that uses the service. True, for a ready-made service that has a way of its own
        to forget what tests have left.
    :param restart: whether a TestCase starts the service again, before the next test, if it died
        while tests ran: True, or how many times. Otherwise the tests that need it are errors.
    :param alive: how a TestCase asks, before and after each test, whether the service still
        answers, so that it can name a service that hangs: a callable that is given the executor
        and returns something true; a probe command that exits with 0, as text or as a sequence, in
        which templates are filled in; True to ask the question of the start again, if that is a
        request, a connection or a probe command. The question is repeated until it is answered,
        for ``timeout`` seconds, at most 10.
    :param shared: whether a TestCase may use the service of a stack that runs already
        (``SUMMON_ATTACH``), together with other processes of tests, instead of starting its own. It
        has ``scope="run"`` then. Without such a stack it makes no difference.
    :param host: the address that ``{host}`` and the attribute ``host`` give.
    :param port: the port that ``{port}`` and the attribute ``port`` give; default: a free one.
    :raises InvalidArgument: naming the argument and what to write instead.

    >>> with SimpleExecutor('echo -n "hello"') as greeting:
    ...     greeting.output().read()
    'hello'
    """

    #: the names of the arguments that it was given
    _given: frozenset[str]
    _tells = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            # tracebacks show the arguments of a user's constructor too
            cls.__init__ = concealing(cls.__init__)  # type: ignore[method-assign]

    def __init__(
        self,
        command: commands.Command,
        *,
        shell: bool = False,
        timeout: float | None = 60,
        env: Env = None,
        files: Mapping[str, str | os.PathLike[str]] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        name: str | None = None,
        after: object | Iterable[object] = (),
        stop_signal: int = SIGTERM,
        stop_timeout: float = 10,
        stop_wait: bool = True,
        stop_command: commands.Command | None = None,
        fails_on: Pattern | Iterable[Pattern] | None = None,
        expected_exit: int | Collection[int] = (),
        tty: bool = True,
        stdin: Literal["send"] | None = "send",
        one_shot: bool = False,
        launcher: bool = False,
        requires: str | Iterable[str] | None = None,
        optional: bool = False,
        until: Callable[[Any], object] | None = None,
        scope: Scope = "class",
        reset: Reset = None,
        restart: bool | int = False,
        alive: Alive = None,
        shared: bool = False,
        host: str = "127.0.0.1",
        port: int | None = None,
    ) -> None:
        #: the file that declares it, and the class whose attribute it becomes
        self._place = declaring_place(self)
        self._here = os.path.dirname(self._place[0]) if self._place else None
        label = self._kind(command, shell is True)
        given = arguments.call(label, name)
        label = given or label
        self._command = commands.split(command, arguments.flag(label, "shell", shell), label)
        #: the command as the user wrote it, if that was a text
        self._written = command if isinstance(command, str) else ""
        self._shell = shell
        arguments.seconds(label, "timeout", timeout, unlimited=True)
        arguments.seconds(label, "stop_timeout", stop_timeout)
        arguments.port(label, port)
        first = os.path.basename(self._command[0]).strip("{}")
        super().__init__(given, first, arguments.host(label, host), port)
        self._limits = Limits(
            timeout,
            arguments.signal_number(label, "stop_signal", stop_signal),
            stop_timeout,
            arguments.statuses(label, expected_exit),
        )
        #: stands for the name in errors of constructors, when there is no name yet
        self._declared = label
        self._env = variables.layers(label, env)
        self._files = file_arguments.files(label, files)
        self._cwd = None if cwd is None else arguments.path(label, "cwd", cwd, "a directory")
        self.after = arguments.after(label, after)
        self._fails_on = [] if fails_on is None else compile_patterns(fails_on, label, "fails_on")
        self._tty = arguments.flag(label, "tty", tty)
        self._silent = arguments.silent(label, stdin)
        self._one_shot = arguments.flag(label, "one_shot", one_shot)
        self._launcher = arguments.flag(label, "launcher", launcher)
        if one_shot and launcher:
            raise InvalidArgument(
                f"{label}: one_shot=True and launcher=True: write the first for what has done its "
                "work when it ends, the second for what leaves a server that is used then",
                executor=label,
            )
        self._stop_wait = arguments.flag(label, "stop_wait", stop_wait)
        self._stop_command = (
            ()
            if stop_command is None
            else commands.split(stop_command, False, label, "stop_command")
        )
        self._requires = arguments.names(label, "requires", requires)
        self._optional = arguments.flag(label, "optional", optional)
        lifetime.callback(label, "until", until)
        self._until = until
        self.scope = lifetime.scope(label, scope)
        self._reset = lifetime.reset(label, reset, self._own_resets)
        self._max_restarts = lifetime.max_restarts(label, restart)
        #: the programs that the check of a start has found: by word, PATH and directory
        self._found: dict[tuple[str, str | None, str], str] = {}
        self._alive: Any = lifetime.alive(label, alive, self._asks_again)
        if not (alive is None or isinstance(alive, bool) or callable(alive)) and not hasattr(
            alive, "look"
        ):
            self._alive = commands.split(alive, False, label, "alive")
        self._shared = arguments.flag(label, "shared", shared)
        checks.refuse_a_reset_for_all(self)

    def _take_defaults(self, values: Mapping[str, Any], owner: str) -> None:
        if self._owner_name:
            return
        super()._take_defaults(values, owner)
        self._env = (*values.get("env", ()), *self._env)
        self._limits = copy.copy(self._limits)
        for name in values.keys() - {"env", "scope"} - self._given:
            if name in vars(self._limits):
                setattr(self._limits, name, values[name])
            else:
                setattr(self, "_max_restarts" if name == "restart" else f"_{name}", values[name])

    @classmethod
    def _kind(cls, command: object, shell: bool) -> str:
        """How messages call one that has no name."""
        return commands.label_for(cls.__name__, command, shell)

    def __dir__(self) -> list[str]:
        """The attributes for users; those that only subclasses write are left out, too."""
        written = {"after", "cleanup", "prepare", "ready", "scope", "template_fields"}
        return sorted({*super().__dir__()} - written - {"wait_for_output_async"})

    def __repr__(self) -> str:
        # a constructor that refuses its arguments: tracebacks may show variables
        if "_instance" not in vars(self):
            return f"<{type(self).__name__}: not declared yet>"
        state = "not running"
        if self.running():
            state = f"running, pid {self.pid}"
        elif self.exit_code is not None:
            state = f"ended with {self.exit_code}"
        return f"<{type(self).__name__} {self._called}: {state}>"

    def __str__(self) -> str:
        if "_command" not in vars(self):
            return repr(self)
        return f"<{type(self).__name__} {self._called}: {self.command}>"

    @property
    def command(self) -> str:
        """The command line of the running process; of one that does not run, as it was declared.

        It is one text that a shell would split into the same words; with ``shell=True`` it is the
        text that the shell is given. In that of a running process templates are filled in.
        """
        instance = self._instance
        runs = instance is not None and instance.in_use
        if not runs and self._written:
            return self._written
        words = instance.launch.argv if instance is not None and runs else self._command
        return words[-1] if self._shell else shlex.join(words)

    # -- what flavours override --

    def _told(self) -> list[str]:
        """The texts that tell the service something, and may contain templates."""
        env = filter(None, variables.merged(self._env).values())
        return [*self._command, *env, *(self._written_files() if self._files else ())]

    def _written_files(self) -> list[str]:
        locate = functools.partial(references.located, self)
        return file_arguments.texts(self._files, locate)

    def _texts(self) -> list[str]:
        """All texts that may contain templates."""
        alive = self._alive if isinstance(self._alive, tuple) else ()
        cwd = [self._cwd] if self._cwd else []
        return [*self._told(), *self._stop_command, *alive, *cwd]

    def _program_words(self) -> list[str]:
        """The words that name programs, which a check looks for."""
        alive = self._alive if isinstance(self._alive, tuple) else ()
        return [self._command[0], *self._stop_command[:1], *alive[:1]]

    #: what its templates name, if a start has asked for that
    _named: set[tuple[str, str]] | None = None
    #: whether others talk to the service, so that more than its output is of interest
    _serves = False
    #: its own ways to forget what a test has left in it, as ``reset=`` names them
    _own_resets: Mapping[bool | str, Callable[[Any], object]] = {}
    #: whether the question of readiness can be asked again while the service runs
    _asks_again = False
    #: whether each process that shares it gets a part of its own, which it can reset
    _divides = False

    def _contents(self) -> dict[str, object]:
        """What the files contain that arguments name, by argument, for a fingerprint."""
        return {"files": (sorted(self._files), self._written_files())}

    def _readiness(self) -> list[Probe]:
        """The probes that a start asks; made before the service is spawned."""
        return []

    def _again(self) -> list[Probe]:
        """The probes that ``alive=True`` asks when the service is ready."""
        return self._readiness()

    def _command_probe(self, words: Iterable[str], timeout: float) -> Probe:
        from ..readiness.conditions import CommandProbe

        argv = references.filled(self, words)
        path = references.environment(self).get("PATH")
        program = self._find(argv[0], path, references.directory(self))
        return CommandProbe((program, *argv[1:]), timeout)

    def _notify_address(self) -> str:
        return ""

    def _url_now(self) -> str:
        return f"tcp://{at(self._host, self._port_now())}"

    def _port_now(self) -> int:
        """The port; without a declared or leased one a free port is leased now."""
        return self._port if self._port is not None else self._leased("port").lease()

    def _ready(self, instance: Instance) -> None:
        """Set where output() and wait_for_output() begin; called once the service is ready."""
        if instance.waits:
            instance.mark = instance.output_from = instance.log.size()

    # -- templates --

    def _bind(self, services: Mapping[str, object]) -> None:
        super()._bind(services)
        self._named = None  # a file with templates may have changed

    def _names(self) -> set[tuple[str, str]]:
        """The ``(service, field)`` pairs that its templates name, found once for each start."""
        named = self._named
        if named is None:
            named = self._named = templates.named(self._texts())
        return named

    def _needs(self) -> set[str]:
        """Names of the services that the templates refer to."""
        return {name for name, _ in self._names() if name in self._services}

    def _waits_for(self) -> tuple[object, ...]:
        return (*self.after, *variables.services(self._env))

    def _fill(self, text: str, fill: Callable[..., str] = templates.fill) -> str:
        """A text with its templates filled in."""
        values = functools.partial(references.own, self), functools.partial(references.other, self)
        return fill(text, *values)

    # -- start --

    def _warm_up(self) -> None:
        warm_up()

    def _check(self, may_appear: bool = False) -> None:
        """Refuse arguments that cannot work; see :meth:`Executor._check`."""
        self._refuse_elsewhere()
        if not self._attached:  # otherwise its owner has found everything
            checks.check(self, may_appear)

    def _awaited_ports(self) -> set[str]:
        """The fields, ``port`` or ``port:NAME``, of the ports at which its probes ask."""
        return set()

    def _find(self, word: str, path: str | None, cwd: str) -> str:
        """The full path of a program of this service; a start finds what its check has found."""
        asked = word, path, cwd
        # another thread that would start it, too, may clear them meanwhile
        found = self._found.get(asked)
        if found is None:
            found = programs.find_program(word, path, cwd, self._called, self._may_skip)
            self._found[asked] = found
        return found

    @property
    def _may_skip(self) -> bool:
        """Whether tests are skipped if a program is missing."""
        # the programs were there at an earlier start: that they are missing now is an error
        return self._optional and (self._instance is None or not self._instance.has_run)

    def _starting(self) -> Steps[None]:
        """The start as steps, for orchestrators."""
        if self._attached:
            from . import sharing

            return sharing.starting(self)
        load("executors.start")
        from . import start

        return start.steps(self)

    @boundary_of_start
    def start(self: E) -> E:
        """Start the service and block until it is ready.

        :returns: the executor itself.
        :raises AlreadyRunning: if the service runs already.
        :raises StartFailed: in the form of a subclass that says why; nothing is left running.
        """
        warn_on_a_loop("start()", "await …start_async()")
        self._tell_what_is_ignored()
        self._bind(self._services)
        self._check()
        before = self._instance
        try:
            stay_imported()
            run(self._starting())
            return self
        except BaseException as error:
            instance = self._begun_since(before)
            if instance is not None and not is_ours(error):
                # Ctrl-C may have come when the service was ready already
                same = before is not None and before.lease is instance.lease
                self._finish(instance, same, error)
            raise

    _native_start = start

    def prepare(self) -> None:
        """For subclasses: called before each start, also the one in ``restart()``.

        Its ports are leased, ``tmpdir`` exists with what ``files`` has written there, but the
        command is not filled in yet. So this is the place to write, or to change, files that the
        command names. An exception that it raises is the error of the start. Services that start
        at the same time wait until it returns.
        """

    _native_prepare = prepare

    def ready(self) -> None:
        """For subclasses: called once the service is ready, before those that refer to it start.

        An exception that it raises is the error of the start, which leaves nothing running.
        """

    def _launch(self) -> commands.Launch:
        """The command with its templates filled in."""
        from . import start

        return start.launch(self)

    # -- stop --

    def running(self) -> bool:
        """Whether the service is alive: its main process, or a daemon that this has left."""
        instance = self._instance
        return instance is not None and instance.running()

    def _stopping(
        self, for_now: bool = False, number: int | None = None, timeout: float | None = None
    ) -> Steps[None]:
        """The stop as steps, for orchestrators.

        :param for_now: whether a start follows, which takes over port and directory.
        :param number: a signal, instead of ``stop_signal``.
        :param timeout: seconds, instead of ``stop_timeout``.
        """
        stay_imported()
        self._refuse_elsewhere()
        return end.steps(self, for_now, number, timeout)

    def _can_part(self) -> bool:
        return not (overridden(self, "stop") or self._elsewhere)

    def _part(self: E) -> E:
        former, instance = copy.copy(self), self._instance
        former._services = self._services
        with handover:
            former._instance = instance
            if instance is not None:
                # nobody else knows the copy yet when Ctrl-C comes before its farewell is noted
                hold(former, instance)
                self._instance = instance.as_over()
            let_go(self)
        return former

    @boundary
    def stop(self, signal: int | None = None, timeout: float | None = None) -> None:
        """Stop the service; does nothing if it is not running.

        The main process gets the stop signal, processes that it leaves get SIGTERM, and after
        ``stop_timeout`` all that still run get SIGKILL. If there is a ``stop_command``, it is run
        first, and the signal is sent only if the command fails, or half of the time has passed.

        The port is given back, and the directory is removed with all files in it. In a TestCase
        both stay until the end of the scope, and a service that a test has stopped is started again
        before the next test.

        :param signal: the signal to send instead of ``stop_signal``. No ``stop_command`` is run
            then, except for the server that a ``launcher`` has left elsewhere.
        :param timeout: seconds until SIGKILL; default: ``stop_timeout``.
        :raises StopFailed: if the service had to be killed after this time, if its
            ``stop_command`` failed, or if it ended with a status that is not in
            ``expected_exit``; it is gone all the same. Also if the server that a ``launcher`` has
            left still runs.
        :raises InvalidArgument: for what is no signal, or no duration.
        """
        warn_on_a_loop("stop()", "await …stop_async()")
        try:
            if signal is not None:
                self._checked(signal)
            if timeout is not None:
                arguments.seconds(self._called, "timeout", timeout)
            run(self._stopping(False, signal, timeout))
        except BaseException as error:
            if not (isinstance(error, InvalidArgument) and is_ours(error)):
                # Ctrl-C may have come before the stop has cleaned up
                end.kill(self, self._stays(), error)
            raise

    _native_stop = stop

    @boundary
    def kill(self, signal: int | None = None) -> None:
        """Send SIGKILL to all processes of the service at once.

        Port, directory and data stay, and the next ``start()`` has them again; ``stop()``, or the
        end of the test process, takes them away. A TestCase does not report this as a death, and
        starts the service again before the next test. The server that a ``launcher`` has left
        elsewhere is ended by its ``stop_command``.

        :param signal: a signal to send to all processes instead, such as SIGABRT or SIGQUIT for a
            dump; those that still live after ``stop_timeout`` seconds get SIGKILL.
        :raises StopFailed: if a process could not be killed, or the server that a ``launcher`` has
            left still runs.
        :raises InvalidArgument: for what is no signal.
        """
        self._refuse_elsewhere()
        chosen = {} if signal is None else {"number": self._checked(signal)}
        instance = self._instance
        if instance is None or instance.starting:
            return
        try:
            if instance.in_use and instance.process.mine():
                from ..events import ServiceKilled
                from ..supervision import stopping

                stopping.kill(instance, **chosen)
                instance.tell(ServiceKilled, signal=signal_name(chosen.get("number", SIGKILL)))
                if survivors := stopping.survivors(instance):
                    raise instance.error(StopFailed, f"{self._called}: {survivors}")
        finally:
            self._finish(instance, keep_lease=True)

    def _checked(self, signal: int) -> int:
        return arguments.signal_number(self._called, "signal", signal)

    @boundary
    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            run(leave(error, at_once(self._stop_at_once), [self]))
        except BaseException as failure:
            if not is_ours(failure):
                # Ctrl-C may have come before the stop began
                end.kill(self, self._stays(), failure)
            raise

    def _start_again(self, former: Instance) -> None:
        from ..events import ServiceRestarted

        former.tell(ServiceRestarted, reason=former.reason)
        with self._attempt():
            self.start()

    @boundary_of_start
    def restart(self: E) -> E:
        """Stop the service and start it again, with the same port, directory and data.

        The command of a ``one_shot`` is run once more.

        :returns: the executor itself.
        :raises NotRunning: if the service is not running.
        :raises SummonError: as ``start()`` and ``stop()`` do.
        """
        former = self._current("process to stop")
        former.reason = "restart()"
        if self._one_shot:
            self._stop_for_now()
            self._start_again(former)
            return self
        with self.stopped():
            pass
        return self

    @contextlib.contextmanager
    def stopped(self: E) -> Iterator[E]:
        """A block in which the service is stopped; at the end of the block it is started again.

        Port and directory stay, with all files in it. A ``one_shot`` has done its work, and is not
        run again.

        :raises NotRunning: if the service is not running.
        :raises SummonError: as ``start()`` and ``stop()`` do.
        """
        former = self._current("process to stop")
        if self._one_shot:
            yield self
            return
        try:
            self._stop_for_now()
            yield self
        except Exception as error:
            try:
                self._start_again(former)
            except Exception as failure:
                let_through(failure)
                if not must_arrive(error):
                    raise
                tell_too(error, failure)
            raise
        except BaseException as error:
            # after Ctrl-C nobody needs the service any more
            end.kill(self, self._stays(), error)
            raise
        self._start_again(former)

    def cleanup(self) -> None:
        """For subclasses: called when the service has stopped, for whatever reason.

        It is called once for each :meth:`~SimpleExecutor.prepare` that has returned, so also in
        ``restart()``, and after a start that failed later. ``tmpdir``, ``port`` and ``tail()`` can
        still be used. An exception that it raises is an error of the stop; after a start that
        failed, the error of the start mentions it.
        """

    _native_cleanup = cleanup

    # -- how an instance is left behind --

    @contextlib.contextmanager
    def _attempt(self) -> Iterator[None]:
        before = self._instance
        try:
            yield
        except BaseException as error:
            instance = self._begun_since(before)
            if instance is not None and instance.in_use:
                self._finish(instance, self._stays(), error)
            raise

    def _begun_since(self, before: Instance | None) -> Instance | None:
        """The life that a start which this thread or task has called has begun, if there is one.

        :param before: the last life when it was called.
        """
        former = None if before is None else before.starter
        return self._instance if is_own(self._last_start(), former) else None

    def _last_start(self) -> Caller | None:
        instance = self._instance
        return None if instance is None else instance.starter

    def _undo_start(self, before: Caller | None) -> None:
        if is_own(self._last_start(), before):
            super()._undo_start(before)

    def _clear(self) -> None:
        """End it at once after Ctrl-C in its start or stop, by any method that it has."""
        end.kill(self, self._stays())
        if overridden(self, "stop"):
            self.stop()

    def _needs_no_start(self) -> bool:
        """Whether it is a one-shot that has done its work, or the stack that it uses runs it."""
        instance = self._instance
        lease = None if instance is None else instance.lease
        done = self._one_shot and lease is not None and lease.begun and lease.lasts()
        return done or (self._attached and self.running())

    @property
    def _attached(self) -> bool:
        instance = self._instance
        return instance is not None and instance.attached and instance.lease.lasts()

    def _attach(self) -> None:
        """Take a part of a service that it shares with other processes, if it can be divided."""

    def _detach(self) -> None:
        """Give up what :meth:`_attach` has taken."""

    def _stays(self) -> bool:
        """Whether port and directory outlast a stop, because a start may follow."""
        instance = self._instance
        return self._in_testcase or (instance is not None and instance.pausing)

    @boundary
    def _stop_for_now(self) -> None:
        """Stop it for a start that follows, by the ``stop()`` of a subclass if there is one."""
        if not overridden(self, "stop"):
            run(self._stopping(for_now=True))
            return
        instance = self._current("process to stop")
        instance.pausing = True
        try:
            self._stop_at_once()
        finally:
            instance.pausing = False

    def _finish(
        self, instance: Instance, keep_lease: bool, failure: BaseException | None = None
    ) -> None:
        """Kill what is left of an instance, call ``cleanup()``, and give up its files.

        :param keep_lease: whether to keep port and directory, if the service was ready before, for
            an instance that may follow.
        :param failure: the exception that is being raised, if there is one; an error of
            ``cleanup()`` is added to it.
        """
        end.finish(self, instance, keep_lease, failure)

    # -- while it runs --

    def output(self) -> TextIO:
        """The output since the service was ready, as a text stream.

        Each call returns a new stream, which begins at the same place. The text is as the service
        wrote it, also with escape sequences, such as those for colours. Reading blocks until there
        is output, until the service ends (end of file), or until the executor's ``timeout`` has
        passed; the next read then begins where that one has.

        :raises NotRunning: if the service was not started.
        :raises TimeoutExpired: by a read, after ``timeout`` seconds without output.
        """
        from ..supervision import standard_output

        return standard_output.stream(self._current("output"), self._limits.timeout)

    @boundary
    def wait_for_output(
        self,
        pattern: Pattern | list[Pattern],
        timeout: float | None = None,
        *,
        raw: bool = False,
    ) -> re.Match[str]:
        """Block until the output after the last match matches.

        The pattern is searched in clean text: without escape sequences, such as those for colours,
        and with ``\\n`` at the ends of lines.

        In a TestCase the search begins with the output of the test that runs. The first test that
        uses the service also finds what was written since it became ready.

        :param pattern: a regular expression as text or compiled, or a list, of which one must
            match.
        :param timeout: seconds; default: the executor's own.
        :param raw: whether to search in the output as it was written, with escape sequences.
        :returns: the match.
        :raises InvalidArgument: for what is no pattern, or no duration.
        :raises TimeoutExpired: with the first and the last lines of output.
        :raises ProcessExited: if the service ends without such output.
        :raises NotRunning: if the service was not started.
        :raises SummonError: if the log cannot be read (no file descriptor is left).
        """
        warn_on_a_loop("wait_for_output()", "await …wait_for_output_async()")
        return run(self._waiting_for_output(pattern, timeout, raw))

    @boundary_on_a_loop
    async def wait_for_output_async(
        self,
        pattern: Pattern | list[Pattern],
        timeout: float | None = None,
        *,
        raw: bool = False,
    ) -> re.Match[str]:
        """Wait until the output after the last match matches; see :meth:`wait_for_output`.

        Other tasks of the asyncio event loop go on meanwhile. If the wait is cancelled, the service
        goes on.
        """
        from ..scheduling import asynchronous

        return await asynchronous.run(self._waiting_for_output(pattern, timeout, raw))

    def _waiting_for_output(
        self, pattern: Pattern | list[Pattern], timeout: float | None, raw: bool
    ) -> Steps[re.Match[str]]:
        from ..supervision import standard_output

        instance = self._current("output")
        patterns = compile_patterns(pattern, self._called, "pattern")
        arguments.flag(self._called, "raw", raw)
        return standard_output.wait_for(instance, patterns, self._deadline(timeout), raw)

    def send(self, text: str, timeout: float | None = None) -> None:
        """Write text to the service's standard input; block until all of it is taken.

        Text is taken when the service has read it, or when it is in the buffer of the terminal or
        pipe, which has some 64 KiB. A terminal passes on at most 4,096 bytes of a line.

        :param timeout: seconds; default: the executor's own.
        :raises TimeoutExpired: if the service does not read. The attribute ``taken`` says how many
            bytes were taken; the rest is dropped.
        :raises ProcessExited: if the service has ended, or ends meanwhile.
        :raises NotRunning: if the service was not started, or has closed its input.
        :raises InvalidArgument: if this is no text, or nobody reads it (``stdin=None``).
        """
        from ..supervision import standard_input

        standard_input.send(self._current("input"), text, self._deadline(timeout))

    def sendline(self, text: str = "", timeout: float | None = None) -> None:
        """Write a line to the service's standard input; see :meth:`send`."""
        self.send(text + "\n" if isinstance(text, str) else text, timeout)

    def send_eof(self, timeout: float | None = None) -> None:
        """End the service's standard input, so that the service reads an end of file.

        On a terminal this does what Ctrl-D does: an unfinished line is passed on first, and the
        service may read on, and be sent more text. A program that edits lines itself (readline)
        must have shown its prompt before. A pipe is closed for good; a second call does nothing.

        :param timeout: seconds that the service has to take what was sent before; default: the
            executor's own.
        :raises TimeoutExpired: if the service does not read.
        :raises ProcessExited: if the service has ended, or ends meanwhile.
        :raises NotRunning: if the service was not started.
        :raises InvalidArgument: if nothing can be sent to the service (``stdin=None``).
        """
        from ..supervision import standard_input

        standard_input.end(self._current("input"), self._deadline(timeout))

    def _deadline(self, timeout: float | None) -> Deadline:
        """The deadline of a wait.

        :param timeout: as a test has given it; None for the executor's own.
        """
        if timeout is None:
            return Deadline(self._limits.timeout)
        arguments.seconds(self._called, "timeout", timeout)
        return Deadline(timeout)

    def tail(self, lines: int = 20) -> list[str]:
        """The last lines of the output, as clean text.

        All that the service had written before this call is taken into account. Escape
        sequences are left out, and other control characters are spelt out. If a line was
        overwritten, such as a progress bar, only its last state is in the result.

        :param lines: how many lines, at most. A line of more than 2 MiB may lack its beginning, and
            then it is the first one.
        :raises InvalidArgument: if this is no such number.
        :raises NotRunning: if the service was not started.
        :raises SummonError: if the log cannot be read (no file descriptor is left).
        """
        instance, count = self._current("output"), arguments.count(self._called, "lines", lines)
        instance.catch_up()
        return instance.log.tail(count)

    @contextlib.contextmanager
    def paused(self: E) -> Iterator[E]:
        """A block in which all processes of the service are frozen (SIGSTOP).

        Blocks may be nested: the processes go on at the end of the outermost block.

        :raises NotRunning: if the service is not running.
        """
        instance = self._current("process to pause")
        block = object()
        try:
            instance.pause(block)
            yield self
        finally:
            try:
                instance.unpause(block)
            except BaseException:
                # Ctrl-C may have come before the keeper was told
                instance.unpause(block)
                raise

    def signal(self, number: int, everything: bool = False) -> None:
        """Send a signal to the main process.

        :param number: the signal, such as ``signal.SIGHUP``, at which many servers read their
            configuration again.
        :param everything: whether to send it to all processes of the service.
        :raises NotRunning: if the service is not running, or its main process has ended.
        :raises InvalidArgument: for what is no signal, or no flag.
        """
        instance = self._current("process to signal")
        self._checked(number)
        instance.signal(number, arguments.flag(self._called, "everything", everything))

    def wait(self, timeout: float | None = None) -> int:
        """Block until the main process ends by itself; then all of its output can be read.

        A TestCase does not count an end that a test has waited for as a death, whatever the
        status. It starts the service again before the next test, as if the test had stopped it.

        :param timeout: seconds; default: the executor's own.
        :returns: the exit status; negative if a signal has ended the process.
        :raises TimeoutExpired: if the process still runs after this time.
        :raises ProcessExited: if the service's keeper was killed, since only the keeper learns the
            status.
        :raises NotRunning: if the service was not started.
        """
        return self._current("process to wait for").wait(self._deadline(timeout))

    @property
    def pid(self) -> int:
        """The process id of the main process.

        :raises NotRunning: if the service was not started.
        """
        return self._current("pid").process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit status of the main process, negative for a signal; None if it has not ended."""
        instance = self._instance
        if instance is None:
            return None
        instance.process.pump()
        return instance.process.exit_code

    # -- copies --

    def __getstate__(self) -> dict[str, Any]:
        """What was declared: a copy of an executor has not been started."""
        state = {**vars(self), "_instance": None}
        for bound in ("_services", "_named", "_in_testcase"):
            state.pop(bound, None)
        return state

    def _away(self) -> dict[str, Any] | None:
        if self._instance is None or not self._instance.in_use:
            return None
        from .elsewhere import state_of

        return state_of(self)

    # -- between two tests --

    def _asking(self, when: str) -> Steps[None]:
        """Ask the question of ``alive=``; see :meth:`Executor._asking`."""
        load("executors.alive")
        from . import alive

        return alive.asking(self, when)

    def _stale(self) -> list[str]:
        """In words, values of other services that it was started with, and that have changed."""
        instance = self._instance
        if instance is None or not (instance.told or instance.told_env):
            # nor is a module loaded, for which there may be no descriptor left
            return []
        load("executors.stale")
        from . import stale

        return stale.told(self)


# as those of its subclasses
SimpleExecutor.__init__ = concealing(SimpleExecutor.__init__)  # type: ignore[method-assign]
