"""Embed one copy's mark in a picture; everything that copies share is prepared once.

The adjoint of the step from chips to their pattern, which detection uses, is here too.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from entrenous.watermark.chip_layout import ChipLayout, Shape, chips_of_stream, lay_out_chips
from entrenous.watermark.pyramid import (
    Pixels,
    Plane,
    luma,
    shrink,
    sum_pyramid,
    sum_pyramid_adjoint,
)
from entrenous.watermark.visibility import band_masks, reduce_where_visible, zero_in_flat_areas

# this share of the Gaussian blur is subtracted, since coarser detail belongs to the next band
# or would be visible
_SUBTRACTED_BLUR_SHARE: Final = 0.9
_SIGMA_CELLS: Final = 1.0
_KERNEL_CELLS: Final = (9, 9)
_CUBIC_PARAMETER: Final = -0.75  # the free parameter of Keys' kernel (1981), with OpenCV's value


def mark_pattern(signs: Plane, layout: ChipLayout, masks: Sequence[Plane]) -> Plane:
    """Return the mark that these chips form, in grey levels, at the layout's working size.

    Args:
        signs: one chip per cell of all bands, finest band first.
        layout: the positions of the bands.
        masks: amplitude per pixel of each band's pyramid level.
    """
    return sum_pyramid(
        [
            band_pattern(signs[band.start : band.stop].reshape(band.cells), mask)
            for band, mask in zip(layout.bands, masks, strict=True)
        ]
    )


def mark_pattern_adjoint(
    evidence: Plane, layout: ChipLayout, masks: Sequence[Plane]
) -> list[Plane]:
    """Apply the adjoint of :func:`mark_pattern`; return one number per chip, band by band."""
    levels = sum_pyramid_adjoint(evidence, len(layout.bands))
    return [
        band_pattern_adjoint(level, mask, band.cells).ravel()
        for level, mask, band in zip(levels, masks, layout.bands, strict=True)
    ]


def enlarge_mark(mark: Plane, shape: Shape) -> Plane:
    """Enlarge to the full size (bicubic); an array of that size is returned unchanged."""
    if mark.shape == shape:
        return mark
    large = cv2.resize(mark, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.float32)


def band_pattern(cells: Plane, mask: Plane) -> Plane:
    """Return the pattern of one band, in grey levels.

    Args:
        cells: chips on the band's grid (rows, columns).
        mask: amplitude per pixel of the band's pyramid level.
    """
    rows, columns = mask.shape
    size = (columns, rows)
    fine = np.asarray(
        cv2.resize(_without_low_frequencies(cells), size, interpolation=cv2.INTER_CUBIC)
    )
    # computing in place halves the memory traffic
    return np.multiply(fine, mask, out=fine, dtype=np.float32)


def band_pattern_adjoint(evidence: Plane, mask: Plane, cells: Shape) -> Plane:
    """Apply the adjoint of :func:`band_pattern`: the inner product <pattern, e> equals <cells,
    result>.
    """
    rows, columns = mask.shape
    down = _cubic_matrix(rows, cells[0]).T @ np.multiply(evidence, mask, dtype=np.float32)
    coarse = (_cubic_matrix(columns, cells[1]).T @ np.ascontiguousarray(down.T)).T
    return _without_low_frequencies(np.ascontiguousarray(coarse, np.float32))


def _without_low_frequencies(cells: Plane) -> Plane:
    # with zero padding, this symmetric filter is equal to its adjoint
    lows = cv2.GaussianBlur(
        cells, _KERNEL_CELLS, _SIGMA_CELLS, sigmaY=_SIGMA_CELLS, borderType=cv2.BORDER_CONSTANT
    )
    return np.asarray(cells - np.float32(_SUBTRACTED_BLUR_SHARE) * lows, np.float32)


def _cubic_matrix(out: int, cells: int) -> sparse.csr_array:
    """Return ``cv2.resize(..., INTER_CUBIC)`` along one axis as an (out, cells) matrix."""
    at = (np.arange(out) + 0.5) * (cells / out) - 0.5
    first = np.floor(at).astype(np.int64)
    taps = first[:, None] + np.arange(-1, 3)
    weights = _cubic_kernel(np.abs(at[:, None] - taps))
    rows = np.repeat(np.arange(out), 4)
    columns = np.clip(taps, 0, cells - 1).ravel()
    entries = (weights.astype(np.float32).ravel(), (rows, columns))
    return sparse.csr_array(sparse.coo_array(entries, shape=(out, cells)))


def _cubic_kernel(x: NDArray[np.float64]) -> NDArray[np.float64]:
    near = ((_CUBIC_PARAMETER + 2.0) * x - (_CUBIC_PARAMETER + 3.0)) * x * x + 1.0
    far = (
        (_CUBIC_PARAMETER * x - 5.0 * _CUBIC_PARAMETER) * x + 8.0 * _CUBIC_PARAMETER
    ) * x - 4.0 * _CUBIC_PARAMETER
    return np.where(x <= 1.0, near, np.where(x < 2.0, far, 0.0))


# minimum PSNR at a longest side of 600 px; larger pictures need less amplitude for the same score
_PSNR_DB_AT_600_PX: Final = 43.8
_PSNR_DB_PER_OCTAVE: Final = 1.1
_PSNR_DB_RANGE: Final = (43.2, 46.6)
_SAMPLE_PIXELS: Final = 200_000  # the expected PSNR is computed from about this many pixels
# this is no secret: trial chips are used for measuring and mark no copy
_TRIAL_SEED: Final = b"entrenous/mark/trial"


@dataclass(frozen=True, eq=False)
class PreparedPicture:
    """One picture, prepared for marking and detection.

    ``pixels_rgb`` is the picture, (H, W, 3) uint8. ``masks`` has one amplitude map per band of
    ``layout``, in grey levels. The overall cap is applied to them, and they are lowered in smooth
    places where the mark would be too visible.
    """

    pixels_rgb: Pixels
    layout: ChipLayout
    masks: tuple[Plane, ...]

    def pattern(self, signs: Plane) -> Plane:
        """Return the mark that these chips form in this picture, at the layout's working size."""
        return mark_pattern(signs, self.layout, self.masks)

    @cached_property
    def trial_pattern(self) -> Plane:
        """The mark that trial chips form at the working size, for measuring marks' strength."""
        return self.pattern(trial_chips(self.layout))


def prepare_picture(pixels_rgb: Pixels) -> PreparedPicture:
    """Measure a picture once, before its copies are marked or a leak of it is traced.

    The expected PSNR of a copy is at least 43.8 dB if the longest side is 600 px. This limit rises
    by 1.1 dB for each doubling of that side, and is kept within 43.2 and 46.6 dB. A smooth picture
    gets the floor amplitude, and its PSNR is far above the limit (docs/spec/mark.md, section 5).

    Args:
        pixels_rgb: (H, W, 3) uint8, which is neither copied nor changed.

    Raises:
        TooSmallToMark: the shorter side is below ``MARKED_PICTURE_SIDE_PX_MIN``.
    """
    height_px, width_px = pixels_rgb.shape[:2]
    plan = lay_out_chips(width_px, height_px)
    uncapped = band_masks(luma(shrink(pixels_rgb, plan.working_size)), len(plan.bands))
    strongest = zero_in_flat_areas(uncapped, pixels_rgb, plan.working_size)
    trial = enlarge_mark(mark_pattern(trial_chips(plan), plan, strongest), plan.full)
    factor = np.float32(_strength_cap(trial, lowest_copy_psnr_db(max(plan.full))))
    capped = [mask * factor for mask in strongest]
    return PreparedPicture(
        pixels_rgb, plan, reduce_where_visible(capped, pixels_rgb, trial * factor)
    )


def lowest_copy_psnr_db(longest_side_px: int) -> float:
    """Return the minimum PSNR, in dB, of a marked picture of this size."""
    wanted = _PSNR_DB_AT_600_PX + _PSNR_DB_PER_OCTAVE * math.log2(longest_side_px / 600.0)
    return min(max(wanted, _PSNR_DB_RANGE[0]), _PSNR_DB_RANGE[1])


def trial_chips(plan: ChipLayout) -> Plane:
    """Return chips that no copy has, for measuring the effect of a mark; always the same ones."""
    return chips_of_stream(
        hashlib.shake_256(_TRIAL_SEED).digest(-(-plan.chip_count // 8)), plan.chip_count
    )


def _strength_cap(trial: Plane, psnr_db: float) -> float:
    """Return the largest factor, at most 1, with an expected PSNR of ``psnr_db`` or more."""
    allowed = 255.0**2 / 10.0 ** (psnr_db / 10.0)
    sample = np.abs(trial.ravel()[:: max(1, trial.size // _SAMPLE_PIXELS)])
    low, high = 0.0, 1.0
    if _expected_error(sample) <= allowed:
        return high
    for _ in range(20):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _expected_error(middle * sample) <= allowed else (low, middle)
    return low


def _expected_error(sample: NDArray[np.floating[Any]]) -> float:
    """Return the expected squared error after dithered rounding.

    It is piecewise linear, and equal to the square at integers.
    """
    whole = np.floor(sample)
    return float(np.mean(whole**2 + (sample - whole) * (2.0 * whole + 1.0)))


_DITHER_STEPS: Final = 256  # the dither has this many values: it is one byte per pixel
_SIGN_BIT: Final = 128
_STRIP_PX: Final = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class CopyCanvas:
    """Reusable buffers for painting one copy.

    ``pixels`` is (H, W, 4) uint8, whose fourth channel is unused. ``fine`` is (H, W) int16, for
    intermediate results.
    """

    pixels: Pixels
    fine: NDArray[np.int16]


def new_copy_canvas(rows: int, columns: int) -> CopyCanvas:
    return CopyCanvas(np.empty((rows, columns, 4), np.uint8), np.empty((rows, columns), np.int16))


def add_mark(colours: Sequence[Pixels], mark: Plane, dither: Pixels, onto: CopyCanvas) -> None:
    """Paint a picture with its mark onto a canvas.

    Args:
        colours: the picture's red, green and blue, (H, W) uint8 each.
        mark: in grey levels, at the picture's size, or smaller to be enlarged here (bicubic).
        dither: (H, W) uint8, in 256ths of a grey level; the sum of mark and dither is rounded down.
        onto: the canvas to overwrite.
    """
    rows, columns = dither.shape
    scaled = cv2.addWeighted(mark, _DITHER_STEPS, mark, 0.0, 0.0, dtype=cv2.CV_16S)
    fine = np.asarray(scaled, np.int16)
    if fine.shape != (rows, columns):
        cv2.resize(fine, (columns, rows), dst=onto.fine, interpolation=cv2.INTER_CUBIC)
        fine = onto.fine
    for strip in _row_strips(rows, columns):
        steps = fine[strip] + dither[strip]
        steps >>= 8  # an arithmetic shift rounds down even for negative numbers
        _add_saturating([colour[strip] for colour in colours], steps, onto.pixels[strip])


def _add_saturating(colours: Sequence[Pixels], steps: NDArray[np.int16], pixels: Pixels) -> None:
    """Add the same step to red, green and blue with saturation.

    Positive steps are added first, then negative ones. All steps fit in a signed byte, since masks
    are at most 7.2 grey levels per band (docs/spec/mark.md, section 5).
    """
    middle = np.full(steps.shape, _SIGN_BIT, np.uint8)
    shifted = steps.astype(np.uint8)
    shifted ^= _SIGN_BIT  # for a signed byte, this is the same as adding 128
    up, down = cv2.subtract(shifted, middle), cv2.subtract(middle, shifted)
    marked = [cv2.subtract(cv2.add(colour, up), down) for colour in colours]
    cv2.merge([*marked, marked[0]], dst=pixels)


def _row_strips(rows: int, columns: int) -> Iterator[slice]:
    height = max(1, _STRIP_PX // columns)
    for top in range(0, rows, height):
        yield slice(top, min(top + height, rows))


def embed_mark(prepared: PreparedPicture, copy_stream: bytes, dither_stream: bytes) -> Pixels:
    """Return the picture with one copy's mark added to its luma, (H, W, 3) uint8.

    The same integer is added to red, green and blue: the mark plus a uniform dither, rounded down.
    All copies of a picture in one message share the dither, so that averaging copies does not round
    their marks away (docs/spec/mark.md, section 4).

    Args:
        prepared: the picture.
        copy_stream: ``key_stream_bytes`` uniform bytes, unique to this copy.
        dither_stream: ``dither_stream_bytes`` uniform bytes, unique to this picture in this
            message.

    Raises:
        ValueError: a stream is too short.
    """
    marked = new_copy_canvas(*prepared.layout.full)
    paint_copy(prepared, split_colours(prepared), copy_stream, dither_stream, onto=marked)
    return np.ascontiguousarray(marked.pixels[:, :, :3])


def split_colours(prepared: PreparedPicture) -> tuple[Pixels, ...]:
    """Split a picture, once for all copies, into red, green and blue, (H, W) uint8 each."""
    return tuple(np.asarray(plane, np.uint8) for plane in cv2.split(prepared.pixels_rgb))


def paint_copy(
    prepared: PreparedPicture,
    planes: Sequence[Pixels],
    copy_stream: bytes,
    dither_stream: bytes,
    *,
    onto: CopyCanvas,
) -> None:
    """Do the same as :func:`embed_mark`, on a canvas that is reused for the next copy.

    Encoders accept four channels without copying them, and reused memory need not be cleared. At 12
    megapixels this halves the cost of a copy. ``planes`` is the result of :func:`split_colours`.

    Raises:
        ValueError: a stream is too short.
    """
    rows, columns = prepared.layout.full
    if len(dither_stream) < rows * columns:
        raise ValueError(f"this picture needs {rows * columns} bytes of dither")
    mark = prepared.pattern(chips_of_stream(copy_stream, prepared.layout.chip_count))
    dither = np.frombuffer(dither_stream, np.uint8, rows * columns).reshape(rows, columns)
    add_mark(planes, mark, dither, onto)
