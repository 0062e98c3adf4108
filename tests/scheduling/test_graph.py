"""Walks through graphs: the order of starts and stops."""

from __future__ import annotations

import graphlib
import itertools
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from summon_testcase import Executor, Orchestrator
from summon_testcase.scheduling.graph import GraphRun, circle, reverse
from summon_testcase.scheduling.steps import Pause, Steps, run

KEYS = "abcdefgh"


#: one bit for each pair of keys: much cheaper to draw than sets are
PAIRS = st.integers(0, 2 ** (len(KEYS) ** 2) - 1)


def among(bits: int, place: int) -> set[str]:
    """The keys that a row of bits stands for."""
    row = bits >> (place * len(KEYS))
    return {key for number, key in enumerate(KEYS) if row >> number & 1}


@st.composite
def acyclic(draw: Any) -> dict[str, set[str]]:
    """For each key the keys before it: without a circle, declared in any order."""
    size, bits = draw(st.integers(0, len(KEYS))), draw(PAIRS)
    graph = {key: among(bits, n) & set(KEYS[:n]) for n, key in enumerate(KEYS[:size])}
    return {key: graph[key] for key in draw(st.permutations(KEYS[:size]))}


any_graph = st.builds(
    lambda size, bits: {
        key: among(bits, n) & set(KEYS[:size]) for n, key in enumerate(KEYS[:size])
    },
    st.integers(0, len(KEYS)),
    # few edges, or there would always be a circle
    st.builds(lambda a, b, c: a & b & c, PAIRS, PAIRS, PAIRS),
)
some_keys = st.builds(among, PAIRS, st.just(0))
#: how many pauses each key makes
lengths = st.integers(0, 4 ** len(KEYS) - 1).map(
    lambda bits: {key: bits >> (2 * n) & 3 for n, key in enumerate(KEYS)}
)
no_hurry = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


class Failed(Exception):
    """What a key raises that is to fail."""


class Journey:
    """A walk whose events are written down."""

    def __init__(
        self,
        graph: dict[str, set[str]],
        lengths: dict[str, int],
        failing: set[str] = frozenset(),  # type: ignore[assignment]
    ) -> None:
        self.graph, self.lengths, self.failing = graph, lengths, failing
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.closed: list[str] = []
        self.graph_run = GraphRun(graph, self.begin)

    def begin(self, key: str) -> Steps[None]:
        self.begun.append(key)
        return self.steps(key)

    def steps(self, key: str) -> Steps[None]:
        try:
            for _ in range(self.lengths[key]):
                yield Pause((), 0.0)
        except GeneratorExit:
            self.closed.append(key)
            raise
        self.ended.append(key)
        if key in self.failing:
            raise Failed(key)


class TestWalk:
    @no_hurry
    @given(acyclic(), lengths)
    def test_each_after_those_before_it(
        self, graph: dict[str, set[str]], lengths: dict[str, int]
    ) -> None:
        """All are done, once, each begun when the last of those before it was done."""
        journey = Journey(graph, lengths)
        for _ in journey.graph_run.steps(go_on=False):
            # nothing waits that could have begun
            for key in journey.graph_run.waiting:
                assert not graph[key] <= set(journey.graph_run.done)
            assert set(journey.begun) == set(journey.graph_run.done) | set(
                journey.graph_run.under_way
            )
            for key in journey.begun:
                assert graph[key] <= set(journey.graph_run.done)
        assert sorted(journey.graph_run.done) == sorted(journey.begun) == sorted(graph)
        for place, key in enumerate(journey.graph_run.done):
            assert graph[key] <= set(journey.graph_run.done[:place])
        assert journey.graph_run.errors == [] and not journey.graph_run.waiting

    @no_hurry
    @given(acyclic(), lengths, some_keys)
    def test_ends_at_the_first_failure(
        self, graph: dict[str, set[str]], lengths: dict[str, int], failing: set[str]
    ) -> None:
        """Nothing begins after it; each key is in one state; what is under way can be closed."""
        journey = Journey(graph, lengths, failing)
        run(journey.graph_run.steps(go_on=False))
        graph_run = journey.graph_run
        failed = [str(error) for error in graph_run.errors]
        assert bool(failed) == bool(failing & set(graph))
        assert set(failed) <= failing
        states = [*graph_run.done, *graph_run.waiting, *graph_run.under_way, *failed]
        assert sorted(states) == sorted(graph)
        for key in graph:
            if graph[key] & set(failed):
                assert key in graph_run.waiting
        under_way = graph_run.under_way
        assert graph_run.cancel() == []
        begun = [key for key in under_way if journey.lengths[key]]
        assert set(journey.closed) <= set(under_way) and len(journey.closed) <= len(begun)
        assert set(journey.ended) == {*graph_run.done, *failed}

    @no_hurry
    @given(acyclic(), lengths, some_keys)
    def test_goes_on_after_failures(
        self, graph: dict[str, set[str]], lengths: dict[str, int], failing: set[str]
    ) -> None:
        """A stop attempts all, in order, whatever fails, and keeps every error."""
        journey = Journey(graph, lengths, failing)
        run(journey.graph_run.steps(go_on=True))
        assert sorted(journey.ended) == sorted(graph)
        for place, key in enumerate(journey.ended):
            assert graph[key] <= set(journey.ended[:place])
        failed = sorted(str(error) for error in journey.graph_run.errors)
        assert failed == sorted(failing & set(graph))

    @no_hurry
    @given(acyclic(), lengths, st.integers(0, 12))
    def test_called_off(
        self, graph: dict[str, set[str]], lengths: dict[str, int], moment: int
    ) -> None:
        """What calls it off at any pause ends it: nothing begins any more."""
        journey = Journey(graph, lengths)
        steps = journey.graph_run.steps(go_on=False)
        for _ in range(moment):
            if next(steps, None) is None:
                break
        begun = list(journey.begun)
        journey.graph_run.called_off = True
        list(steps)
        assert journey.begun == begun if moment else journey.begun == []
        assert journey.graph_run.cancel() == []


class TestReverse:
    @no_hurry
    @given(acyclic(), some_keys)
    def test_the_way_back(self, graph: dict[str, set[str]], some: set[str]) -> None:
        """Each comes after all that came after it: the last started may be the first to stop."""
        keys = [key for key in graph if key in some]
        back = reverse(graph, keys)
        assert list(back) == keys
        for key in keys:
            assert back[key] == {other for other in keys if key in graph[other]}
        assert reverse(back, keys) == {key: graph[key] & set(keys) for key in keys}
        assert circle(back) == []


class TestCircle:
    @no_hurry
    @given(any_graph)
    def test_found_if_there_is_one(self, graph: dict[str, set[str]]) -> None:
        """As the standard library finds; what is told is a circle, and a shortest telling of it."""
        found = circle(graph)
        try:
            list(graphlib.TopologicalSorter(graph).static_order())
            cyclic = False
        except graphlib.CycleError:
            cyclic = True
        assert bool(found) == cyclic
        if found:
            assert found[0] == found[-1] and len(set(found)) == len(found) - 1
            assert all(after in graph[key] for key, after in itertools.pairwise(found))


class Told(Executor):
    """A member that writes down what is done to it."""

    def __init__(self, after: set[str], events: list[tuple[str, str]]) -> None:
        self.after, self.events = tuple(sorted(after)), events

    def start(self) -> Told:
        self.events.append(("start", self.name))
        return self

    def stop(self) -> None:
        self.events.append(("stop", self.name))


@no_hurry
@given(acyclic())
def test_an_orchestrator_keeps_the_order(graph: dict[str, set[str]]) -> None:
    """Starts follow ``after``, stops are the reverse of it; each happens once."""
    events: list[tuple[str, str]] = []
    group = Orchestrator({key: Told(graph[key], events) for key in graph})
    with group:
        pass
    assert sorted(events) == sorted((what, key) for what in ("start", "stop") for key in graph)
    assert [what for what, _ in events] == ["start"] * len(graph) + ["stop"] * len(graph)
    place = {event: number for number, event in enumerate(events)}
    for key, before in graph.items():
        for other in before:
            assert place["start", other] < place["start", key]
            assert place["stop", key] < place["stop", other]
