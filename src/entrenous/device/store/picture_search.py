"""Search the records of sent pictures for the original of a leaked one.

A picture record has the features of a picture: perceptual hashes, keypoints and a colour layout.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from entrenous.base.identifiers import MessageId
from entrenous.base.picture import Picture
from entrenous.fingerprint.keypoints import Vocabulary
from entrenous.fingerprint.linear_scan import Words, hashes_as_words
from entrenous.fingerprint.nouns import PictureCandidate
from entrenous.fingerprint.pdq import orientation_fingerprints, pixels_on_white
from entrenous.fingerprint.picture_gallery import PointGallery
from entrenous.fingerprint.picture_record import ColourLayouts, PictureRecord, read_picture_record

_UNRELATED_HASH_DISTANCE_BITS: Final = (
    100  # hashes that differ in more bits than this do not count at all
)
# a record gains this share of a keypoint's weight for each bit by which the distance of its hash
# from the found picture's is below _UNRELATED_HASH_DISTANCE_BITS
_KEYPOINT_WEIGHT_PER_HASH_BIT: Final = 0.5
# if at least this many keypoints agree, colour layouts are not compared
_SUFFICIENT_MATCHING_KEYPOINTS: Final = 12
IntegerArray = NDArray[np.int64]
PicturePlace = tuple[MessageId, int]


@dataclass(frozen=True, slots=True, eq=False)
class PictureRecords:
    """All distinct picture records, each with the pictures that have this record.

    ``hashes`` is an array of (L, 4) words. ``damaged`` are pictures whose record cannot be read.
    """

    places: tuple[tuple[PicturePlace, ...], ...]
    hashes: Words
    gallery: PointGallery
    layouts: ColourLayouts
    damaged: tuple[PicturePlace, ...]

    @classmethod
    def from_encoded(cls, records: Iterable[tuple[str, bytes]]) -> Self:
        """Read all records, and merge equal ones."""
        places: dict[PictureRecord, list[PicturePlace]] = {}
        damaged: list[PicturePlace] = []
        for key, record in records:
            one, name = read_picture_record(record), key.partition(" ")
            place = MessageId(bytes.fromhex(name[0])), int(name[2])
            (damaged if one is None else places.setdefault(one, [])).append(place)
        return cls(
            tuple(tuple(some) for some in places.values()),
            hashes_as_words([one.bits for one in places]),
            PointGallery.of([one.points for one in places]),
            ColourLayouts.of([one.cells for one in places]),
            tuple(damaged),
        )

    def likeliest_pictures(self, found: Picture, limit: int) -> list[PictureCandidate]:
        """Return the pictures with the ``limit`` likeliest records, the likeliest first.

        If few keypoints agree, records with a similar colour layout are interleaved.
        """
        bits = nearest_hamming_distances(self.hashes, found)
        worth = np.maximum(_UNRELATED_HASH_DISTANCE_BITS - bits, 0) * _KEYPOINT_WEIGHT_PER_HASH_BIT
        where: dict[int, frozenset[int]] = {}
        for vote in self.gallery.vote(pixels_on_white(found), Vocabulary.load_shipped()):
            worth[vote.row] += vote.weight
            where[vote.row] = vote.where
        order = np.lexsort((bits, -worth))
        if max(map(len, where.values()), default=0) < _SUFFICIENT_MATCHING_KEYPOINTS and len(order):
            order = _interleave_orders(
                order, np.argsort(self.layouts.differences(pixels_on_white(found)))
            )
        return list(self._candidates(order[:limit].tolist(), where, bits))

    def _candidates(
        self, order: list[int], where: Mapping[int, frozenset[int]], bits: IntegerArray
    ) -> Iterator[PictureCandidate]:
        explained: set[int] = set()
        for look in order:
            agreeing = where.get(look, frozenset())
            fresh = len(agreeing - explained)
            explained |= agreeing
            for place in self.places[look]:
                yield PictureCandidate(*place, look, len(agreeing), fresh, int(bits[look]))


def _interleave_orders(first: IntegerArray, second: IntegerArray) -> IntegerArray:
    """Interleave two orders of records; keep the first occurrence of each record."""
    both = np.stack([first, second], axis=1).ravel()
    return both[np.sort(np.unique(both, return_index=True)[1])]


def nearest_hamming_distances(hashes: Words, found: Picture) -> IntegerArray:
    """Return the Hamming distance of each hash to the nearest orientation of the found picture."""
    leak_hashes = [one.bits for one in orientation_fingerprints(found).values() if one.bits]
    if not leak_hashes:
        return np.full(len(hashes), 256, np.int64)
    distances = np.bitwise_count(hashes[:, None] ^ hashes_as_words(leak_hashes)[None]).sum(
        axis=2, dtype=np.int64
    )
    return np.asarray(distances.min(axis=1))


def sort_by_fingerprint(
    found: Picture, pictures: Sequence[tuple[PicturePlace, bytes]], first_look: int
) -> list[PictureCandidate]:
    """Return the pictures without a record, those with the most similar perceptual hash first."""
    if not pictures:
        return []
    distances = nearest_hamming_distances(hashes_as_words([hash_ for _, hash_ in pictures]), found)
    order = [int(index) for index in np.argsort(distances, kind="stable")]
    places = [pictures[index][0] for index in order]
    return [
        PictureCandidate(
            message, place, first_look + index, 0, 0, int(distances[index]), learnt=False
        )
        for index, (message, place) in zip(order, places, strict=True)
    ]
