"""Matches between new claims and uploads that were accepted before (gate.md, 5.2).

The uploaded pictures are no longer stored, so hashes are rotated and mirrored in place of pictures,
which is approximate. Sounds are compared by their fingerprints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from entrenous.base.identifiers import ClaimId
from entrenous.base.limits import PDQ_BYTES, PDQ_RADIUS_BITS
from entrenous.fingerprint.linear_scan import HashPairs, ScanIndex, Words, hashes_as_words
from entrenous.fingerprint.multi_index import HashIndex, build_hash_index
from entrenous.fingerprint.nouns import VIDEO_KIND, Match, SoundMatch, SoundPrint
from entrenous.fingerprint.pdq import inverted_hash
from entrenous.fingerprint.sound_index import (
    UNCHANGED_VIEW_NAME,
    SoundIndex,
    SoundView,
    words_of_sound,
)
from entrenous.stop.judge.clips import sound_hits
from entrenous.stop.judge.scan import COLOURS_INVERTED_EDIT, describe_edits
from entrenous.stop.judge.weigh import with_larger_picture_note
from entrenous.stop.registration import Claim
from entrenous.stop.upload_record import StoredSoundPrint

if TYPE_CHECKING:
    from entrenous.stop.store.review_queue import ReviewQueue

HashBitsByFrequency = NDArray[np.uint8]  # shape (16, 16): vertical frequency, horizontal frequency
_GRID_SIDE: Final = 16
# 1 where the frequency is odd; bit i belongs to frequency i + 1.
_ODD_FREQUENCIES: Final = (np.arange(_GRID_SIDE) % 2 == 0).astype(np.uint8)


def hash_orientations(bits: bytes) -> Mapping[str, bytes]:
    """Return the approximate hashes of the eight orientations of a picture, by their names.

    The names are those of ``entrenous.fingerprint.pdq``.

    Args:
        bits: a PDQ hash, 32 bytes, bit 255 first.
    """
    grid = np.unpackbits(np.frombuffer(bits, dtype=np.uint8))[::-1].reshape(_GRID_SIDE, _GRID_SIDE)
    down, across, swapped = _ODD_FREQUENCIES[:, None], _ODD_FREQUENCIES[None, :], grid.T
    return {
        "as it is": bits,
        "turned 90": _pack_grid(swapped ^ across),
        "turned 180": _pack_grid(grid ^ down ^ across),
        "turned 270": _pack_grid(swapped ^ down),
        "mirror": _pack_grid(grid ^ across),
        "mirror, turned 180": _pack_grid(grid ^ down),
        "mirror, turned 90": _pack_grid(swapped),
        "mirror, turned 270": _pack_grid(swapped ^ down ^ across),
    }


def hashes_of_reoriented_uploads(bits: bytes) -> Mapping[str, bytes]:
    """Return the hashes of uploads made from the picture of ``bits``, by how they were made.

    A quarter turn is undone by the opposite turn, every other orientation by itself.
    """
    turns = hash_orientations(bits)
    undone = {"turned 90": "turned 270", "turned 270": "turned 90"}
    return {how: turns[undone.get(how, how)] for how in turns}


def orientation_and_inversion_hashes(bits: bytes) -> tuple[tuple[str, bytes], ...]:
    """Return approximate hashes of the pictures that an upload with the hash ``bits`` may show.

    Each comes with the edits: orientation, and colours inverted or not.
    """
    ways = hash_orientations(bits).items()
    return (
        *((describe_edits(how), orientation) for how, orientation in ways),
        *(
            (describe_edits(how, COLOURS_INVERTED_EDIT), inverted_hash(orientation))
            for how, orientation in ways
        ),
    )


def _pack_grid(grid: HashBitsByFrequency) -> bytes:
    packed = np.packbits(grid.reshape(-1)[::-1]).tobytes()
    assert len(packed) == PDQ_BYTES  # noqa: S101 (16 x 16 bits)
    return packed


_PICTURES_PER_READ: Final = 10_000
_UPLOADS_PER_INDEX: Final = 250_000  # uploads in one index, which needs about 50 MB
_INDEX_QUERIES_MIN: Final = (
    512  # queries; with fewer, building an index takes longer than comparing
)
_CLIPS_PER_READ: Final = 200  # clips read at a time: up to 48,000 hashes
_ORIENTATION_COUNT: Final = 8
_VIEWS_PER_HASH: Final = 2 * _ORIENTATION_COUNT  # the orientations, each also with inverted colours


@dataclass(frozen=True, slots=True)
class SoughtHash:
    """A hash to search for, the claim on it, and the largest distance that counts, in bits."""

    claim: Claim
    bits: bytes
    radius: int


@dataclass(frozen=True, slots=True, eq=False)
class StoredUploadHashes:
    """The N hashes of accepted or waiting uploads, as words of shape (N, 4), each with its case
    number.

    A clip has several consecutive hashes.
    """

    cases: Sequence[str]
    words: Words
    clips: bool = False

    def upload_indexes(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return, for these indexes of hashes, the indexes of the uploads that they belong to."""
        if not self.clips:
            return positions
        firsts = [at == 0 or case != self.cases[at - 1] for at, case in enumerate(self.cases)]
        return np.cumsum(firsts)[positions]

    def build_index_for(self, queries: int) -> HashIndex:
        """Build an index of the hashes, numbered by position, that suits this many queries."""
        positions = np.arange(len(self.words))
        if queries < _INDEX_QUERIES_MIN:
            return ScanIndex(positions, np.ascontiguousarray(self.words.T))
        return build_hash_index(positions, self.words)


@dataclass(frozen=True, slots=True)
class UploadMatches:
    """An upload, all claims that it matches, nearest first, and the nearest registered hash."""

    case: str
    matches: tuple[Match, ...]
    nearest: bytes


def read_stored_upload_hashes(reviews: ReviewQueue) -> Iterator[StoredUploadHashes]:
    """Yield the stored hashes of pictures, a quarter of a million at a time, then those of clips.

    They are read in pages, so that no writer waits for long.
    """
    cases, words, after = list[str](), list[Words](), 0
    while page := reviews.stored_picture_hashes(after, _PICTURES_PER_READ):
        cases += (one.case for one in page)
        words.append(hashes_as_words([one.bits for one in page]))
        after = page[-1].number
        if len(cases) >= _UPLOADS_PER_INDEX:
            yield StoredUploadHashes(cases, np.concatenate(words))
            cases, words = [], []
    if cases:
        yield StoredUploadHashes(cases, np.concatenate(words))
    yield from _stored_clips(reviews)


def _stored_clips(reviews: ReviewQueue) -> Iterator[StoredUploadHashes]:
    after = 0
    while page := reviews.stored_clip_hashes(after, _CLIPS_PER_READ):
        cases = [clip.case for clip in page for _ in clip.frames]
        yield StoredUploadHashes(
            cases, hashes_as_words([bits for clip in page for bits in clip.frames]), clips=True
        )
        after = page[-1].number


def matching_uploads(
    sought: Sequence[SoughtHash], kept: StoredUploadHashes
) -> Iterator[UploadMatches]:
    """Yield the uploads that are within the radius of one of these hashes.

    A match of a frame is a match of a part, both for an uploaded and for a registered video.
    """
    if not sought:
        return
    ways = [hashes_of_reoriented_uploads(one.bits) for one in sought]
    hows = [
        *(describe_edits(how) for how in ways[0]),
        *(describe_edits(how, COLOURS_INVERTED_EDIT) for how in ways[0]),
    ]
    found = kept.build_index_for(_VIEWS_PER_HASH * len(ways)).pairs(
        _orientation_words(ways), PDQ_RADIUS_BITS
    )
    for _, near in groupby(_sorted_by_upload(found, kept), key=itemgetter(0)):
        matches = dict[ClaimId, tuple[Match, bytes, int]]()
        for _, distance, query, position in near:
            number, orientation = divmod(query, _VIEWS_PER_HASH)
            one = sought[number]
            if distance <= one.radius and one.claim.id not in matches:
                part = kept.clips or one.claim.kind == VIDEO_KIND
                how, added = with_larger_picture_note(hows[orientation], one.claim), one.claim.added
                match = Match(one.claim.bank, one.claim.id, distance, how, part, added)
                matches[one.claim.id] = match, one.bits, position
        if matches:
            every = list(matches.values())
            _, nearest, position = every[0]
            yield UploadMatches(
                kept.cases[position], tuple(match for match, _, _ in every), nearest
            )


def _orientation_words(ways: Sequence[Mapping[str, bytes]]) -> Words:
    """Return (16 H, 4) words: the eight orientations of each hash, then the same inverted."""
    words = hashes_as_words(
        [bits for orientation in ways for bits in orientation.values()]
    ).reshape(-1, _ORIENTATION_COUNT, 4)
    return np.concatenate([words, ~words], axis=1).reshape(-1, 4)


def _sorted_by_upload(
    found: HashPairs, kept: StoredUploadHashes
) -> Iterator[tuple[int, int, int, int]]:
    """Yield (upload, distance, query, position), sorted by upload and then by distance.

    Of equally near views, the one with the fewest edits comes first.
    """
    uploads = kept.upload_indexes(found.entry)
    order = np.lexsort((found.query, found.distance, uploads))
    columns = (uploads, found.distance, found.query, found.entry)
    return zip(*(one[order].tolist() for one in columns), strict=True)


_SOUNDS_PER_READ: Final = 100  # sounds read at a time, 40 kB each
_WORDS_PER_INDEX: Final = 250_000  # words in one index: eight and a half hours of sound, about 4 MB


@dataclass(slots=True)
class SoughtSounds:
    """Registered sounds to search for, by number, and the claims on each."""

    sounds: dict[int, SoundPrint] = field(default_factory=dict)
    claims: dict[int, list[Claim]] = field(default_factory=dict)

    def add(self, claim: Claim, number: int, sound: SoundPrint) -> None:
        self.sounds[number] = sound
        self.claims.setdefault(number, []).append(claim)

    def each_claim(self) -> Iterator[Claim]:
        return (claim for claims in self.claims.values() for claim in claims)


@dataclass(frozen=True, slots=True)
class UploadSoundMatches:
    """An upload, all claims whose sound it contains, and the number of the sound that
    matches best.
    """

    case: str
    matches: tuple[Match, ...]
    sound: int


def read_stored_sound_prints(reviews: ReviewQueue) -> Iterator[Sequence[StoredSoundPrint]]:
    """Yield all kept sounds, some hours at a time, read in pages so that no writer waits long."""
    batch, words, after = list[StoredSoundPrint](), 0, 0
    while page := reviews.stored_sound_prints(after, _SOUNDS_PER_READ):
        for one in page:
            batch.append(one)
            words += len(one.sound)
            if words >= _WORDS_PER_INDEX:
                yield batch
                batch, words = [], 0
        after = page[-1].number
    if batch:
        yield batch


def uploads_with_matching_sounds(
    sought: SoughtSounds, kept: Sequence[StoredSoundPrint]
) -> Iterator[UploadSoundMatches]:
    """Yield the uploads that contain one of these sounds."""
    index = SoundIndex.of([one.sound for one in kept])
    found = dict[int, list[SoundMatch]]()
    for number, sound in sought.sounds.items():
        for upload, alike in _find_matching_stretches(index, number, sound):
            found.setdefault(upload, []).append(alike)
    for upload, every in sorted(found.items()):
        best = min(every, key=lambda one: (-one.length_s, one.errors))
        matches = tuple(match for match, _ in sound_hits(every, sought.claims))
        yield UploadSoundMatches(kept[upload].case, matches, best.sound)


def _find_matching_stretches(
    index: SoundIndex, number: int, sound: SoundPrint
) -> Iterator[tuple[int, SoundMatch]]:
    """Yield positions of uploads in the index, each with its stretch that resembles this sound.

    The comparison is symmetric, so uploads are indexed instead of registered sounds.
    """
    for one in index.find_matching_sounds([SoundView(UNCHANGED_VIEW_NAME, words_of_sound(sound))]):
        swapped = replace(one, sound=number, at_s=one.registered_at_s, registered_at_s=one.at_s)
        yield one.sound, swapped
