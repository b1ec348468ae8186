"""Which sent pictures a found one is laid over, in which order, and when that ends.

Decided before any key is asked for, from the resemblance alone: first all that resemble it more
than chance would have it, then the first few of the rest, then the first few once more with all
patience. A picture that was sent in several messages is laid over once.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Final

from entrenous.model.candidate import Candidate

LIKELY_MAX: Final = 8  # distinct pictures; a collage, or shots of one scene
FIRST: Final = 5
PATIENT: Final = 2
_TWIN: Final = 0.5  # of the first one's points: the picture itself is seldom beaten by its twin
_FRESH: Final = 9  # points in a part that no likelier picture explains: the next tile of a collage

Same = tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Round:
    """Pictures to try before it is asked whether one fitted; each with all messages it is in."""

    pictures: tuple[Same, ...]
    patient: bool = False


def rounds(candidates: Sequence[Candidate]) -> Iterator[Round]:
    """What to try, round by round; the caller stops when a round has found a fit."""
    pictures = [tuple(same) for _, same in groupby(candidates, key=lambda one: one.look)]
    likely = _likely(pictures)
    if likely:
        yield Round(tuple(likely))
    learnt, strange = [[p for p in pictures if p[0].learnt is kind] for kind in (True, False)]
    rest = [one for one in (*learnt[:FIRST], *strange[:FIRST]) if one not in likely]
    if rest:
        yield Round(tuple(rest))
    yield Round(tuple([*likely, *rest][:PATIENT]), patient=True)


def tried(rounds_: Iterable[Round]) -> tuple[Candidate, ...]:
    """Every picture of every message in these rounds, each once."""
    return tuple(dict.fromkeys(one for some in rounds_ for same in some.pictures for one in same))


def _likely(pictures: list[Same]) -> list[Same]:
    likely = [same for same in pictures if same[0].likely]
    most = max((same[0].agreeing for same in likely), default=0)
    standing = (
        same
        for same in likely
        if same[0].same_print or same[0].agreeing >= _TWIN * most or same[0].fresh >= _FRESH
    )
    return list(islice(standing, LIKELY_MAX))
