"""The part of a test's report that is about its services: deaths, and what the services wrote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..errors import sentence
from ..executors.deaths import ask, death_of, name_it
from ..executors.executor import Executor
from ..scheduling.steps import Pause, wait
from ..unpatched import time
from .selection import is_in

if TYPE_CHECKING:
    from ..supervision.instance import Instance

#: seconds for which a failing test waits for news of a death: the refusal that made it fail may be
#: a moment older than the end of the process
PATIENCE = 0.1


class Watch:
    """Watches the services of a test, from its beginning to its end.

    :param parts: the services.
    :param label: the name of the test.
    :param may_revive: returns whether a service is started again before the next test if it died.
    """

    def __init__(
        self, parts: Sequence[Executor], label: str, may_revive: Callable[[Executor], bool]
    ) -> None:
        self._parts = parts
        self._label = label
        self._may_revive = may_revive
        #: why the test cannot run; the report then says nothing else
        self.reason: BaseException | None = None
        #: sentences about services that were started again before the test
        self.remarks: list[str] = []
        #: the deaths that were noticed, and the services that died
        self._deaths: list[tuple[Exception, Executor]] = []
        #: output of services that are stopped before the report is made, by ``id()``
        self._kept: dict[int, tuple[list[str], str]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the services."""
        return tuple(part.name for part in self._parts)

    def begin(self) -> None:
        """Tell the services that the test begins now."""
        for instance in self._instances():
            instance.begin_test()

    def end(self) -> None:
        """Tell the services that the test is over."""
        for instance in self._instances():
            instance.end_test()

    def _instances(self) -> list[Instance]:
        """The last instance of each service that runs a process and was started."""
        return [part._instance for part in self._parts if part._instance is not None]

    def kept_logs(self) -> list[str]:
        """The paths of logs that stay when the services have stopped."""
        files = [instance.files for instance in self._instances()]
        return [each.log.path for each in files if each.log_is_kept]

    def look(self, patience: float = 0, at_its_end: bool = False) -> None:
        """Look which services have died.

        :param patience: seconds to wait for a death, if there is none yet.
        :param at_its_end: whether the test has come to its end: then services with ``alive=`` are
            asked whether they still answer, and all keepers for news of deaths up to now.
        """
        fds: tuple[int, ...] = ()
        if at_its_end:
            ask(self._parts, f"during {self._label}")
            fds = self._hear(output_too=patience > 0)
        until = time.monotonic() + patience
        while True:
            for part in self._parts:
                death = death_of(part, f"during {self._label}")
                if death is not None and not is_in(death, self.deaths):
                    self._deaths.append((death, part))
            if self._deaths or not (fds and patience) or time.monotonic() >= until:
                return
            wait(Pause(fds, until))

    def _hear(self, output_too: bool) -> tuple[int, ...]:
        """Receive all news of the keepers, which answer at the same time.

        :param output_too: whether output is of interest, which the owner of an attached service
            has to be asked for.
        :returns: descriptors that are readable when there is more news.
        """
        asked = [(instance, instance.ask_for_news()) for instance in self._instances()]
        found = [it.catch_up(order or (None if output_too else 0)) for it, order in asked]
        return tuple(fd for fd in found if fd >= 0)

    @property
    def deaths(self) -> list[Exception]:
        """The deaths that were noticed."""
        return [death for death, _ in self._deaths]

    def fatal(self) -> Exception | None:
        """The first death that fails the test, which is noted as named; None if there is none."""
        for death, part in self._deaths:
            if not self._may_revive(part):
                name_it(death)
                return death
        return None

    def keep(self) -> None:
        """Keep the output of services that are about to be stopped; their logs stay, too."""
        for part in self._parts:
            self._kept[id(part)] = self._output(part)

    def text(
        self, in_short: BaseException | None = None, without: BaseException | None = None
    ) -> str:
        """The text for the report, deaths first; empty if there is nothing to say.

        :param in_short: a death that takes one sentence, since it is reported at length elsewhere.
        :param without: a death that is left out, since it is itself what the report is about.
        """
        wrote = [
            "\n".join([f"{title}:", *(f"    | {line}" for line in lines), *log])
            for title, lines, log in self._wrote()
        ]
        return "\n".join([*self._events(in_short, without), *wrote, *self._stale()])

    def sections(self, error: BaseException) -> list[tuple[str, str]]:
        """The same in sections, with a title each, for a report that is about an exception."""
        cause = self.deaths[0] if self.deaths else None
        said = [*self._events(cause, error), *self._stale()]
        found = [("services", "\n".join(said))] if said else []
        return found + [(title, "\n".join([*lines, *log])) for title, lines, log in self._wrote()]

    def _events(self, in_short: BaseException | None, without: BaseException | None) -> list[str]:
        """What has happened to the services, in words."""
        said = []
        for death, part in self._deaths:
            name_it(death)
            if death is not without:
                said.append(sentence(death) if death is in_short else str(death))
            if self._may_revive(part):
                said.append(f"{part.name} is started again before the next test (restart=)")
        dead = [part for _, part in self._deaths]
        for part in self._parts:
            if not is_in(part, dead) and (how := part._instance.ended() if part._instance else ""):
                said.append(f"{part.name}: {how}")
        return said + self.remarks

    def _stale(self) -> list[str]:
        return [words for part in self._parts for words in part._stale()]

    def _wrote(self) -> list[tuple[str, list[str], list[str]]]:
        """For each service that wrote something: a title, the lines, and where its log is."""
        found = []
        for part in self._parts:
            lines, path = self._kept.get(id(part)) or self._output(part)
            if lines:
                title = f"{part.name} wrote during this test"
                found.append((title, lines, [f"  full log: {path}"] if path else []))
        return found

    @staticmethod
    def _output(part: Executor) -> tuple[list[str], str]:
        return ([], "") if part._instance is None else part._instance.wrote()
