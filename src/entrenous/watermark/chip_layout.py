"""The positions of a mark's chips, and the conversion of a key stream to chips.

A chip is a random sign, +1 or -1, at a cell of a grid. A band is a grid of chips whose pattern has
detail of one octave.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.base.limits import MARKED_PICTURE_SIDE_PX_MIN
from entrenous.base.picture import TooSmallToMark

# for a larger picture, the mark is made at this size and then enlarged
WORKING_SIDE_PX_MAX: Final = 2000
# cells along the longest side; finer detail does not survive a phone's screen
CELLS_PER_SIDE_MAX: Final = 800
CELL_PX_MIN: Final = 2  # smaller cells do not survive even mild JPEG compression
# a band with fewer cells along the longest side is too visible for so few chips
CELLS_PER_SIDE_MIN: Final = 24
Shape = tuple[int, int]  # rows, columns


@dataclass(frozen=True, slots=True)
class ChipBand:
    """One octave: a grid of ``cells`` on a pyramid level of ``pixels``, both (rows, columns).

    ``start`` is the index of the band's first chip. Chips are numbered row by row, finest band
    first.
    """

    cells: Shape
    pixels: Shape
    start: int

    @property
    def stop(self) -> int:
        """The index after the last chip of this band."""
        return self.start + self.cells[0] * self.cells[1]


@dataclass(frozen=True, slots=True)
class ChipLayout:
    """All bands of a picture with ``full`` (rows, columns) pixels, finest first."""

    full: Shape
    bands: tuple[ChipBand, ...]

    @property
    def working_size(self) -> Shape:
        """The size of the finest band's level; the mark is made and detected at this size."""
        return self.bands[0].pixels

    @property
    def chip_count(self) -> int:
        return self.bands[-1].stop


def lay_out_chips(width_px: int, height_px: int) -> ChipLayout:
    """Lay out the bands of a picture.

    Raises:
        TooSmallToMark: the shorter side is below ``MARKED_PICTURE_SIDE_PX_MIN``.
    """
    if min(width_px, height_px) < MARKED_PICTURE_SIDE_PX_MIN:
        raise TooSmallToMark(
            width_px=width_px, height_px=height_px, limit_px=MARKED_PICTURE_SIDE_PX_MIN
        )
    pixels = _working_size((height_px, width_px))
    finest = min(CELLS_PER_SIDE_MAX, max(pixels) // CELL_PX_MIN)
    cells = _scale_shape(pixels, finest / max(pixels))
    bands: list[ChipBand] = []
    start = 0
    while max(cells) >= CELLS_PER_SIDE_MIN:
        bands.append(ChipBand(cells, pixels, start))
        start = bands[-1].stop
        cells, pixels = _halve_shape(cells), _halve_shape(pixels)
    return ChipLayout((height_px, width_px), tuple(bands))


def chips_needed(width_px: int, height_px: int) -> int:
    return lay_out_chips(width_px, height_px).chip_count


def key_stream_bytes(width_px: int, height_px: int) -> int:
    """Return the length of one copy's key stream in bytes."""
    return -(-chips_needed(width_px, height_px) // 8)


def dither_stream_bytes(width_px: int, height_px: int) -> int:
    """Return the length in bytes of a picture's dither stream, which has one byte per pixel.

    All copies of the picture in one message share the stream.
    """
    return width_px * height_px


def chips_of_stream(stream: bytes, count: int) -> NDArray[np.float32]:
    """Return the first ``count`` bits of ``stream``, most significant first, as +1 and -1.

    A bit 1 becomes +1. If the bytes are uniform, the signs are independent and fair, as the bound
    on false accusation requires (docs/spec/mark.md, section 7).

    Raises:
        ValueError: the stream is too short.
    """
    if len(stream) * 8 < count:
        raise ValueError(f"{count} chips need {-(-count // 8)} bytes of key stream")
    bits = np.unpackbits(np.frombuffer(stream, np.uint8), count=count)
    signs: NDArray[np.float32] = bits.astype(np.float32)
    signs *= 2.0
    signs -= 1.0
    return signs


def _working_size(full: Shape) -> Shape:
    return (
        full
        if max(full) <= WORKING_SIDE_PX_MAX
        else _scale_shape(full, WORKING_SIDE_PX_MAX / max(full))
    )


def _scale_shape(shape: Shape, factor: float) -> Shape:
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def _halve_shape(shape: Shape) -> Shape:
    return (shape[0] + 1) // 2, (shape[1] + 1) // 2
