"""The record of one sent picture's looks: its fingerprint, its layout and its points.

One byte of version, 32 bytes of PDQ hash, the layout (cells down, cells across, then 3 bytes a
cell; layout.py), then 14 bytes a point (packed.py). It stays in the vault of the person who sent
the picture; a record that cannot be read is made anew from the original.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from entrenous.craft.fingerprint.landmarks.layout import CHANNELS, Cells, layout_of
from entrenous.craft.fingerprint.landmarks.packed import ENTRY, packed
from entrenous.craft.fingerprint.landmarks.words import Vocabulary
from entrenous.craft.fingerprint.picture import fingerprint, seen_pixels
from entrenous.model.picture import Picture
from entrenous.spec import PDQ_BYTES

_VERSION: Final = b"\x02"  # of the vocabulary, the signs and the layout of an entry
_START: Final = len(_VERSION) + PDQ_BYTES
_SHAPE_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class Kept:
    """``bits`` is the PDQ hash, ``points`` the packed entries, ``layout`` its shape and cells."""

    bits: bytes
    layout: bytes
    points: bytes

    @property
    def cells(self) -> Cells:
        """The layout, cells down x cells across x 3."""
        down, across = self.layout[:_SHAPE_BYTES]
        samples = np.frombuffer(self.layout, np.uint8, offset=_SHAPE_BYTES)
        return samples.reshape(down, across, CHANNELS)


def record_of(picture: Picture) -> bytes:
    """What to keep of a picture that is sent: about 7.6 kB at most."""
    bits, pixels = fingerprint(picture).bits or bytes(PDQ_BYTES), seen_pixels(picture)
    cells = layout_of(pixels)
    layout = bytes(cells.shape[:_SHAPE_BYTES]) + cells.tobytes()
    return _VERSION + bits + layout + packed(pixels, Vocabulary.shipped())


def kept_of(record: bytes) -> Kept | None:
    """What a record holds; None when it was damaged, or made by another version."""
    if not record.startswith(_VERSION) or len(record) < _START + _SHAPE_BYTES:
        return None
    down, across = record[_START : _START + _SHAPE_BYTES]
    points = _START + _SHAPE_BYTES + CHANNELS * down * across
    if not down * across or len(record) < points or (len(record) - points) % ENTRY.itemsize:
        return None
    return Kept(record[len(_VERSION) : _START], record[_START:points], record[points:])
