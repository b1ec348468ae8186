"""PDQ, Meta's perceptual hash of a picture: 256 bits that stay close when it is edited a little.

Davis and Rosen, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm", 2019.
A bit tells whether one of 16 x 16 low frequencies lies above their median, so exactly 128 bits are
set and every distance between two PDQ hashes is even. The arithmetic is ours (docs/spec/gate.md
section 1); it gives the reference's hash, bit for bit, from the same pixels.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.spectrum import (
    BLOCKS,
    Floats,
    cosines,
    reference_axis,
    reference_spans,
)
from entrenous.model.fingerprint import Fingerprint
from entrenous.model.picture import FullSize, Picture

Pixels = NDArray[np.uint8]

KIND: Final = "pdq"
LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as PDQ has it
SIDE_PX_MIN: Final = 5  # the reference gives no hash to less
SIDE_PX_MAX: Final = 65_536  # of longer sides some are left out: a strip of a kilobyte has millions
_BLOCKS_AT_ONCE: Final = 8
_SMALL_SAMPLES: Final = 1 << 20  # of which an eighth may be copied at a time
GRADIENT_PER_QUALITY: Final = 90  # PDQ's scale from summed gradients (per cent) to quality


def fingerprint(picture: Picture) -> Fingerprint:
    """The picture's PDQ hash and quality, from all of its pixels.

    A picture of less than 5 pixels on a side gets quality 0 and an empty hash, as the reference
    does; transparent parts are seen on white.
    """
    blocks = shrink(looked_pixels(picture), picture.shrunk_from, picture.shrunk_by)
    return Fingerprint(KIND, to_bits(frequencies(blocks)), quality(blocks))


def seen_pixels(picture: Picture) -> Pixels:
    """The (H, W, 3) pixels as a viewer shows them: transparent parts on white."""
    pixels: Pixels = np.asarray(picture)
    if picture.alpha is None:
        return pixels
    alpha = np.frombuffer(picture.alpha, dtype=np.uint8).astype(np.uint16)
    alpha = alpha.reshape(picture.height_px, picture.width_px, 1)
    mixed = (pixels * alpha + 255 * (255 - alpha) + 127) // 255
    return mixed.astype(np.uint8)


def looked_pixels(picture: Picture) -> Pixels:
    """:func:`seen_pixels`, or the (H, W) luma of a picture that has no more."""
    if picture.luma_alone and picture.alpha is None:
        return np.asarray(picture)[:, :, 0]
    return seen_pixels(picture)


def shrink(pixels: Pixels, full: FullSize | None = None, shrunk_by: int = 1) -> Floats:
    """The luma of (H, W, 3) or (H, W) pixels in PDQ's 64 x 64 blocks, 0 to 255.

    Rows first, a few at a time, so that a large picture is never copied as a whole. Where a decoder
    made one of several (:class:`.model.picture.FullSize`), the blocks are those of all: PDQ's
    filter depends on the size, and the one for the smaller size would give a hash some bits away.
    """
    if min(pixels.shape[:2]) < SIDE_PX_MIN:
        return np.zeros((BLOCKS, BLOCKS), dtype=np.float32)
    if full is None and max(pixels.shape[:2]) > SIDE_PX_MAX:
        down, across_px = (-(-side // SIDE_PX_MAX) for side in pixels.shape[:2])
        pixels = pixels[::down, ::across_px]
    height_px, width_px = pixels.shape[:2]
    wide, high, from_right, from_below = full or FullSize(width_px, height_px)
    axis = reference_axis(high, shrunk_by, from_end=from_below)
    spans = reference_spans(high, shrunk_by, from_end=from_below)
    at_once = _BLOCKS_AT_ONCE if pixels.size <= _SMALL_SAMPLES else 1
    rows = []
    for first in range(0, BLOCKS, at_once):
        some = slice(first, first + at_once)
        seen = slice(spans[some][0][0], spans[some][-1][1])
        rows.append(_blend(pixels[seen], axis[some, seen]))
    across = reference_axis(wide, shrunk_by, from_end=from_right)
    return np.asarray(np.matmul(np.concatenate(rows), across.T), dtype=np.float32)


def frequencies(blocks: Floats) -> Floats:
    """The 16 x 16 low frequencies of 64 x 64 blocks; leading axes are kept."""
    across = np.tensordot(blocks, cosines(), axes=([-1], [1]))
    both = np.tensordot(across, cosines(), axes=([-2], [1]))
    return np.asarray(np.swapaxes(both, -1, -2), dtype=np.float32)


def to_bits(spectrum: Floats) -> bytes:
    """One hash of 32 bytes for each 16 x 16 spectrum, one after the other.

    Bit 16 i + j says that frequency (i, j) is above the lower median; bit 255 comes first.
    """
    flat = spectrum.reshape(-1, spectrum.shape[-1] * spectrum.shape[-2])
    middle = flat.shape[1] // 2 - 1
    median = np.partition(flat, middle, axis=1)[:, middle, None]
    return np.packbits(flat > median, axis=1, bitorder="little")[:, ::-1].tobytes()


def quality(blocks: Floats) -> int:
    """PDQ's measure of detail, 0 to 100: below 50, flat pictures resemble each other."""
    return int(qualities(blocks[None])[0])


def qualities(blocks: Floats) -> NDArray[np.int64]:
    """:func:`quality` of (N, 64, 64) blocks.

    It adds up differences between neighbours, in whole per cent of full brightness, cut to zero.
    """
    steps = [np.trunc(np.diff(blocks, axis=axis) * 100 / 255) for axis in (1, 2)]
    total = sum(np.abs(one).sum(axis=(1, 2)).astype(np.int64) for one in steps)
    return np.asarray(np.minimum(100, total // GRADIENT_PER_QUALITY), dtype=np.int64)


def _blend(pixels: Pixels, weights: Floats) -> Floats:
    """Some rows of luma, (K, W): weighted sums, by (K, R), of R rows of pixels."""
    slab = pixels.reshape(len(pixels), -1).astype(np.float32)
    rows: Floats = np.matmul(weights, slab)
    return rows if pixels.ndim == 2 else np.matmul(rows.reshape(len(rows), -1, 3), LUMA)
