"""PDQ, Meta's perceptual hash of a picture: 256 bits that change little after small edits.

All eight orientations of a picture are hashed from one cosine transform.
"""

import math
from collections.abc import Mapping
from functools import cache, lru_cache
from itertools import count
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.base.limits import PDQ_BYTES
from entrenous.base.picture import OriginalSize, Picture
from entrenous.fingerprint.nouns import Fingerprint

Floats = NDArray[np.float32]
BLOCKS_PER_SIDE: Final = 64  # PDQ reduces a picture to 64 x 64 blocks (section "downsampling")
_CACHED_AXIS_PX_MAX: Final = 8192  # longer axes are not cached, because the longest one takes 16 MB
# weights below this are rounding errors and should be 0; real weights are far larger
_ROUNDING_ERROR_MAX: Final = 1e-12
# frequencies 1 to 16 of each axis are used; frequency 0, the brightness, is left out
FREQUENCIES_PER_AXIS: Final = 16


@cache
def cosine_transform_rows() -> Floats:
    """Return the read-only (16, 64) part of the orthonormal cosine transform that PDQ keeps."""
    frequency = np.arange(1, FREQUENCIES_PER_AXIS + 1)[:, None]
    place = 2 * np.arange(BLOCKS_PER_SIDE)[None, :] + 1
    wave = np.cos(math.pi / 2 / BLOCKS_PER_SIDE * frequency * place)
    made = np.asarray(math.sqrt(2 / BLOCKS_PER_SIDE) * wave, dtype=np.float32)
    made.flags.writeable = False
    return made


def downsampling_matrix(length_px: int, shrunk_by: int = 1, *, from_end: bool = False) -> Floats:
    """Return Meta's two box filters and decimation of an axis as a matrix (64, length_px).

    If a decoder averaged every ``shrunk_by`` pixels to one, the shape is (64, remaining pixels),
    and each remaining pixel has the weight of those it was made from. ``from_end`` means that
    averaging began at the other end. On an axis of exactly 64 pixels, the filters have a window of
    1, which changes nothing.
    """
    made = (
        _cached_downsampling_matrix
        if length_px <= _CACHED_AXIS_PX_MAX
        else _compute_downsampling_matrix
    )
    return made(length_px, shrunk_by, from_end=from_end)


def _compute_downsampling_matrix(length_px: int, shrunk_by: int, *, from_end: bool) -> Floats:
    window = -(-length_px // (2 * BLOCKS_PER_SIDE))
    # number of pixels to the right of the centre that the window covers
    ahead = (window + 2) // 2 - 1
    behind = window - 1 - ahead
    centre = ((2 * np.arange(BLOCKS_PER_SIDE) + 1) * length_px) // (2 * BLOCKS_PER_SIDE)
    middle = centre[:, None] + np.arange(-behind, ahead + 1)[None, :]
    inside = (middle >= 0) & (middle < length_px)
    first = np.maximum(middle - behind, 0)
    last = np.minimum(middle + ahead, length_px - 1)
    span = np.where(inside, last - first + 1, 1)
    weight = np.where(inside, 1.0 / span, 0.0) / inside.sum(axis=1, keepdims=True)
    steps = np.zeros((BLOCKS_PER_SIDE, length_px + 1))
    block = np.broadcast_to(np.arange(BLOCKS_PER_SIDE)[:, None], middle.shape)
    np.add.at(steps, (block[inside], first[inside]), weight[inside])
    np.add.at(steps, (block[inside], last[inside] + 1), -weight[inside])
    matrix = np.cumsum(steps, axis=1)[:, :length_px]
    matrix[np.abs(matrix) < _ROUNDING_ERROR_MAX] = 0.0
    padding = (-length_px % shrunk_by, 0) if from_end else (0, -length_px % shrunk_by)
    matrix = np.pad(matrix, ((0, 0), padding)).reshape(BLOCKS_PER_SIDE, -1, shrunk_by)
    axis: Floats = matrix.sum(axis=2).astype(np.float32)
    axis.flags.writeable = False
    return axis


_cached_downsampling_matrix = lru_cache(maxsize=32)(
    _compute_downsampling_matrix
)  # cached, because some sizes are common in uploads


@lru_cache(maxsize=32)
def downsampling_spans(
    length_px: int, shrunk_by: int = 1, *, from_end: bool = False
) -> tuple[tuple[int, int], ...]:
    """Return the range of pixels with a weight in each row of :func:`downsampling_matrix`."""
    axis = downsampling_matrix(length_px, shrunk_by, from_end=from_end)
    used = [np.flatnonzero(row) for row in axis]
    return tuple((int(block_rows[0]), int(block_rows[-1]) + 1) for block_rows in used)


def window_downsampling_matrices(length_px: int, edges: NDArray[np.float64]) -> Floats:
    """Return the tent filters and decimations of many windows of one axis at once.

    Args:
        length_px: pixels along the axis.
        edges: (K, 2) first and last edge of each window, as shares of the axis in [0, 1].

    Returns:
        (K, 64, length_px). Pixels outside a window have weight 0, as if it had been cut out.
    """
    start, stop = edges[:, :1] * length_px, edges[:, 1:] * length_px
    block = (stop - start) / BLOCKS_PER_SIDE
    centre = start + (np.arange(BLOCKS_PER_SIDE) + 0.5) * block
    reach = np.maximum(block, 1.0)[..., None]  # the tent reaches at least one pixel to either side
    pixel_edge = np.arange(length_px + 1, dtype=np.float64)
    pixel_rows = np.clip(pixel_edge, start[..., None], stop[..., None])
    place = pixel_rows - centre[..., None]
    place /= reach
    mass = np.diff(_tent_integral(place), axis=-1)
    mass /= mass.sum(axis=-1, keepdims=True)
    return mass.astype(np.float32)


def _tent_integral(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the integral of the tent ``1 - |x|`` on [-1, 1] from -1 to x. The array x is
    overwritten.
    """
    np.clip(x, -1.0, 1.0, out=x)
    bend = np.abs(x)
    bend *= x
    bend *= -0.5
    bend += x
    bend += 0.5
    return bend


Pixels = NDArray[np.uint8]
PDQ_KIND: Final = "pdq"
LUMA_WEIGHTS: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as in PDQ
SIDE_PX_MIN: Final = 5  # the reference implementation does not hash smaller pictures
# longer sides are subsampled, because a file of a kilobyte may have millions of pixels
SIDE_PX_MAX: Final = 65_536
_BLOCK_ROWS_AT_ONCE: Final = 8
# up to this number of samples, a picture is processed in eight strips of eight rows of blocks
_SMALL_PICTURE_SAMPLES_MAX: Final = 1 << 20
# PDQ divides the sum of gradients, in per cent, by this to get the quality
GRADIENT_PER_QUALITY: Final = 90


def fingerprint(picture: Picture) -> Fingerprint:
    """Return the PDQ hash and quality of a picture, computed from all its pixels.

    A picture with a side below 5 pixels gets quality 0 and a hash of zeros, as in the reference
    implementation. Transparent parts are taken as white.
    """
    blocks = shrink_to_blocks(pixels_or_luma(picture), picture.original_size, picture.shrunk_by)
    return Fingerprint(PDQ_KIND, hash_spectra(low_frequencies(blocks)), quality(blocks))


def pixels_on_white(picture: Picture) -> Pixels:
    """Return the (H, W, 3) pixels; transparent parts are white, as image viewers show them."""
    pixels: Pixels = np.asarray(picture)
    if picture.alpha is None:
        return pixels
    alpha = np.frombuffer(picture.alpha, dtype=np.uint8).astype(np.uint16)
    alpha = alpha.reshape(picture.height_px, picture.width_px, 1)
    mixed = (pixels * alpha + 255 * (255 - alpha) + 127) // 255
    return mixed.astype(np.uint8)


def pixels_or_luma(picture: Picture) -> Pixels:
    """Return :func:`pixels_on_white`, or the (H, W) luma if the picture has only luma."""
    if picture.has_only_luma and picture.alpha is None:
        return np.asarray(picture)[:, :, 0]
    return pixels_on_white(picture)


def shrink_to_blocks(
    pixels: Pixels, full: OriginalSize | None = None, shrunk_by: int = 1
) -> Floats:
    """Return the luma of (H, W, 3) or (H, W) pixels in PDQ's 64 x 64 blocks, 0 to 255.

    Rows are processed a few at a time, so that a large picture is never copied as a whole. PDQ's
    filter depends on the size of the picture. So if a decoder shrank the picture
    (:class:`entrenous.base.picture.OriginalSize`), the filter for the full size is used; the filter
    for the smaller size would change some bits.
    """
    if min(pixels.shape[:2]) < SIDE_PX_MIN:
        return np.zeros((BLOCKS_PER_SIDE, BLOCKS_PER_SIDE), dtype=np.float32)
    if full is None and max(pixels.shape[:2]) > SIDE_PX_MAX:
        down, across_px = (-(-side // SIDE_PX_MAX) for side in pixels.shape[:2])
        pixels = pixels[::down, ::across_px]
    height_px, width_px = pixels.shape[:2]
    wide, high, from_right, from_below = full or OriginalSize(width_px, height_px)
    axis = downsampling_matrix(high, shrunk_by, from_end=from_below)
    spans = downsampling_spans(high, shrunk_by, from_end=from_below)
    at_once = _BLOCK_ROWS_AT_ONCE if pixels.size <= _SMALL_PICTURE_SAMPLES_MAX else 1
    rows = []
    for first in range(0, BLOCKS_PER_SIDE, at_once):
        block_rows = slice(first, first + at_once)
        pixel_rows = slice(spans[block_rows][0][0], spans[block_rows][-1][1])
        rows.append(_sum_weighted_rows(pixels[pixel_rows], axis[block_rows, pixel_rows]))
    across = downsampling_matrix(wide, shrunk_by, from_end=from_right)
    return np.asarray(np.matmul(np.concatenate(rows), across.T), dtype=np.float32)


def low_frequencies(blocks: Floats) -> Floats:
    """Return the 16 x 16 low frequencies of 64 x 64 blocks; leading axes are kept."""
    across = np.tensordot(blocks, cosine_transform_rows(), axes=([-1], [1]))
    both = np.tensordot(across, cosine_transform_rows(), axes=([-2], [1]))
    return np.asarray(np.swapaxes(both, -1, -2), dtype=np.float32)


def hash_spectra(spectrum: Floats) -> bytes:
    """Return one 32-byte hash per 16 x 16 spectrum, concatenated.

    Bit 16 i + j is set if frequency (i, j) is above the lower median; bit 255 comes first.
    """
    flat = spectrum.reshape(-1, spectrum.shape[-1] * spectrum.shape[-2])
    middle = flat.shape[1] // 2 - 1
    median = np.partition(flat, middle, axis=1)[:, middle, None]
    return np.packbits(flat > median, axis=1, bitorder="little")[:, ::-1].tobytes()


def quality(blocks: Floats) -> int:
    """Return PDQ's measure of detail, 0 to 100.

    Pictures with less than 50 are flat, and resemble each other.
    """
    return int(qualities(blocks[None])[0])


def qualities(blocks: Floats) -> NDArray[np.int64]:
    """Return the :func:`quality` of each of (N, 64, 64) blocks.

    The measure is based on differences between neighbouring blocks, in whole per cent of full
    brightness, rounded towards 0.
    """
    steps = [np.trunc(np.diff(blocks, axis=axis) * 100 / 255) for axis in (1, 2)]
    total = sum(np.abs(one).sum(axis=(1, 2)).astype(np.int64) for one in steps)
    return np.asarray(np.minimum(100, total // GRADIENT_PER_QUALITY), dtype=np.int64)


def _sum_weighted_rows(pixels: Pixels, weights: Floats) -> Floats:
    """Return rows of luma (K, W): each is a sum of R rows of pixels, weighted by (K, R)."""
    slab = pixels.reshape(len(pixels), -1).astype(np.float32)
    rows: Floats = np.matmul(weights, slab)
    return rows if pixels.ndim == 2 else np.matmul(rows.reshape(len(rows), -1, 3), LUMA_WEIGHTS)


def distance(one: Fingerprint, other: Fingerprint) -> int:
    """Return how many of the 256 bits differ; for unrelated pictures, about 128 do."""
    return (int.from_bytes(one.bits, "big") ^ int.from_bytes(other.bits, "big")).bit_count()


UNCHANGED_ORIENTATION_NAME: Final = "as it is"
# element i is for frequency i + 1
_FLIP_SIGNS: Final = np.where(np.arange(FREQUENCIES_PER_AXIS) % 2 == 0, -1.0, 1.0).astype(
    np.float32
)
_ALL_BITS_SET: Final = (1 << 8 * PDQ_BYTES) - 1


def orientation_fingerprints(picture: Picture) -> Mapping[str, Fingerprint]:
    """Return fingerprints of an upload for eight changes that it may have undergone.

    Each undoes one change: ``orientation_fingerprints(mirrored)["mirror"]`` is the fingerprint of
    the picture before mirroring.
    """
    return orientation_fingerprints_of_pixels(
        pixels_on_white(picture), picture.original_size, picture.shrunk_by
    )


def orientation_fingerprints_of_pixels(
    pixels: Pixels, full: OriginalSize | None = None, shrunk_by: int = 1
) -> Mapping[str, Fingerprint]:
    """Return the :func:`orientation_fingerprints` of pixels.

    The arguments are those of :func:`shrink_to_blocks`.
    """
    blocks = shrink_to_blocks(pixels, full, shrunk_by)
    detail = quality(blocks)
    turned = orientation_spectra(low_frequencies(blocks))
    hashes = hash_spectra(np.stack(list(turned.values())))
    return {
        how: Fingerprint(PDQ_KIND, hashes[start : start + PDQ_BYTES], detail)
        for how, start in zip(turned, count(0, PDQ_BYTES), strict=False)
    }


def orientation_spectra(spectrum: Floats) -> Mapping[str, Floats]:
    """Return the spectra (..., 16, 16) of all eight orientations, given the spectrum of one."""
    down, across = _FLIP_SIGNS[:, None], _FLIP_SIGNS[None, :]
    swapped = np.swapaxes(spectrum, -1, -2)
    return {
        UNCHANGED_ORIENTATION_NAME: spectrum,
        "turned 90": swapped * across,
        "turned 180": spectrum * down * across,
        "turned 270": swapped * down,
        "mirror": spectrum * across,
        "mirror, turned 180": spectrum * down,
        "mirror, turned 90": swapped,
        "mirror, turned 270": swapped * down * across,
    }


ORIENTATION_NAMES: Final = tuple(
    orientation_spectra(np.zeros((FREQUENCIES_PER_AXIS, FREQUENCIES_PER_AXIS), np.float32))
)
"""The names of all eight orientations."""


def inverted_hash(bits: bytes) -> bytes:
    """Return the hash of the picture's negative, in which all bits are inverted."""
    return (int.from_bytes(bits) ^ _ALL_BITS_SET).to_bytes(PDQ_BYTES)
