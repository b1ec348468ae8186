"""What is kept of a sent picture's points: 14 bytes each."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.landmarks.points import Points, points_of
from entrenous.craft.fingerprint.landmarks.words import Vocabulary
from entrenous.craft.fingerprint.picture import Pixels

Entries = NDArray[Any]

KEPT: Final = 500  # points of a sent picture
ENTRY: Final = np.dtype(
    [
        ("word", "<u2"),
        ("signs", "<u8"),
        ("x", "u1"),  # 1/255 of the longest side
        ("y", "u1"),
        ("size", "u1"),  # 1/16 of an octave below the longest side
        ("angle", "u1"),  # 1/256 of a turn
    ]
)
OCTAVE: Final = 16
TURN: Final = 256
_SIDE: Final = 255


def packed(pixels: Pixels, vocabulary: Vocabulary) -> bytes:
    """The points of (H, W, 3) pixels to keep: at most 500 entries of 14 bytes."""
    return entries_of(points_of(pixels, KEPT), vocabulary).tobytes()


def entries_of(points: Points, vocabulary: Vocabulary) -> Entries:
    """One entry per point."""
    entries = np.empty(len(points.looks), ENTRY)
    words = vocabulary.nearest(points.looks, 1)[:, 0]
    entries["word"], entries["signs"] = words, vocabulary.signs(points.looks, words)
    place_in(entries, points)
    return entries


def place_in(entries: Entries, points: Points) -> None:
    """Write where points lie into their entries."""
    placed = np.clip(np.rint(points.places * _SIDE), 0, _SIDE)
    entries["x"], entries["y"] = placed[:, 0], placed[:, 1]
    entries["size"] = np.clip(np.rint(-points.sizes * OCTAVE), 0, 255)
    entries["angle"] = np.rint(points.angles * TURN).astype(np.int64) % TURN
