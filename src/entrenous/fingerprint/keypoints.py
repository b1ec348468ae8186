"""Feature points of a picture, each stored as a visual word and 64 signs.

A visual word is the nearest of 4,096 typical descriptors. The signs say how the point's descriptor
differs from that word.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.fingerprint.pdq import Pixels

Floats = NDArray[np.float32]
DETECTION_SIDE_PX_MAX: Final = 800  # finer detail seldom survives a leak
_DETECTION_SIDE_PX_MIN: Final = 400  # a smaller picture is enlarged to this longest side
# Contrast is equalised first (CLAHE), and SIFT's contrast threshold is low (Lowe's is 0.04).
# Otherwise skies, skin and soft backgrounds would have no points, and a crop may consist of them.
_SIFT_CONTRAST_THRESHOLD: Final = 0.005
_CLAHE_LIMIT: Final = 4.0
_CLAHE_TILES: Final = (8, 8)
# cells along a side of the picture; each cell contributes its share of the points
_CELLS_PER_SIDE: Final = 4
# size classes, each an octave wide, except that the last one has no upper limit
_SIZE_CLASSES: Final = 3
_DIAMETER_MIN_PX: Final = 4.0  # diameter of the finest points that SIFT finds
# SIFT's 128 numbers are 4 x 4 cells with 8 directions each
_DESCRIPTOR_INDICES: Final = np.arange(128).reshape(4, 4, 8)
_MIRRORED_INDICES: Final = _DESCRIPTOR_INDICES[::-1, :, (8 - np.arange(8)) % 8].ravel()
_INVERTED_COLOUR_INDICES: Final = _DESCRIPTOR_INDICES[::-1, ::-1, :].ravel()


@dataclass(frozen=True, slots=True, eq=False)
class FeaturePoints:
    """N feature points of a picture.

    All lengths are shares of the picture's longest side. ``places`` (N, 2) are x and y. ``sizes``
    are the base-2 logarithms of the points' diameters. ``angles`` are in turns, from 0 to below 1.
    ``descriptors`` (N, 128) are rows of Euclidean norm 1. ``shape`` is the picture's width and
    height.
    """

    places: Floats
    sizes: Floats
    angles: Floats
    descriptors: Floats
    shape: tuple[float, float]

    def mirrored(self) -> "FeaturePoints":
        """Return the points of the picture flipped left to right."""
        places = np.column_stack([self.shape[0] - self.places[:, 0], self.places[:, 1]])
        angles = np.mod(0.5 - self.angles, 1.0).astype(np.float32)
        return FeaturePoints(
            places, self.sizes, angles, self.descriptors[:, _MIRRORED_INDICES], self.shape
        )

    def with_inverted_colours(self) -> "FeaturePoints":
        angles = np.mod(self.angles + 0.5, 1.0).astype(np.float32)
        return FeaturePoints(
            self.places,
            self.sizes,
            angles,
            self.descriptors[:, _INVERTED_COLOUR_INDICES],
            self.shape,
        )


def find_feature_points(pixels: Pixels, limit: int) -> FeaturePoints:
    """Return at most ``limit`` points of (H, W, 3) pixels."""
    grey = _prepare_luma(pixels)
    height, width = grey.shape
    longest = max(height, width)
    sift = cv2.SIFT.create(contrastThreshold=_SIFT_CONTRAST_THRESHOLD)
    chosen = _select_spread_points(list(sift.detect(grey, None)), width, height, limit)
    computed: tuple[Any, Any] = sift.compute(grey, chosen) if chosen else ((), None)
    keypoints, numbers = computed
    if numbers is None:
        keypoints, numbers = (), np.empty((0, 128), np.float32)
    table = np.array([(*p.pt, p.size, p.angle) for p in keypoints], np.float32).reshape(-1, 4)
    shares = numbers / np.maximum(numbers.sum(axis=1, keepdims=True), 1e-9)
    return FeaturePoints(
        places=(table[:, :2] + 0.5) / longest,
        sizes=np.log2(table[:, 2] / longest),
        angles=np.mod(table[:, 3] / 360.0, 1.0),
        descriptors=np.sqrt(shares, dtype=np.float32),
        shape=(width / longest, height / longest),
    )


def _prepare_luma(pixels: Pixels) -> Pixels:
    """Return the luma at the size at which points are sought, with equalised contrast."""
    height, width = pixels.shape[:2]
    longest = max(height, width)
    factor = min(max(longest, _DETECTION_SIDE_PX_MIN), DETECTION_SIDE_PX_MAX) / longest
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_CUBIC
    small = pixels if factor == 1.0 else cv2.resize(pixels, size, interpolation=how)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.createCLAHE(_CLAHE_LIMIT, _CLAHE_TILES).apply(grey), np.uint8)


def _select_spread_points(found: list[Any], width: int, height: int, limit: int) -> list[Any]:
    """Return at most ``limit`` points, spread over cells and size classes.

    The strongest point of each cell and size class comes first, then the second strongest of each,
    and so on.
    """
    if len(found) <= limit:
        return found
    table = np.array([(*p.pt, p.size, p.response) for p in found])
    across = np.minimum(table[:, 0] * _CELLS_PER_SIDE // width, _CELLS_PER_SIDE - 1)
    down = np.minimum(table[:, 1] * _CELLS_PER_SIDE // height, _CELLS_PER_SIDE - 1)
    size = np.clip(np.floor(np.log2(table[:, 2] / _DIAMETER_MIN_PX)), 0, _SIZE_CLASSES - 1)
    cell = (across * _CELLS_PER_SIDE + down) * _SIZE_CLASSES + size
    order = np.lexsort((-table[:, 3], cell))
    first = np.searchsorted(cell[order], cell[order])
    turn = np.empty(len(found))
    turn[order] = np.arange(len(found)) - first
    return [found[at] for at in np.lexsort((-table[:, 3], turn))[:limit]]


VOCABULARY_WORDS: Final = 4096
_DESCRIPTOR_NUMBERS: Final = 128
_STORED_WORD_SCALE: Final = 512.0  # this number in words.bin stands for 1
_SIGNS_PER_POINT: Final = 64
_ROTATION_SEED: Final = b"entrenous/landmarks/1"


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """The visual ``words`` (4096, 128), and the ``rotation`` (128, 64) for computing signs."""

    words: Floats
    rotation: Floats

    @classmethod
    def load_shipped(cls) -> Self:
        stored = files(__package__).joinpath("words.bin").read_bytes()
        numbers = np.frombuffer(stored, np.uint8).reshape(VOCABULARY_WORDS, _DESCRIPTOR_NUMBERS)
        return cls(
            numbers.astype(np.float32) / np.float32(_STORED_WORD_SCALE), _rotation_for_signs()
        )

    def nearest(self, descriptors: Floats, count: int) -> NDArray[np.uint16]:
        """Return (N, count): the ``count`` words nearest to each row, nearest first."""
        near = descriptors @ self.words.T
        np.subtract(np.square(self.words).sum(axis=1) / 2, near, out=near)
        nearest = np.empty((len(near), count), np.uint16)
        all_rows = np.arange(len(near))
        for place in range(count):  # a few searches for the minimum are faster than one partition
            nearest[:, place] = near.argmin(axis=1)
            near[all_rows, nearest[:, place]] = np.inf
        return nearest

    def descriptor_signs(
        self, descriptors: Floats, words: NDArray[np.uint16]
    ) -> NDArray[np.uint64]:
        """Return (N,): the 64 signs of each row, relative to its word, as one number."""
        rotated = (descriptors - self.words[words]) @ self.rotation
        return np.packbits(rotated > 0, axis=1).view("<u8").ravel()


@cache
def _rotation_for_signs() -> Floats:
    """Return 64 columns of an orthogonal matrix.

    The matrix is a product of Hadamard matrices, with fixed signs before and between them.
    """
    hadamard = np.ones((1, 1), np.float32)
    while len(hadamard) < _DESCRIPTOR_NUMBERS:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    digest = hashlib.shake_128(_ROTATION_SEED).digest(2 * _DESCRIPTOR_NUMBERS // 8)
    signs = np.unpackbits(np.frombuffer(digest, np.uint8)).astype(np.float32) * 2 - 1
    before, between = signs[:_DESCRIPTOR_NUMBERS], signs[_DESCRIPTOR_NUMBERS:]
    rotation = (before[:, None] * hadamard * between[None, :]) @ hadamard / _DESCRIPTOR_NUMBERS
    return np.ascontiguousarray(rotation[:, :_SIGNS_PER_POINT], np.float32)
