"""Find which of ten thousand sent pictures share feature points with a found one.

The points must fit together: one shift, rotation and scale must map those of the found picture to
those of the sent one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from entrenous.fingerprint.keypoints import (
    VOCABULARY_WORDS,
    FeaturePoints,
    Vocabulary,
    find_feature_points,
)
from entrenous.fingerprint.pdq import Pixels
from entrenous.fingerprint.picture_record import (
    ANGLE_STEPS_PER_TURN,
    POINT_ENTRY_DTYPE,
    SIZE_STEPS_PER_OCTAVE,
    PointEntries,
    write_point_geometry,
)

_PAIRS_MAX: Final = 100
_POSITION_TOLERANCE: Final = 5.0  # in units of 1/255 of the sent picture's longest side
_TOLERANCE_PER_DISTANCE: Final = 0.2
_TURN_DIFFERENCE_MAX: Final = ANGLE_STEPS_PER_TURN / 16
_SCALE_DIFFERENCE_OCTAVES_MAX: Final = 0.75
_CELL_SIZE: Final = 6  # in units of 1/255 of the longest side; points in the same cell count as one
_HYPOTHESES_TRIED: Final = 5
Places = NDArray[np.complex64]


@dataclass(frozen=True, slots=True, eq=False)
class PointPairs:
    """Pair i is entry ``found[i]`` of the found picture and entry ``sent[i]`` of the sent ones."""

    found_entries: PointEntries
    sent_entries: PointEntries
    found: NDArray[np.int64]
    sent: NDArray[np.int64]

    def subset(self, which: NDArray[np.int64]) -> "PointPairs":
        return PointPairs(
            self.found_entries, self.sent_entries, self.found[which], self.sent[which]
        )

    @property
    def rotation_steps(self) -> NDArray[np.uint8]:
        """Return each pair's rotation from found to sent, in units of 1/256 of a turn."""
        return np.asarray(
            self.sent_entries["angle"][self.sent] - self.found_entries["angle"][self.found]
        )

    @property
    def scale_octaves(self) -> NDArray[np.float32]:
        """Return each pair's scale from found to sent, in octaves.

        Sizes are shares of the pictures' longest sides.
        """
        found, sent = self.found_entries["size"][self.found], self.sent_entries["size"][self.sent]
        return (found.astype(np.float32) - sent.astype(np.float32)) / np.float32(
            SIZE_STEPS_PER_OCTAVE
        )


def agreeing_cells(pairs: PointPairs, weight: NDArray[np.float32]) -> tuple[frozenset[int], float]:
    """Return the cells of the found picture with agreeing pairs, and their total weight.

    Each cell of either picture counts once, because a repeated texture like grass matches
    everywhere.
    """
    if len(weight) > _PAIRS_MAX:
        strongest = np.argpartition(-weight, _PAIRS_MAX)[:_PAIRS_MAX]
        pairs, weight = pairs.subset(strongest), weight[strongest]
    at_found = _places_of(pairs.found_entries[pairs.found])
    at_sent = _places_of(pairs.sent_entries[pairs.sent])
    agree = _agreement_matrix(pairs, at_found, at_sent)
    leading = np.argsort(-(agree @ weight))[:_HYPOTHESES_TRIED]
    groups = [_distinct_cells_and_weight(at_found, at_sent, weight, agree[one]) for one in leading]
    return max(groups, key=lambda one: one[1], default=(frozenset(), 0.0))


def _agreement_matrix(pairs: PointPairs, at_found: Places, at_sent: Places) -> NDArray[np.bool_]:
    """Return a matrix; row i says which pairs agree with pair i in position, rotation and scale."""
    turns, octaves = pairs.rotation_steps, pairs.scale_octaves
    how = np.exp2(octaves) * np.exp(2j * np.pi / ANGLE_STEPS_PER_TURN * turns).astype(np.complex64)
    offsets = at_sent[None, :] - at_sent[:, None]
    error = np.abs(offsets - how[:, None] * (at_found[None, :] - at_found[:, None]))
    rotation_error = np.abs((turns[None, :] - turns[:, None]).astype(np.int8).astype(np.int16))
    return np.asarray(
        (error <= _POSITION_TOLERANCE + _TOLERANCE_PER_DISTANCE * np.abs(offsets))
        & (rotation_error <= _TURN_DIFFERENCE_MAX)
        & (np.abs(octaves[None, :] - octaves[:, None]) <= _SCALE_DIFFERENCE_OCTAVES_MAX)
    )


def _distinct_cells_and_weight(
    at_found: Places, at_sent: Places, weight: NDArray[np.float32], which: NDArray[np.bool_]
) -> tuple[frozenset[int], float]:
    kept = np.flatnonzero(which)
    kept = kept[np.argsort(-weight[kept])]
    for places in (at_sent, at_found):
        kept = kept[np.sort(np.unique(_cells_of(places[kept]), return_index=True)[1])]
    return frozenset(_cells_of(at_found[kept]).tolist()), float(weight[kept].sum())


def _cells_of(places: Places) -> NDArray[np.int64]:
    down, across = places.imag // _CELL_SIZE, places.real // _CELL_SIZE
    return np.asarray(down * ANGLE_STEPS_PER_TURN + across, np.int64)


def _places_of(entries: PointEntries) -> Places:
    return np.asarray(entries["x"] + 1j * entries["y"].astype(np.float32), np.complex64)


FOUND_POINTS_MAX: Final = 1800  # at most this many points of a found picture are used
_WORDS_PER_POINT: Final = 3  # for each found point, this many words are looked up
# two points match if at most this many of their 64 signs (see keypoints.py) differ; Jegou et al.,
# who proposed such signs ("Hamming embedding", 2008), use 22 to 24
_DIFFERING_SIGNS_MAX: Final = 22
_DIFFERING_SIGNS_SPREAD: Final = 16.0
_ANGLE_CLASSES: Final = 16
_SCALE_OCTAVES: Final = 10  # scales from found to sent range over this many octaves, from -5 to 5
_SHARED_POINTS_MIN: Final = 9  # unrelated pictures share fewer points
# the points of at most this many pictures are compared one by one
_COMPARED_PICTURES_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class PictureVote:
    """How well the points of sent picture number ``row`` match those of the found picture.

    ``where`` are the cells of the found picture that have a match; each counts as one point.
    ``weight`` measures how rare and how close the matches are.
    """

    row: int
    where: frozenset[int]
    weight: float
    mirrored: bool


@dataclass(frozen=True, slots=True, eq=False)
class PointGallery:
    """The points of all sent pictures, sorted by word.

    The points of word w are ``entries[starts[w]:starts[w + 1]]``.
    """

    entries: PointEntries
    signs: NDArray[np.uint64]
    rows: NDArray[np.int32]
    starts: NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, kept: Sequence[bytes]) -> Self:
        """Return a gallery of packed points, given one item for each picture.

        Pictures are numbered in this order.
        """
        entries = np.frombuffer(b"".join(kept), POINT_ENTRY_DTYPE)
        sizes = [len(one) // POINT_ENTRY_DTYPE.itemsize for one in kept]
        rows = np.repeat(np.arange(len(kept), dtype=np.int32), sizes)
        words = np.minimum(entries["word"], VOCABULARY_WORDS - 1)
        order = np.argsort(words, kind="stable")
        starts = np.zeros(VOCABULARY_WORDS + 1, np.int64)
        np.cumsum(np.bincount(words, minlength=VOCABULARY_WORDS), out=starts[1:])
        # copied as bytes, which is eight times faster than copying records with unaligned fields
        entries = np.take(entries.view(f"V{POINT_ENTRY_DTYPE.itemsize}"), order).view(
            POINT_ENTRY_DTYPE
        )
        return cls(entries, np.ascontiguousarray(entries["signs"]), rows[order], starts, len(kept))

    def vote(self, pixels: Pixels, vocabulary: Vocabulary) -> list[PictureVote]:
        """Return pictures that share points with (H, W, 3) pixels, the likeliest first.

        Mirrored pixels are tried too, and inverted colours if hardly any points are shared.
        """
        points = find_feature_points(pixels, FOUND_POINTS_MAX)
        votes = self._votes_both_ways(points, vocabulary)
        if all(len(vote.where) < _SHARED_POINTS_MIN for vote in votes):
            votes += self._votes_both_ways(points.with_inverted_colours(), vocabulary)
        best: dict[int, PictureVote] = {}
        for vote in sorted(votes, key=lambda one: -one.weight):
            best.setdefault(vote.row, vote)
        return list(best.values())

    def _votes_both_ways(self, points: FeaturePoints, vocabulary: Vocabulary) -> list[PictureVote]:
        plain = self._votes(points, vocabulary, mirrored=False)
        return plain + self._votes(points.mirrored(), vocabulary, mirrored=True)

    def _votes(
        self, points: FeaturePoints, vocabulary: Vocabulary, *, mirrored: bool
    ) -> list[PictureVote]:
        if not len(points.descriptors) or not len(self.rows):
            return []
        pairs, weight = self._matching_pairs(points, vocabulary)
        rows = self.rows[pairs.sent]
        strongest = _most_consistent_pictures(rows, pairs, weight, self.count)
        order = np.argsort(rows, kind="stable")
        edges = np.searchsorted(rows[order], [strongest, strongest + 1])
        return [
            PictureVote(
                int(row),
                *agreeing_cells(pairs.subset(order[start:stop]), weight[order[start:stop]]),
                mirrored,
            )
            for row, start, stop in zip(strongest, *edges, strict=True)
        ]

    def _matching_pairs(
        self, points: FeaturePoints, vocabulary: Vocabulary
    ) -> tuple[PointPairs, NDArray[np.float32]]:
        """Return pairs of found points and entries, with their weights."""
        words = vocabulary.nearest(points.descriptors, _WORDS_PER_POINT)
        query = np.repeat(np.arange(len(words)), _WORDS_PER_POINT)
        words = words.ravel()
        signs = vocabulary.descriptor_signs(points.descriptors[query], words)
        order = np.argsort(words, kind="stable")
        groups = np.flatnonzero(np.diff(words[order], prepend=-1))
        found, sent, differ = [], [], []
        for subset in np.split(order, groups[1:]):
            start, stop = self.starts[words[subset[0]] : words[subset[0]] + 2]
            bits = np.bitwise_count(signs[subset, None] ^ self.signs[None, start:stop])
            one, other = np.nonzero(bits <= _DIFFERING_SIGNS_MAX)
            found.append(query[subset[one]])
            sent.append(other + start)
            differ.append(bits[one, other])
        at_found, at_sent = np.concatenate(found), np.concatenate(sent)
        far = np.concatenate(differ).astype(np.float32) / np.float32(_DIFFERING_SIGNS_SPREAD)
        common = np.bincount(at_found, minlength=len(points.descriptors)).astype(np.float32)
        rare = np.log1p(np.float32(self.count) / common[at_found])
        own = np.zeros(len(points.descriptors), POINT_ENTRY_DTYPE)
        write_point_geometry(own, points)
        return PointPairs(own, self.entries, at_found, at_sent), np.exp(-np.square(far)) * rare


def _most_consistent_pictures(
    rows: NDArray[np.int32], pairs: PointPairs, weight: NDArray[np.float32], count: int
) -> NDArray[np.int64]:
    """Return the pictures with most weight in one class of rotation and scale, best first.

    There are at most ``_COMPARED_PICTURES_MAX``.
    """
    angle = pairs.rotation_steps.astype(np.int64) * _ANGLE_CLASSES // ANGLE_STEPS_PER_TURN
    octave = np.clip(pairs.scale_octaves + _SCALE_OCTAVES // 2, 0, _SCALE_OCTAVES - 1)
    scale = octave.astype(np.int64)
    place = (rows.astype(np.int64) * _SCALE_OCTAVES + scale) * _ANGLE_CLASSES + angle
    histogram = np.bincount(place, weight, count * _SCALE_OCTAVES * _ANGLE_CLASSES).astype(
        np.float32
    )
    histogram = histogram.reshape(count, _SCALE_OCTAVES, _ANGLE_CLASSES)
    histogram += np.roll(histogram, 1, axis=2)
    histogram[:, 1:] += histogram[:, :-1].copy()
    best = histogram.reshape(count, -1).max(axis=1)
    subset = np.argpartition(-best, min(_COMPARED_PICTURES_MAX, count - 1))[:_COMPARED_PICTURES_MAX]
    return np.asarray(subset[np.argsort(-best[subset])])
