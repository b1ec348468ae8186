"""Breadth-first search of all reachable states, with the shortest trace to a violation."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tests.village.explore.events import EventGenerator, LabelledState
from tests.village.explore.invariants import Violation, check_invariants
from tests.village.explore.relay import ExploredRelay
from tests.village.explore.system_state import SystemState


@dataclass
class SearchResult:
    """The result of a search.

    ``sequences`` is the number of paths that lead to the states of the last layer. Each step of a
    path changes the state. Each outcome of a commit makes a separate path.
    """

    events: int
    states: int = 0
    steps: int = 0
    sequences: int = 0
    violation: str | None = None
    trace: tuple[str, ...] = ()


class Search:
    """A search of all states that can be reached by a given number of events."""

    def __init__(self, generator: EventGenerator) -> None:
        self.generator = generator
        self._reached_from: dict[SystemState, tuple[SystemState | None, str]] = {}
        self._successors: dict[
            SystemState, tuple[tuple[SystemState, ...], tuple[SystemState, ...]]
        ] = {}

    def run(self, events: int) -> SearchResult:
        """Follow every sequence of at most ``events`` events; stop at the first violation."""
        disk = self.generator.relay.create_initial_disk()
        first = SystemState(disk, disk.rows)
        result, layer = SearchResult(events), Counter({first: 1})
        self._reached_from[first] = (None, "")
        try:
            for _ in range(events):
                layer = self._next_layer(self._add_commits(layer, result), result)
            layer = self._add_commits(layer, result)
        except _FoundViolation as why:
            result.violation, result.trace = str(why), self._trace(why.scene)
        result.states, result.sequences = len(self._reached_from), layer.total()
        return result

    def _add_commits(
        self, layer: Counter[SystemState], result: SearchResult
    ) -> Counter[SystemState]:
        """Add the states after commits to the layer, because commits do not count as events."""
        for system, sequences in list(layer.items()):
            for after in self._successors_of(system, result)[0]:
                layer[after] += sequences
        return layer

    def _next_layer(
        self, layer: Counter[SystemState], result: SearchResult
    ) -> Counter[SystemState]:
        next_layer = Counter[SystemState]()
        for system, sequences in layer.items():
            for after in self._successors_of(system, result)[1]:
                next_layer[after] += sequences
        return next_layer

    def _successors_of(
        self, system: SystemState, result: SearchResult
    ) -> tuple[tuple[SystemState, ...], tuple[SystemState, ...]]:
        if system not in self._successors:
            try:
                commits = self._record_and_check(system, self.generator.commit_outcomes(system))
                events_after = self._record_and_check(system, self.generator.next_events(system))
            except Violation as why:
                raise _FoundViolation(str(why), system) from None
            result.steps += len(commits) + len(events_after)
            self._successors[system] = commits, events_after
        return self._successors[system]

    def _record_and_check(
        self, before: SystemState, outcomes: Iterable[LabelledState]
    ) -> tuple[SystemState, ...]:
        """Check each state that is reached for the first time.

        Return the distinct states that differ from ``before``.
        """
        afters = dict[SystemState, None]()
        for label, after in outcomes:
            if after not in self._reached_from:
                self._reached_from[after] = (before, label)
                try:
                    check_invariants(after, self.generator.relay)
                except Violation as why:
                    raise _FoundViolation(str(why), after) from None
            if after is not before:
                afters[after] = None
        afters.pop(before, None)
        return tuple(afters)

    def _trace(self, system: SystemState) -> tuple[str, ...]:
        labels, at = list[str](), system
        while True:
            before, label = self._reached_from[at]
            if before is None:
                return tuple(reversed(labels))
            labels.append(label)
            at = before


class _FoundViolation(Exception):
    def __init__(self, why: str, system: SystemState) -> None:
        super().__init__(why)
        self.scene = system


def explore(
    opens: int | None,
    events: int,
    *,
    with_group_commits: bool = False,
    answer_before_commit: str | None = None,
) -> tuple[SearchResult, EventGenerator]:
    """Search all states after at most ``events`` events.

    The message may be opened ``opens`` times; None means without limit.
    """
    generator = EventGenerator(ExploredRelay(opens), with_group_commits, answer_before_commit)
    return Search(generator).run(events), generator
