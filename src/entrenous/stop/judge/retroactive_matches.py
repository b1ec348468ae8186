"""Matches between new registrations and uploads that were let through before (gate.md, 5.2).

The pictures of those uploads are gone: their perceptual hashes are rotated and mirrored instead,
approximately. Sounds are compared by their fingerprints.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.base.identifiers import ClaimId
from entrenous.base.limits import PDQ_BYTES, PDQ_RADIUS
from entrenous.fingerprint.linear_scan import Pairs, ScanIndex, Words, as_words
from entrenous.fingerprint.multi_index import Searchable, searchable
from entrenous.fingerprint.nouns import VIDEO_KIND, Alike, Match, SoundPrint
from entrenous.fingerprint.pdq import inverted
from entrenous.fingerprint.sound_index import AS_IT_IS, SoundIndex, SoundView
from entrenous.fingerprint.sound_index import as_words as sound_index_as_words
from entrenous.stop.judge.clip_matches import sound_hits
from entrenous.stop.judge.scan import INVERTED, describe_edits
from entrenous.stop.judge.weigh import describe_match
from entrenous.stop.platform import ReviewQueue
from entrenous.stop.registration import Claim
from entrenous.stop.upload_record import KeptSound

Bits = NDArray[np.uint8]  # (16, 16): vertical frequency, horizontal frequency
_SIDE: Final = 16
_ODD: Final = (np.arange(_SIDE) % 2 == 0).astype(np.uint8)  # bit i is of frequency i + 1


def rotate_hash(bits: bytes) -> Mapping[str, bytes]:
    """About the fingerprints that ``craft.fingerprint.orientation`` would give, by the same names.

    Args:
        bits: a PDQ hash, 32 bytes, bit 255 first.
    """
    grid = np.unpackbits(np.frombuffer(bits, dtype=np.uint8))[::-1].reshape(_SIDE, _SIDE)
    down, across, swapped = _ODD[:, None], _ODD[None, :], grid.T
    return {
        "as it is": bits,
        "turned 90": _packed(swapped ^ across),
        "turned 180": _packed(grid ^ down ^ across),
        "turned 270": _packed(swapped ^ down),
        "mirror": _packed(grid ^ across),
        "mirror, turned 180": _packed(grid ^ down),
        "mirror, turned 90": _packed(swapped),
        "mirror, turned 270": _packed(swapped ^ down ^ across),
    }


def rotate_hash_back(bits: bytes) -> Mapping[str, bytes]:
    """What an upload's hash is, if it was made from the picture of ``bits`` in each of these ways:
    a quarter turn is undone by the opposite one, everything else by itself.
    """
    turns = rotate_hash(bits)
    undone = {"turned 90": "turned 270", "turned 270": "turned 90"}
    return {how: turns[undone.get(how, how)] for how in turns}


def all_orientations(bits: bytes) -> tuple[tuple[str, bytes], ...]:
    """About the hash that a picture has of which ``bits`` is an upload's, by what had been done to
    that picture: turned or mirrored, and its colours inverted or not.
    """
    ways = rotate_hash(bits).items()
    return (
        *((describe_edits(how), way) for how, way in ways),
        *((describe_edits(how, INVERTED), inverted(way)) for how, way in ways),
    )


def _packed(grid: Bits) -> bytes:
    packed = np.packbits(grid.reshape(-1)[::-1]).tobytes()
    assert len(packed) == PDQ_BYTES  # noqa: S101 (16 x 16 bits)
    return packed


_PAGE: Final = 10_000
_AT_ONCE: Final = 250_000  # uploads in one index: about 50 MB
_WORTH_AN_INDEX: Final = 512  # queries; below that, making one takes longer than comparing
_CLIPS: Final = 200  # at a time: up to 48,000 hashes
_TURNS: Final = 8
_WAYS: Final = 2 * _TURNS  # and the same inverted


@dataclass(frozen=True, slots=True)
class SoughtHashes:
    """A hash, the claim as it stands on it, and how far an upload may lie from it, in bits."""

    claim: Claim
    bits: bytes
    radius: int


@dataclass(frozen=True, slots=True, eq=False)
class ReleasedUploads:
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
class RetroactiveMatches:
    """One upload, all claims that it fits, nearest first, and the nearest registered hash."""

    case: str
    matches: tuple[Match, ...]
    nearest: bytes


def kept_uploads(reviews: ReviewQueue) -> Iterator[ReleasedUploads]:
    """All, a quarter of a million at a time, and then the clips; read in pages, so that no writer
    waits for long.
    """
    cases, words, after = list[str](), list[Words](), 0
    while page := reviews.kept_pictures(after, _PAGE):
        cases += (one.case for one in page)
        words.append(as_words([one.bits for one in page]))
        after = page[-1].number
        if len(cases) >= _AT_ONCE:
            yield ReleasedUploads(cases, np.concatenate(words))
            cases, words = [], []
    if cases:
        yield ReleasedUploads(cases, np.concatenate(words))
    yield from _kept_clips(reviews)


def _kept_clips(reviews: ReviewQueue) -> Iterator[ReleasedUploads]:
    after = 0
    while page := reviews.kept_clips(after, _CLIPS):
        cases = [clip.case for clip in page for _ in clip.frames]
        yield ReleasedUploads(
            cases, as_words([bits for clip in page for bits in clip.frames]), clips=True
        )
        after = page[-1].number


def matching_uploads(
    sought: Sequence[SoughtHashes], kept: ReleasedUploads
) -> Iterator[RetroactiveMatches]:
    """Those of these uploads that lie within the radius of some of these hashes.

    A frame is a part of its video: of the one that was uploaded, and of the one that is registered.
    """
    if not sought:
        return
    ways = [rotate_hash_back(one.bits) for one in sought]
    hows = [
        *(describe_edits(how) for how in ways[0]),
        *(describe_edits(how, INVERTED) for how in ways[0]),
    ]
    found = kept.index_for(_WAYS * len(ways)).pairs(_queries(ways), PDQ_RADIUS)
    for _, near in groupby(_by_upload(found, kept), key=itemgetter(0)):
        matches = dict[ClaimId, tuple[Match, bytes, int]]()
        for _, distance, query, place in near:
            number, way = divmod(query, _WAYS)
            one = sought[number]
            if distance <= one.radius and one.claim.id not in matches:
                part = kept.clips or one.claim.kind == VIDEO_KIND
                how, added = describe_match(hows[way], one.claim), one.claim.added
                match = Match(one.claim.bank, one.claim.id, distance, how, part, added)
                matches[one.claim.id] = match, one.bits, place
        if matches:
            every = list(matches.values())
            _, nearest, place = every[0]
            yield RetroactiveMatches(
                kept.cases[place], tuple(match for match, _, _ in every), nearest
            )


def _queries(ways: Sequence[Mapping[str, bytes]]) -> Words:
    """(16 H, 4): of each hash the eight ways, then the same inverted."""
    words = as_words([way for of_one in ways for way in of_one.values()]).reshape(-1, _TURNS, 4)
    return np.concatenate([words, ~words], axis=1).reshape(-1, 4)


def _by_upload(found: Pairs, kept: ReleasedUploads) -> Iterator[tuple[int, int, int, int]]:
    """Upload, distance, query, place: uploads one after the other, of each the nearest first.

    Of ways that lie equally near, the one with the fewest changes comes first.
    """
    uploads = kept.uploads(found.entry)
    order = np.lexsort((found.query, found.distance, uploads))
    columns = (uploads, found.distance, found.query, found.entry)
    return zip(*(one[order].tolist() for one in columns), strict=True)


_SOUNDS_PAGE: Final = 100  # at 40 kB each
_WORDS_AT_ONCE: Final = 250_000  # in one index: eight and a half hours, about 4 MB


@dataclass(slots=True)
class SoughtSounds:
    """Registered sounds, by number, and the claims on each."""

    sounds: dict[int, SoundPrint] = field(default_factory=dict)
    claims: dict[int, list[Claim]] = field(default_factory=dict)

    def add(self, claim: Claim, number: int, sound: SoundPrint) -> None:
        """A claim, and its sound."""
        self.sounds[number] = sound
        self.claims.setdefault(number, []).append(claim)

    def each_claim(self) -> Iterator[Claim]:
        """Of all of them."""
        return (claim for those in self.claims.values() for claim in those)


@dataclass(frozen=True, slots=True)
class RetroactiveSounds:
    """One upload, all claims whose sound it holds, and the number of that which fits best."""

    case: str
    matches: tuple[Match, ...]
    sound: int


def kept_sounds(reviews: ReviewQueue) -> Iterator[Sequence[KeptSound]]:
    """All, some hours at a time; read in pages, so that no writer waits for long."""
    some, words, after = list[KeptSound](), 0, 0
    while page := reviews.kept_sounds(after, _SOUNDS_PAGE):
        for one in page:
            some.append(one)
            words += len(one.sound)
            if words >= _WORDS_AT_ONCE:
                yield some
                some, words = [], 0
        after = page[-1].number
    if some:
        yield some


def matching_sounds(sought: SoughtSounds, kept: Sequence[KeptSound]) -> Iterator[RetroactiveSounds]:
    """Those of these uploads in which one of these sounds is heard."""
    index = SoundIndex.of([one.sound for one in kept])
    found = dict[int, list[Alike]]()
    for number, sound in sought.sounds.items():
        for upload, alike in _heard_in(index, number, sound):
            found.setdefault(upload, []).append(alike)
    for upload, every in sorted(found.items()):
        yield _fits(kept[upload].case, every, sought.claims)


def _heard_in(index: SoundIndex, number: int, sound: SoundPrint) -> Iterable[tuple[int, Alike]]:
    """By place of the upload in the index, the stretch of it that is like this sound. Which of both
    was in the index makes no difference to how alike they are.
    """
    for one in index.near([SoundView(AS_IT_IS, sound_index_as_words(sound))]):
        turned = replace(one, sound=number, at_s=one.registered_at_s, registered_at_s=one.at_s)
        yield one.sound, turned


def _fits(
    case: str, alike: Sequence[Alike], claims: Mapping[int, Sequence[Claim]]
) -> RetroactiveSounds:
    best = min(alike, key=lambda one: (-one.length_s, one.errors))
    return RetroactiveSounds(
        case, tuple(match for match, _ in sound_hits(alike, claims)), best.sound
    )
