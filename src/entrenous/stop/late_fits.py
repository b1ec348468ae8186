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
from numpy.typing import NDArray

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
from entrenous.model.print import VIDEO_KIND
from entrenous.ports import ReviewQueue
from entrenous.spec import PDQ_RADIUS
from entrenous.stop.look import INVERTED, said
from entrenous.stop.turned import turned_back
from entrenous.stop.weigh import how_found

_PAGE: Final = 10_000
_AT_ONCE: Final = 250_000  # uploads in one index: about 50 MB
_WORTH_AN_INDEX: Final = 512  # queries; below that, making one takes longer than comparing
_CLIPS: Final = 200  # at a time: up to 48,000 hashes
_TURNS: Final = 8
_WAYS: Final = 2 * _TURNS  # and the same inverted


@dataclass(frozen=True, slots=True)
class Sought:
    """A hash, the claim as it stands on it, and how far an upload may lie from it, in bits."""

    claim: Claim
    bits: bytes
    radius: int


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Uploads that were let through or wait: their cases, and their hashes (N, 4), of which a clip
    has several, one after the other.
    """

    cases: Sequence[str]
    words: Words
    clips: bool = False

    def uploads(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """By place of a hash, a number of the upload that it is of."""
        if not self.clips:
            return places
        firsts = [at == 0 or case != self.cases[at - 1] for at, case in enumerate(self.cases)]
        return np.cumsum(firsts)[places]

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
    """All, a quarter of a million at a time, and then the clips; read in pages, so that no writer
    waits for long.
    """
    cases, words, after = list[str](), list[Words](), 0
    while page := reviews.kept_pictures(after, _PAGE):
        cases += (one.case for one in page)
        words.append(as_words([one.bits for one in page]))
        after = page[-1].number
        if len(cases) >= _AT_ONCE:
            yield Kept(cases, np.concatenate(words))
            cases, words = [], []
    if cases:
        yield Kept(cases, np.concatenate(words))
    yield from _kept_clips(reviews)


def _kept_clips(reviews: ReviewQueue) -> Iterator[Kept]:
    after = 0
    while page := reviews.kept_clips(after, _CLIPS):
        cases = [clip.case for clip in page for _ in clip.frames]
        yield Kept(cases, as_words([bits for clip in page for bits in clip.frames]), clips=True)
        after = page[-1].number


def fitting(sought: Sequence[Sought], kept: Kept) -> Iterator[Fits]:
    """Those of these uploads that lie within the radius of some of these hashes.

    A frame is a part of its video: of the one that was uploaded, and of the one that is registered.
    """
    if not sought:
        return
    ways = [turned_back(one.bits) for one in sought]
    hows = [*(said(how) for how in ways[0]), *(said(how, INVERTED) for how in ways[0])]
    found = kept.index_for(_WAYS * len(ways)).pairs(_queries(ways), PDQ_RADIUS)
    for _, near in groupby(_by_upload(found, kept), key=itemgetter(0)):
        matches = dict[ClaimId, tuple[Match, bytes, int]]()
        for _, distance, query, place in near:
            number, way = divmod(query, _WAYS)
            one = sought[number]
            if distance <= one.radius and one.claim.id not in matches:
                part = kept.clips or one.claim.kind == VIDEO_KIND
                how, added = how_found(hows[way], one.claim), one.claim.added
                match = Match(one.claim.bank, one.claim.id, distance, how, part, added)
                matches[one.claim.id] = match, one.bits, place
        if matches:
            every = list(matches.values())
            _, nearest, place = every[0]
            yield Fits(kept.cases[place], tuple(match for match, _, _ in every), nearest)


def _queries(ways: Sequence[Mapping[str, bytes]]) -> Words:
    """(16 H, 4): of each hash the eight ways, then the same inverted."""
    words = as_words([way for of_one in ways for way in of_one.values()]).reshape(-1, _TURNS, 4)
    return np.concatenate([words, ~words], axis=1).reshape(-1, 4)


def _by_upload(found: Pairs, kept: Kept) -> Iterator[tuple[int, int, int, int]]:
    """Upload, distance, query, place: uploads one after the other, of each the nearest first.

    Of ways that lie equally near, the one with the fewest changes comes first.
    """
    uploads = kept.uploads(found.entry)
    order = np.lexsort((found.query, found.distance, uploads))
    columns = (uploads, found.distance, found.query, found.entry)
    return zip(*(one[order].tolist() for one in columns), strict=True)
