"""Breadth-first search through all that can happen, each state once, with the shortest trace to a
violation.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tests.village.explore.events import Event, Rules
from tests.village.explore.nevers import Broken, check
from tests.village.explore.relay import Explored
from tests.village.explore.scene import Scene


@dataclass
class Found:
    """The result of a search; ``ways`` is the number of sequences of full length in which each
    event changes something.
    """

    events: int
    states: int = 0
    steps: int = 0
    ways: int = 0
    wrong: str | None = None
    trace: tuple[str, ...] = ()


class Search:
    """A search of all states that some number of events lead to."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._came: dict[Scene, tuple[Scene | None, str]] = {}
        self._next: dict[Scene, tuple[tuple[Scene, ...], tuple[Scene, ...]]] = {}

    def run(self, events: int) -> Found:
        """Follow every sequence of at most ``events`` events; stop at the first violation."""
        disk = self.rules.relay.begin()
        first = Scene(disk, disk.rows)
        found, layer = Found(events), Counter({first: 1})
        self._came[first] = (None, "")
        try:
            for _ in range(events):
                layer = self._layer(self._committed(layer, found), found)
            layer = self._committed(layer, found)
        except _Wrong as why:
            found.wrong, found.trace = str(why), self._trace(why.scene)
        found.states, found.ways = len(self._came), layer.total()
        return found

    def _committed(self, layer: Counter[Scene], found: Found) -> Counter[Scene]:
        """Add the scenes after a commit to a layer: a commit is not counted as an event."""
        for scene, ways in list(layer.items()):
            for after in self._after(scene, found)[0]:
                layer[after] += ways
        return layer

    def _layer(self, layer: Counter[Scene], found: Found) -> Counter[Scene]:
        further = Counter[Scene]()
        for scene, ways in layer.items():
            for after in self._after(scene, found)[1]:
                further[after] += ways
        return further

    def _after(self, scene: Scene, found: Found) -> tuple[tuple[Scene, ...], tuple[Scene, ...]]:
        if scene not in self._next:
            try:
                commits = self._come(scene, self.rules.commits(scene))
                happens = self._come(scene, self.rules.happens(scene))
            except Broken as why:
                raise _Wrong(str(why), scene) from None
            found.steps += len(commits) + len(happens)
            self._next[scene] = commits, happens
        return self._next[scene]

    def _come(self, before: Scene, events: Iterable[Event]) -> tuple[Scene, ...]:
        """Return the scenes that differ from ``before``, each once; check those that are new."""
        afters = dict[Scene, None]()
        for label, after in events:
            if after not in self._came:
                self._came[after] = (before, label)
                try:
                    check(after, self.rules.relay)
                except Broken as why:
                    raise _Wrong(str(why), after) from None
            if after is not before:
                afters[after] = None
        afters.pop(before, None)
        return tuple(afters)

    def _trace(self, scene: Scene) -> tuple[str, ...]:
        labels, at = list[str](), scene
        while True:
            before, label = self._came[at]
            if before is None:
                return tuple(reversed(labels))
            labels.append(label)
            at = before


class _Wrong(Exception):
    def __init__(self, why: str, scene: Scene) -> None:
        super().__init__(why)
        self.scene = scene


def explore(
    opens: int | None, events: int, *, groups: bool = False, early: str | None = None
) -> tuple[Found, Rules]:
    """Search all that can happen to a message that opens ``opens`` times (None: no limit)."""
    rules = Rules(Explored(opens), groups, early)
    return Search(rules).run(events), rules
