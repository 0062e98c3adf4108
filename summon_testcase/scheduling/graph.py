"""Things that wait for each other, each begun once those before it are done."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .steps import Scheduler, Steps

#: for each key the keys that come before it
Graph = Mapping[str, set[str]]


class GraphRun:
    """A walk through a graph, in parallel where it may be.

    :param graph: without a circle.
    :param begin: makes the steps of a key.
    """

    def __init__(self, graph: Graph, begin: Callable[[str], Steps[None]]) -> None:
        self._begin = begin
        self._scheduler = Scheduler()
        self._waiting = {key: set(before) for key, before in graph.items()}
        self._under_way: dict[Steps[None], str] = {}
        #: keys whose steps came to their end
        self.done: list[str] = []
        #: errors of those that failed, in the order in which they did, and whose they are
        self.errors: list[BaseException] = []
        self.failed: list[str] = []
        #: set by a signal handler, or another thread, to end it before the next step
        self.called_off = False

    @property
    def waiting(self) -> list[str]:
        """Keys that have not begun."""
        return list(self._waiting)

    @property
    def under_way(self) -> list[str]:
        """Keys that have begun, and neither ended nor failed."""
        return list(self._under_way.values())

    def steps(self, go_on: bool) -> Steps[None]:
        """Do it all, or until the first failure.

        :param go_on: whether a failed one counts as done for those after it.
        """
        while (self._waiting or self._under_way) and not self.called_off:
            for key, before in list(self._waiting.items()):
                if before:
                    continue
                steps = self._begin(key)
                self._under_way[steps] = key
                self._scheduler.add(steps)
                del self._waiting[key]
            for steps, error in self._scheduler.advance():
                key = self._under_way[steps]
                if error is None:
                    self.done.append(key)
                else:
                    self.errors.append(error)
                    self.failed.append(key)
                # not before it is known to be done: an interrupt may come in between
                del self._under_way[steps]
                for before in self._waiting.values():
                    before.discard(key)
            if self.errors and not go_on:
                return
            if self._under_way and all(self._waiting.values()):
                yield self._scheduler.pause()

    def cancel(self) -> list[BaseException]:
        """Close all that is under way; the errors of doing so."""
        errors = self._scheduler.cancel()
        for steps in self._under_way:
            # an interrupt may have come between two steps, where the scheduler has let go
            steps.close()
        return errors


def reverse(graph: Graph, keys: list[str]) -> dict[str, set[str]]:
    """The way back among some keys: each after all that came after it."""
    after: dict[str, set[str]] = {key: set() for key in keys}
    for other in keys:
        for key in graph[other]:
            if key in after:
                after[key].add(other)
    return after


def circle(graph: Graph) -> list[str]:
    """A circle in a graph, its first member repeated at the end; empty if there is none."""
    done: set[str] = set()
    for root in graph:
        path: list[str] = []
        trail = [iter([root])]
        while trail:
            node = next(trail[-1], None)
            if node is None:
                trail.pop()
                if path:
                    done.add(path.pop())
            elif node in path:
                return [*path[path.index(node) :], node]
            elif node not in done:
                path.append(node)
                trail.append(iter(sorted(graph[node])))
    return []
