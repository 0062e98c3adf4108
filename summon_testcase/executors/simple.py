"""The executor that all flavours extend: ready when its process is spawned."""

from __future__ import annotations

import functools
import shlex
import signal
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ..clean import LONGEST, shortened
from ..declaration import arguments, lifetime, programs, templates
from ..declaration import command as commands
from ..declaration.arguments import Limits, Pattern, compile_patterns, perform
from ..declaration.concealed import concealing
from ..declaration.directory import declaring_directory
from ..declaration.lifetime import Scope
from ..errors import (
    CommandNotFound,
    FailurePatternSeen,
    InvalidArgument,
    NotRunning,
    RequirementMissing,
    SpawnFailed,
    SummonError,
    TimeoutExpired,
    UnknownReference,
)
from ..foreign import is_foreign, let_through, undisturbed
from ..scheduling.deadline import Deadline
from ..scheduling.steps import Steps, run
from ..tracebacks import boundary_of_start, hidden
from ..unpatched import os, stay_imported, time
from ..wording import at
from .executor import overridden
from .lifecycle import handover, load, warm_up
from .service import Service

if TYPE_CHECKING:
    from ..declaration.options import Alive
    from ..readiness.conditions import AllOf
    from ..readiness.probe import Probe
    from ..supervision.instance import Instance
    from ..supervision.life import RunFiles

__tracebackhide__ = hidden

E = TypeVar("E", bound="SimpleExecutor")

#: seconds in which a server that was left elsewhere answers once more
_STILL_THERE = 2.0
#: for which one is asked at most whether it still answers
_PATIENCE = 10.0


class SimpleExecutor(Service):
    """A process; ready as soon as it is spawned.

    :param command: what to run.  A string is split into words as a shell would; a
        sequence is taken as it is, numbers and paths in it as text; a path alone is a program
        without arguments.  Templates in it are filled in at start: ``{port}``,
        ``{host}``, ``{url}``, ``{tmpdir}``, ``{name}``, and ``{other.port}`` for another
        service; ``{python}``, the Python that runs the tests; ``{here}``, the directory of the
        module that makes the executor.  Whatever else is in braces stays as it is.
    :param shell: give the whole string to ``/bin/sh -c`` instead.
    :param timeout: seconds until it must be ready; None for no limit.
    :param env: added to the inherited environment: text, numbers, paths; None removes a variable.
        Templates are filled in, ``$NAME`` is not: it is refused.  The virtual environment that the
        tests run in is active in it, unless this has a ``PATH``.
    :param cwd: the directory to run in, and where relative paths start; default: the current one.
    :param name: how it is called; default: the class attribute or mapping key.
    :param after: executors, or names, that must be ready before this one starts.
    :param stop_signal: what ``stop()`` sends first.
    :param stop_timeout: seconds that ``stop()`` waits before it kills.
    :param stop_command: a command that ``stop()`` runs instead of a signal, as text or as a
        sequence, with the environment and the directory of the service; templates are filled
        in.  If it fails, or half of ``stop_timeout`` has passed, the signal is sent after all.
    :param fails_on: a pattern in the output that means: give up now.
    :param expected_exit: statuses that ``stop()`` accepts, beside 0, the signal's own, and 128
        and the signal; of a ``one_shot`` or a ``launcher`` those that are a success, beside 0.
    :param tty: give it a pseudo-terminal; pipes otherwise.
    :param stdin: None for an empty standard input (``/dev/null``); by default it is what
        ``send()`` writes.
    :param one_shot: ready when it has exited with status 0 (migrations).  What ``until`` asks
        counts if it has been true at any moment, before the exit or after.
    :param launcher: it exits with status 0 and leaves a server somewhere else, where it is no
        process of ours (``docker compose up -d``): what it waits for is waited for after that,
        whoever listens then, and only ``stop_command`` can end it.
    :param requires: a program that must be installed too, or several: looked for, as the
        command is, before anything is started.
    :param optional: whether the tests of a TestCase are skipped, instead of failing, if the
        command, or what it requires, is not installed.  Not once it has run in this process.
    :param until: called with the executor; ready only once it returns something true.
        An exception counts as "not yet", but for a mistake in the callable, which ends the start:
        NameError, SyntaxError, ImportError, a TypeError or AttributeError of the callable itself
        (unless it is about None), an AssertionError that was given a message (``assert x, "why"``;
        those of ``assertEqual`` and its like count as "not yet").  While it runs no other
        service is asked; it is called again after four times as long as it took.
    :param scope: how long it lives in a TestCase: ``"test"``, fresh for each; ``"class"``;
        ``"module"``; ``"run"``, shared by all classes that inherit the same declaration until
        the process ends.
    :param reset: called with the executor before each test but the first that uses it.
    :param restart: start it again before the next test if it died while tests ran: True, or
        how many times.  By default the tests that would need it error.
    :param alive: what is asked before and after each test, so that one that hangs is named like
        one that died: a function, called with the executor, that returns something true; a probe
        command that exits with 0, as text or as a sequence, templates filled in; True to ask
        again what it waited for, if that is an answer, a connection or a probe command.  It is
        given ``timeout`` seconds, at most 10, and asked again meanwhile.
    :param host: the address that ``{host}`` and ``host`` give.
    :param port: the port that ``{port}`` and ``port`` give; default: a free one.
    :raises InvalidArgument: naming the argument and what to write instead.

    >>> with SimpleExecutor('echo -n "hello"') as greeting:
    ...     greeting.output().read()
    'hello'
    """

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
        env: Mapping[str, object] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        name: str | None = None,
        after: object | Iterable[object] = (),
        stop_signal: int = signal.SIGTERM,
        stop_timeout: float = 10,
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
        reset: Callable[[Any], object] | None = None,
        restart: bool | int = False,
        alive: Alive = None,
        host: str = "127.0.0.1",
        port: int | None = None,
    ) -> None:
        self._here = declaring_directory(self)
        label = commands.label_for(type(self).__name__, command, shell is True)
        given = arguments.call(label, name)
        label = given or label
        self._command = commands.split(command, arguments.flag(label, "shell", shell), label)
        #: as it was written, if that was a text
        self._written = command if isinstance(command, str) else ""
        self._shell = shell
        arguments.seconds(label, "timeout", timeout, unlimited=True)
        arguments.seconds(label, "stop_timeout", stop_timeout)
        arguments.port(label, port)
        super().__init__(
            given,
            os.path.basename(self._command[0]).strip("{}"),
            Limits(
                timeout,
                arguments.signal_number(label, "stop_signal", stop_signal),
                stop_timeout,
                arguments.statuses(label, expected_exit),
            ),
            arguments.host(label, host),
            port,
        )
        #: how errors call it before it has a name
        self._declared = label
        self._env = arguments.environment(label, env)
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
        self._stop_command = (
            ()
            if stop_command is None
            else commands.split(stop_command, False, label, "stop_command")
        )
        self._requires = arguments.names(label, "requires", requires)
        self._optional = arguments.flag(label, "optional", optional)
        #: what it needs was there: if it is missing later, that is an error
        self._has_run = False
        lifetime.callback(label, "until", until)
        self._until = until
        self.scope = lifetime.scope(label, scope)
        lifetime.callback(label, "reset", reset)
        self._reset = reset
        self._max_restarts = lifetime.max_restarts(label, restart)
        self._alive: Any = lifetime.alive(label, alive, self._asks_again)
        if not (alive is None or isinstance(alive, bool) or callable(alive)) and not hasattr(
            alive, "look"
        ):
            self._alive = commands.split(alive, False, label, "alive")
        #: what was filled in of other services when it was started
        self._filled: dict[tuple[str, str], str] = {}
        #: whether there was anything to wait for once it was spawned
        self._waits = False
        #: whether that may come when nothing of it is alive here
        self._outlasts = False

    def __str__(self) -> str:
        if "_command" not in vars(self):
            return repr(self)
        return f"<{type(self).__name__} {self._called}: {self.command}>"

    @property
    def command(self) -> str:
        """The command line as it was run, templates filled in; before it is, as it was declared.

        As one text that a shell would split into the same words; with ``shell=True`` what the
        shell is given.
        """
        instance = self._instance
        if instance is None and self._written:
            return self._written
        words = self._command if instance is None else instance.launch.argv
        return words[-1] if self._shell else shlex.join(words)

    # -- what flavours override --

    def _texts(self) -> list[str]:
        """Every text in which templates are filled in."""
        env = [value for value in self._env.values() if value is not None]
        alive = self._alive if isinstance(self._alive, tuple) else ()
        texts = [*self._command, *self._stop_command, *env, *alive]
        return [*texts, *([self._cwd] if self._cwd else [])]

    #: what readiness is asked by can be asked again, as often as one likes
    _asks_again = False

    def _readiness(self) -> list[Probe]:
        """What is asked until it is ready, made before it is spawned."""
        return []

    def _again(self) -> list[Probe]:
        """The same, to be asked again of one that is ready."""
        return self._readiness()

    def _command_probe(self, words: Iterable[str], timeout: float) -> Probe:
        from ..readiness.conditions import CommandProbe

        argv = tuple(self._fill(word) for word in words)
        program = self._find(argv[0], self._environment().get("PATH"), self._directory())
        return CommandProbe((program, *argv[1:]), timeout)

    def _notify_address(self) -> str:
        return ""

    def _url_now(self) -> str:
        return f"tcp://{at(self._host, self._port_now())}"

    def _port_now(self) -> int:
        """The port of this life, leased now if there is none yet."""
        return self._port if self._port is not None else self._life_now("port").lease()

    def _ready(self, instance: Instance) -> None:
        """Set where output() and wait_for_output() begin; called once it is ready."""
        if self._waits:
            instance.mark = instance.output_from = instance.log.size()

    # -- templates --

    def _needs(self) -> set[str]:
        """Names of the services that templates refer to."""
        return {name for name, _ in templates.references(self._texts()) if name in self._services}

    def _own(self, field: str) -> str:
        if field == "port":
            told = self.match and self.match.groupdict().get("port")
            return told or str(self._port_now())
        if field == "url":
            return self._url_now()
        if field == "tmpdir":
            return self.tmpdir
        if field == "python":
            return self._python()
        if field == "here":
            return self._declared_in()
        return self._host if field == "host" else self._called

    def _python(self) -> str:
        if not sys.executable:
            raise InvalidArgument(
                f"{self._called}: {{python}} is not known, since sys.executable is "
                f"{sys.executable!r}: write the path of an interpreter",
                executor=self._called,
            )
        return sys.executable

    def _declared_in(self) -> str:
        if self._here is None:
            raise InvalidArgument(
                f"{self._called}: {{here}} is the directory of the module that declares it, which "
                "has no file: write the directory",
                executor=self._called,
            )
        return self._here

    def _other(self, name: str, field: str) -> str | None:
        self._check_reference(name, field)
        service = self._services.get(name)
        if service is None:
            return None
        if service is self and field in templates.OWN_FIELDS:
            return self._own(field)
        try:
            found = getattr(service, field)
        except NotRunning:
            raise
        except AttributeError:
            offered = [known for known in templates.offered(service) if hasattr(service, known)]
            raise templates.unknown_field(self._called, name, field, offered) from None
        if found is None:
            raise UnknownReference(
                f"{self._called}: {{{name}.{field}}} cannot be filled in: {name} has none, since "
                "what told it was not in its banner, or it is None",
                executor=self._called,
            )
        value = str(found)
        self._filled.setdefault((name, field), value)
        return value

    def _check_reference(self, name: str, field: str) -> None:
        service = self._services.get(name)
        if service is not None:
            fields = templates.offered(service)
            if field not in fields:
                raise templates.unknown_field(self._called, name, field, fields)
        elif field in templates.OTHER_FIELDS:
            raise templates.unknown_service(self._called, name, field, self._services)

    def _fill(self, text: str) -> str:
        return templates.fill(text, self._own, self._other)

    def _placed(self, text: str) -> str:
        """A text with what is known before the start filled in."""

        def own(field: str) -> str:
            return self._own(field) if field in templates.PLACES else f"{{{field}}}"

        return templates.fill(text, own, lambda name, field: None)

    def _directory(self) -> str:
        """The directory that it runs in."""
        return commands.directory(self._fill(self._cwd) if self._cwd else None, self._called)

    # -- start --

    def _warm_up(self) -> None:
        warm_up()

    def _check(self, may_appear: bool = False) -> None:
        """Refuse, before anything is spawned, what cannot work."""
        self._refuse_elsewhere(self._called)
        called, texts = self._called, self._texts()
        for name, field in sorted(templates.references(texts)):
            self._check_reference(name, field)
        self._refuse_a_port_untold()
        cwd, place = None, self._placed(self._cwd or "")
        may_appear = may_appear or overridden(self, "prepare")
        if not (may_appear or templates.there_are([place])):
            cwd = commands.directory(place, called)
        path = programs.path_of(self._env)
        path = None if path is None else self._placed(path)
        if templates.there_are([path or ""]):
            return
        self._find_required(path, cwd)
        if cwd is not None:
            self._find_program(path, cwd)
            alive = self._alive if isinstance(self._alive, tuple) else ()
            for word in (*self._stop_command[:1], *alive[:1]):
                self._find_known(word, path, cwd)

    def _find_program(self, path: str | None, cwd: str) -> None:
        """Refuse a program that is known to be missing already."""
        self._find_known(self._command[0], path, cwd)

    def _find_known(self, word: str, path: str | None, cwd: str) -> None:
        word = self._placed(word)
        if not templates.there_are([word]):
            self._find(word, path, cwd)

    def _waits_for_its_port(self) -> bool:
        """Whether readiness is asked at the port that ``{port}`` gives."""
        return False

    def _refuse_a_port_untold(self) -> None:
        """Refuse to wait at a port that was found for it, and that it cannot know.

        What a subclass tells it, in a file that ``prepare()`` writes, is not known here.
        """
        if self._port is not None or not self._waits_for_its_port():
            return
        texts = [*self._command, *filter(None, self._env.values())]
        if overridden(self, "prepare") or self._names_own(texts, "port", "url"):
            return
        written = {field.lower(): field for field in sorted(templates.fields(texts))}
        meant = templates.nearest("port", written)
        hint = f"did you mean {{port}} by {{{written[meant]}}}? " if meant else ""
        raise InvalidArgument(
            f"{self._called}: nothing tells it at which port to listen: {hint}write {{port}} into "
            "command= or env=, or give port= if it always is the same",
            executor=self._called,
        )

    def _names_own(self, texts: Iterable[str], *wanted: str) -> bool:
        """Whether templates in some texts name any of some fields of this executor."""
        texts = list(texts)
        others = templates.references(texts)
        own = templates.fields(texts) | {f for n, f in others if self._services.get(n) is self}
        return not own.isdisjoint(wanted)

    def _find(self, word: str, path: str | None, cwd: str) -> str:
        """The full path of a program."""
        return programs.find_program(word, path, cwd, self._called, self._may_skip)

    @property
    def _may_skip(self) -> bool:
        """Whether tests are skipped if a program is missing."""
        return self._optional and not self._has_run

    def _find_required(self, path: str | None, cwd: str | None) -> None:
        for word in map(self._placed, self._requires):
            if cwd is None and os.sep in word and not os.path.isabs(word):
                continue  # not yet known where it starts from
            try:
                self._find(word, path, cwd or os.sep)
            except CommandNotFound as error:
                let_through(error)
                raise RequirementMissing(error.message, **vars(error)) from None

    def _environment(self) -> dict[str, str]:
        return commands.environment(self._env, self._tty, self._fill)

    def _starting(self) -> Steps[None]:
        """The start as steps, for orchestrators."""
        stay_imported()
        load("supervision.warden", "supervision.life", "system.ports", "readiness.conditions")
        self._refuse_twice()
        if self._instance is not None:
            # it died; what it left may live
            self._finish(self._files, self._instance, keep_life=True)
        from ..supervision.life import Life
        from ..system import ports

        began = time.monotonic()
        deadline = Deadline(self._limits.timeout)
        instance: Instance | None = None
        files: RunFiles | None = None
        hooks = False
        probe: AllOf | None = None
        try:
            with handover:
                self._refuse_twice()
                life = self._life
                if life is None or not life.mine():
                    life = Life(self._called)
                files = life.next_run()
                self._life, self._files = life, files
            known = life.port if self._port is None else self._port
            # one that is leased now is free
            lingering = "" if known is None else ports.lingering(known)
            self.match = self._exit_code = None
            self._filled.clear()
            hooks = True
            if overridden(self, "prepare"):
                self._port_now()
                perform(f"{self._called}: prepare()", self.prepare)
            hooks = False
            files.prepared = True
            probe = self._all_probes()
            # a resolver that is slow must leave time for the start
            occupied = yield from probe.occupied(self._called, began + deadline.left() / 2)
            if occupied is not None:
                raise occupied
            question, probe = probe, self._watched(probe)
            launch = self._launch()
            self._warm_up()
            load("supervision.instance")
            from ..supervision.instance import Instance, logger

            logger.info("%s: starting", self._called)
            instance = Instance(self._called, files, launch, self._limits, self._outlasts)
            instance.lingering, instance.port = lingering, known
            if self._launcher:
                instance.who_is_there = functools.partial(question.occupied, self._called)
            self._instance = instance
            self._has_run = True
            # where there is nothing to wait for it is ready, even if it ends at this moment
            waits = self._waits or self._one_shot or self._launcher or self._fails_on
            yield from instance.get_ready(probe if waits else None, deadline)
            instance.outlasts = self._launcher and instance.process.ended
            if self._launcher and self._waits and not instance.outlasts:
                # something of it is alive here: the server, or a straggler
                instance.lives_elsewhere = functools.partial(_lives_elsewhere, instance, question)
            self._ready(instance)
            if self.match and "port" in self.match.groupdict():
                # it is known only now
                launch.stop = self._stop_words(launch.env.get("PATH"), launch.cwd)
                instance.process.farewell()
            hooks = True
            perform(f"{self._called}: ready()", self.ready)
            again, life.begun = life.begun, True
            self._hold(instance)
        except BaseException as error:
            if files is not None:
                self._finish(files, instance, keep_life=True, failure=error)
            if isinstance(error, OSError) and not hooks and not is_foreign(error):
                raise SpawnFailed(f"{self._called}: not started: {error}") from error
            raise
        finally:
            if probe is not None:
                probe.close()
        logger.info("%s: ready after %.3f s", self._called, time.monotonic() - began)
        if again:
            self._tell_others()

    @boundary_of_start
    def start(self: E) -> E:
        """Start the process and block until it is ready.

        :returns: the executor itself.
        :raises AlreadyRunning: if it runs.
        :raises StartFailed: of the kind that says why; nothing is left running.
        """
        self._tell_what_is_ignored()
        self._check()
        self._refuse_twice()
        return self._started(self._starting())

    _native_start = start

    def prepare(self) -> None:
        """For subclasses: called before each start, also that of a ``restart()``.

        Its port is leased and ``tmpdir`` exists, the command is not filled in yet: the place to
        write a file that it names.  What it raises is the error of the start.  Services that
        start at the same time wait for it as long as it takes.
        """

    _native_prepare = prepare

    # -- between two tests --

    def _asking(self, when: str) -> Steps[None]:
        """Ask whether it still answers, if it was declared how: if not, that is its death."""
        instance = self._instance
        if self._alive is None or instance is None or instance.hung or not instance.process.mine():
            return
        if not instance.running():
            return
        from ..readiness.conditions import AllOf, Until
        from ..readiness.wait import Verdict, until_ready
        from ..wording import counted

        alive, limit = self._alive, min(self._limits.timeout or _PATIENCE, _PATIENCE)
        deadline, probe = Deadline(limit), None
        try:
            if alive is True:
                probe = AllOf(self._again())
            elif isinstance(alive, tuple):
                probe = AllOf([self._command_probe(alive, limit)])
            elif callable(alive):
                probe = AllOf([Until(lambda: alive(self), "alive=")])
            else:
                probe = AllOf([alive])
            instance.process.probed = None  # that of its start
            asked = until_ready(instance.process, probe, deadline, outlasts=instance.outlasts)
            outcome = yield from asked
            if outcome.verdict is Verdict.EXPIRED:
                instance.hung = instance.error(
                    TimeoutExpired,
                    f"{self._called}: did not answer within {limit:g} s when it was asked {when} "
                    "whether it is alive",
                    timeout=limit,
                    waiting_for=probe.describe(),
                    refusal=f"{outcome.refusal} (asked {counted(outcome.attempts, 'time')})",
                    seconds=deadline.elapsed(),
                )
        except SummonError as error:
            let_through(error)
            # somebody else is there, or the function has a mistake
            instance.hung = instance.named(error)
        finally:
            if probe is not None:
                probe.close()

    def _stale(self) -> list[str]:
        """What it was told of other services, and is not true any more."""
        said = []
        for (name, field), value in self._filled.items() if self._instance is not None else ():
            try:
                now = str(getattr(self._services.get(name), field))
            except (NotRunning, AttributeError) as error:
                let_through(error)
                continue
            if now != value:
                said.append(
                    f"{self._called} was started with {{{name}.{field}}} = {value}, which is {now} "
                    f"since {name} was started again: restart() {self._called} too"
                    + (f", or have {name} listen at {{port}}" if field in ("port", "url") else "")
                )
        return said

    def _tell_others(self) -> None:
        """Say who was told something that has changed with this start."""
        from ..supervision.instance import logger

        for service in self._services.values():
            for said in getattr(service, "_stale", list)():
                logger.warning("%s", said)

    def ready(self) -> None:
        """For subclasses: called once it is ready, before those that refer to it start.

        What it raises is the error of the start, which leaves nothing running.
        """

    def _all_probes(self) -> AllOf:
        from ..readiness.conditions import AllOf, Completed, Meanwhile, Spawned, Until

        probes = undisturbed(self._readiness)
        self._waits = bool(probes or self._until)
        # what is asked of addresses and files may come when all of it has ended; output may not
        self._outlasts = self._launcher or (self._one_shot and not probes)
        until = self._until
        asked = None if until is None else Until(lambda: until(self))
        if self._one_shot:
            completed = Completed("one_shot", self._fine)
            if asked is None:
                probes.append(completed)
            else:
                probes.insert(0, Meanwhile(completed, asked))
        elif asked is not None:
            probes.append(asked)
        if self._launcher:
            probes.insert(0, Completed("launcher", self._fine))
        everything = AllOf(probes or [Spawned()])
        try:
            everything.check()
        except InvalidArgument as error:
            let_through(error)
            # found by a probe, which does not know whose it is
            raise InvalidArgument(f"{self._called}: {error}", executor=self._called) from None
        return everything

    def _watched(self, probe: AllOf) -> AllOf:
        """The same question, which fails once the output says so."""
        if not self._fails_on:
            return probe
        from ..readiness.conditions import AllOf, NoFailure
        from ..readiness.output import Observer

        observer = Observer(self._files_now().log, self._fails_on)
        failure = NoFailure(observer, self._failure_seen)
        # again at the end: output that came in between may have both
        return AllOf([failure, probe, failure])

    def _failure_seen(self, matched: str) -> FailurePatternSeen:
        said = shortened(matched, LONGEST)
        return self._current("output").error(
            FailurePatternSeen,
            f"{self._called}: its output has {said!r}, which fails_on= means to be fatal",
            matched=matched,
        )

    def _launch(self) -> commands.Launch:
        cwd = self._directory()
        env = self._environment()
        argv = tuple(self._fill(word) for word in self._command)
        notify = self._notify_address()
        if notify:
            env["NOTIFY_SOCKET"] = notify
        path = env.get("PATH")
        self._find_required(path, cwd)
        program = self._find(argv[0], path, cwd)
        return commands.Launch(
            argv,
            program,
            env,
            cwd,
            self._tty,
            notify,
            self._silent,
            self._stop_words(path, cwd),
            self._fine,
            self._limits.stop_timeout if self._launcher and self._stop_command else 0.0,
        )

    @property
    def _fine(self) -> frozenset[int]:
        """Statuses with which it may end before it is ready."""
        ends = self._one_shot or self._launcher
        return self._limits.expected_exit | {0} if ends else frozenset({0})

    def _stop_words(self, path: str | None, cwd: str) -> tuple[str, ...]:
        """The command that stops it, filled in; empty if there is none."""
        if not self._stop_command:
            return ()
        program, *rest = [self._fill(word) for word in self._stop_command]
        return (self._find(program, path, cwd), *rest)


# as those of its subclasses
SimpleExecutor.__init__ = concealing(SimpleExecutor.__init__)  # type: ignore[method-assign]


def _lives_elsewhere(instance: Instance, probe: Probe) -> bool:
    """Whether what was waited for is there, though nothing of it is alive here any more."""
    from ..readiness.wait import Verdict, until_ready

    try:
        asked = until_ready(instance.process, probe, Deadline(_STILL_THERE), outlasts=True)
        return run(asked).verdict is Verdict.READY
    except SummonError as error:
        let_through(error)
        return False
    finally:
        probe.close()
