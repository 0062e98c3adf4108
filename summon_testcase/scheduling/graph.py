"""Works through a graph: each member begins when the members before it are done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from .steps import Scheduler, Steps

#: for each key the keys that come before it
Graph = Mapping[str, Iterable[str]]


class GraphRun:
    """Works through a graph; members that do not wait for each other run at the same time.

    :param graph: must have no circle.
    :param begin: makes the steps of a member from its key.
    """

    def __init__(self, graph: Graph, begin: Callable[[str], Steps[None]]) -> None:
        self._begin = begin
        self._scheduler = Scheduler()
        self._waiting = {key: set(before) for key, before in graph.items()}
        self._under_way: dict[Steps[None], str] = {}
        #: keys of members that are done
        self.done: list[str] = []
        #: the errors of members that failed, in the order of failing, and their keys
        self.errors: list[BaseException] = []
        self.failed: list[str] = []
        #: a signal handler or another thread sets this to end the walk before its next step
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
        """Run all members, or stop at the first failure.

        :param go_on: whether to go on, and count a failed member as done for those after it.
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
                # only now that the result is noted: Ctrl-C may come in between
                del self._under_way[steps]
                for before in self._waiting.values():
                    before.discard(key)
            if self.errors and not go_on:
                return
            if self._under_way and all(self._waiting.values()):
                yield self._scheduler.pause()

    def cancel(self) -> list[BaseException]:
        """Close all steps that are under way; the errors of closing them."""
        errors = self._scheduler.cancel()
        for steps in self._under_way:
            # Ctrl-C may have come when the scheduler had dropped these steps already
            steps.close()
        return errors


def reverse(graph: Graph, keys: list[str]) -> dict[str, set[str]]:
    """The reversed graph of some keys: each comes after all that came after it."""
    after: dict[str, set[str]] = {key: set() for key in keys}
    for other in keys:
        for key in graph[other]:
            if key in after:
                after[key].add(other)
    return after


def up_to(graph: Graph, key: str) -> set[str]:
    """A key, and all that come before it."""
    found: set[str] = set()
    following = [key]
    while following:
        each = following.pop()
        if each not in found:
            found.add(each)
            following += graph[each]
    return found


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
