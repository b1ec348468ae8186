"""Which uploads that were let through lie near newly registered hashes (docs/spec/gate.md, 5.2).

Many hashes are compared with many uploads at once. An index is made of the uploads, some hundred
thousand at a time, and asked for each hash as it is, turned, mirrored and inverted. So one more
hash costs some look-ups, and not one more pass over all uploads; and whoever asks about few of them
compares each with all, which for so few is quicker than making an index.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np

from entrenous.craft.fingerprint.index import (
    Pairs,
    ScanIndex,
    Searchable,
    Words,
    as_words,
    searchable,
)
from entrenous.model.claim import Claim
from entrenous.model.fingerprint import Match
from entrenous.model.ids import ClaimId
from entrenous.ports import ReviewQueue
from entrenous.spec import PDQ_RADIUS
from entrenous.stop.look import INVERTED, said
from entrenous.stop.turned import turned_back

_PAGE: Final = 10_000
_AT_ONCE: Final = 250_000  # uploads in one index: about 50 MB
_WORTH_AN_INDEX: Final = 512  # queries; below that, making one takes longer than comparing
_TURNS: Final = 8
_WAYS: Final = 2 * _TURNS  # and the same inverted


@dataclass(frozen=True, slots=True)
class Sought:
    """A registered hash of a claim, and how far an upload may lie from it, in bits."""

    claim: Claim
    bits: bytes
    radius: int


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Uploads that were let through: their cases, and their hashes (N, 4)."""

    cases: Sequence[str]
    words: Words

    def index_for(self, queries: int) -> Searchable:
        """Numbered by place."""
        places = np.arange(len(self.words))
        if queries < _WORTH_AN_INDEX:
            return ScanIndex(places, np.ascontiguousarray(self.words.T))
        return searchable(places, self.words)


@dataclass(frozen=True, slots=True)
class Fits:
    """One upload, all claims that it fits, nearest first, and the nearest registered hash."""

    case: str
    matches: tuple[Match, ...]
    nearest: bytes


def kept_uploads(reviews: ReviewQueue) -> Iterator[Kept]:
    """All, a quarter of a million at a time; read in pages, so that no writer waits for long."""
    cases, words, after = list[str](), list[Words](), 0
    while page := reviews.accepted(after, _PAGE):
        cases += (one.case for one in page)
        words.append(as_words([one.bits for one in page]))
        after = page[-1].number
        if len(cases) >= _AT_ONCE:
            yield Kept(cases, np.concatenate(words))
            cases, words = [], []
    if cases:
        yield Kept(cases, np.concatenate(words))


def fitting(sought: Sequence[Sought], kept: Kept) -> Iterator[Fits]:
    """Those of these uploads that lie within the radius of some of these hashes."""
    if not sought:
        return
    ways = [turned_back(one.bits) for one in sought]
    hows = [*(said(how) for how in ways[0]), *(said(how, INVERTED) for how in ways[0])]
    found = kept.index_for(_WAYS * len(ways)).pairs(_queries(ways), PDQ_RADIUS)
    for place, near in groupby(_by_upload(found), key=itemgetter(0)):
        matches = dict[ClaimId, tuple[Match, bytes]]()
        for _, distance, query in near:
            number, way = divmod(query, _WAYS)
            one = sought[number]
            if distance <= one.radius and one.claim.id not in matches:
                match = Match(one.claim.bank, one.claim.id, distance, hows[way])
                matches[one.claim.id] = match, one.bits
        if matches:
            every = list(matches.values())
            yield Fits(kept.cases[place], tuple(match for match, _ in every), every[0][1])


def _queries(ways: Sequence[Mapping[str, bytes]]) -> Words:
    """(16 H, 4): of each hash the eight ways, then the same inverted."""
    words = as_words([way for of_one in ways for way in of_one.values()]).reshape(-1, _TURNS, 4)
    return np.concatenate([words, ~words], axis=1).reshape(-1, 4)


def _by_upload(found: Pairs) -> Iterator[tuple[int, int, int]]:
    """Place of the upload, distance, query: uploads one after the other, of each the nearest first.

    Of ways that lie equally near, the one with the fewest changes comes first.
    """
    order = np.lexsort((found.query, found.distance, found.entry))
    columns = (found.entry, found.distance, found.query)
    return zip(*(one[order].tolist() for one in columns), strict=True)
