"""What a test's report says of its services: who died, and what each of them wrote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..executors.deaths import ask, death_of, name_it, sentence
from ..executors.executor import Executor
from ..scheduling.steps import Pause, wait
from ..unpatched import time
from .selection import is_in

if TYPE_CHECKING:
    from ..supervision.instance import Instance

#: seconds for which a failing test waits for news of a death; the refusal that made it fail
#: may be a moment older than the end of the process
PATIENCE = 0.1


class Watch:
    """The services of a test, from its beginning to its end.

    :param parts: the services.
    :param label: the test.
    :param may_revive: whether one is started again before the next test, if it died.
    """

    def __init__(
        self, parts: Sequence[Executor], label: str, may_revive: Callable[[Executor], bool]
    ) -> None:
        self._parts = parts
        self._label = label
        self._may_revive = may_revive
        #: why the test cannot run, which then needs no more words
        self.reason: BaseException | None = None
        #: sentences about what was done before the test
        self.remarks: list[str] = []
        #: the deaths that were noticed, and whose they are
        self._deaths: list[tuple[Exception, Executor]] = []
        #: what was written by those that were stopped before the report is made
        self._kept: dict[int, str] = {}

    def begin(self) -> None:
        """The test begins now."""
        for instance in self._instances():
            instance.begin_test()

    def end(self) -> None:
        """The test is over."""
        for instance in self._instances():
            instance.end_test()

    def _instances(self) -> list[Instance]:
        """The lives that the services lead, or led last; what runs no process has none."""
        return [part._instance for part in self._parts if part._instance is not None]

    def look(self, patience: float = 0, ask_too: bool = False) -> None:
        """Notice who has died.

        :param patience: seconds to wait for that, if nobody has yet.
        :param ask_too: whether to ask those that can be asked if they still answer.
        """
        if ask_too:
            ask(self._parts, f"during {self._label}")
        fds: tuple[int, ...] = ()
        if patience:
            fds = tuple(fd for instance in self._instances() if (fd := instance.catch_up()) >= 0)
        until = time.monotonic() + patience
        while True:
            for part in self._parts:
                death = death_of(part, f"during {self._label}")
                if death is not None and not is_in(death, self.deaths):
                    self._deaths.append((death, part))
            if self._deaths or not fds or time.monotonic() >= until:
                return
            wait(Pause(fds, until))

    @property
    def deaths(self) -> list[Exception]:
        """The deaths that were noticed."""
        return [death for death, _ in self._deaths]

    def fatal(self) -> Exception | None:
        """The first death that the test cannot pass with; it counts as named."""
        for death, part in self._deaths:
            if not self._may_revive(part):
                name_it(death)
                return death
        return None

    def keep(self) -> None:
        """Keep what was written, and the logs: they are about to go."""
        for part in self._parts:
            self._kept[id(part)] = self._output(part)

    def text(
        self, in_short: BaseException | None = None, without: BaseException | None = None
    ) -> str:
        """Everything that the report should say, deaths first; empty if there is nothing.

        :param in_short: a death that is told at length elsewhere.
        :param without: a death that is what is reported.
        """
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
        said += self.remarks
        said += [self._kept.get(id(part)) or self._output(part) for part in self._parts]
        said += [words for part in self._parts for words in part._stale()]
        return "\n".join(filter(None, said))

    def _output(self, part: Executor) -> str:
        lines, path = ([], "") if part._instance is None else part._instance.wrote()
        if not lines:
            return ""
        shown = [f"{part.name} wrote during this test:", *(f"    | {line}" for line in lines)]
        return "\n".join([*shown, f"  full log: {path}"] if path else shown)
