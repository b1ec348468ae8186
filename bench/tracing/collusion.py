"""Measure whose copies are named if several people merge theirs and save the result as JPEG."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bench.attacks.collusion import MERGE_NAMES, collude, collude_and_post
from bench.attacks.kinds import Rgb, Rng
from bench.photographs import Size
from bench.tracing.grid import Cell
from bench.tracing.memory_sender import Sent, people

Leaking = Callable[[Sequence[Rgb], Rng], bytes]

LEAKS: Final[Mapping[str, Leaking]] = MappingProxyType(
    {
        f"{name}+q75": (lambda copies, rng, name=name: collude(name, copies, rng, 75))
        for name in MERGE_NAMES
    }
    | {
        "average+q70": lambda copies, rng: collude("average", copies, rng, 70),
        "average, 1,600 q70, 1,080 q60": collude_and_post,
    }
)
"""All nine merges at quality 75; the average also at quality 70, and after it was posted twice."""
COUNTS: Final = (2, 5, 10, 20)


@dataclass(frozen=True, slots=True)
class Merged:
    """The result for one merged leak.

    ``named`` and ``wrong`` are the numbers of colluders and of innocent people whose copies were
    named. ``highest_score`` and ``lowest_score`` are the highest and the lowest score of a
    colluder's copy; a copy without a score counts as 0.
    """

    photo: str
    size: str
    way: str
    colluders: int
    named: int
    wrong: int
    highest_score: float
    lowest_score: float
    registered: bool


def merged(photo: str, size: Size, sent: Sent, seed: int) -> Iterator[Merged]:
    """Yield the results for one photograph, for every number of colluders and way of merging."""
    copies = {who: sent.samples(who) for who in people()}
    for count in COUNTS:
        for way in LEAKS:
            rng = Cell(photo, size, f"{count} {way}", seed).rng()
            who = [str(name) for name in rng.choice(list(copies), count, replace=False)]
            found = LEAKS[way]([copies[name] for name in who], rng)
            yield _trace_and_score(
                Merged(photo, size.value, way, count, 0, 0, 0, 0, False), sent, who, found
            )


def _trace_and_score(empty: Merged, sent: Sent, who: Sequence[str], found: bytes) -> Merged:
    trace = sent.traced(found)
    named = {str(name) for name in trace.verdict.named}
    score = {str(name): value for name, value in trace.verdict.score.items()}
    heard = [score.get(name, 0.0) for name in who]
    return Merged(
        empty.photo,
        empty.size,
        empty.way,
        empty.colluders,
        named=len(named & set(who)),
        wrong=len(named - set(who)),
        highest_score=max(heard),
        lowest_score=min(heard),
        registered=trace.warp is not None,
    )
