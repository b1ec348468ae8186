"""Planes of luma and chroma, and pyramids with their adjoints (Burt and Adelson 1983)."""

from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from entrenous.watermark.chip_layout import Shape

Plane = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Curve = NDArray[np.float64]
_STRIP_ROWS: Final = 64
Samples = TypeVar("Samples", Pixels, Plane)


def shrink(pixels: Samples, shape: Shape) -> Samples:
    """Shrink to (rows, columns) by averaging areas; an array of that size is returned unchanged."""
    if pixels.shape[:2] == shape:
        return pixels
    small = cv2.resize(pixels, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return small.astype(pixels.dtype, copy=False)


def luma(pixels_rgb: Pixels) -> Plane:
    """Return unrounded luma (H, W) in grey levels, 0 to 255 (ITU-R BT.601, as in JPEG)."""
    light = np.empty(pixels_rgb.shape[:2], np.float32)
    for top in range(
        0, len(light), _STRIP_ROWS
    ):  # computed a strip of rows at a time, to save memory
        rows = slice(top, top + _STRIP_ROWS)
        cv2.cvtColor(pixels_rgb[rows].astype(np.float32), cv2.COLOR_RGB2GRAY, dst=light[rows])
    return light


def chroma(pixels_rgb: Pixels, of_luma: Plane) -> tuple[Plane, Plane]:
    """Return red minus luma and blue minus luma, in grey levels: Cr and Cb up to a factor."""
    red = pixels_rgb[:, :, 0].astype(np.float32) - of_luma
    blue = pixels_rgb[:, :, 2].astype(np.float32) - of_luma
    return red, blue


def apply_curve(plane: Plane, at: Curve, values: Curve) -> Plane:
    """Look up each pixel in a curve that is given by ``values`` at evenly spaced points.

    The points ``at`` ascend, and the nearest one counts, which is many times faster than
    interpolating. Pixels beyond the ends get the values at the ends.
    """
    steps = np.float32((len(at) - 1) / (at[-1] - at[0]))
    index = np.clip((plane - np.float32(at[0])) * steps + np.float32(0.5), 0, len(at) - 1)
    return np.asarray(np.take(values.astype(np.float32), index.astype(np.int32)), np.float32)


_BINOMIAL_WEIGHTS: Final = np.array([1.0, 4.0, 6.0, 4.0, 1.0], np.float32) / np.float32(16.0)


def gaussian_pyramid(plane: Plane, levels: int) -> list[Plane]:
    """Return ``plane`` and ``levels - 1`` planes that are each half as large, finest first."""
    pyramid = [plane]
    for _ in range(levels - 1):
        pyramid.append(np.asarray(cv2.pyrDown(pyramid[-1]), np.float32))
    return pyramid


def detail_pyramid(plane: Plane, levels: int) -> list[Plane]:
    """Return what each of ``levels`` octaves adds to the next coarser one, finest first."""
    steps = gaussian_pyramid(plane, levels + 1)
    return [
        np.subtract(
            steps[level], _upsample(steps[level + 1], shape_of(steps[level])), dtype=np.float32
        )
        for level in range(levels)
    ]


def detail_pyramid_adjoint(details: list[Plane]) -> Plane:
    upper = -_upsample_adjoint(details[-1])
    for level in range(len(details) - 1, 0, -1):
        own = details[level] - _upsample_adjoint(details[level - 1])
        upper = own + _downsample_adjoint(upper, shape_of(details[level]))
    return np.asarray(details[0] + _downsample_adjoint(upper, shape_of(details[0])), np.float32)


def sum_pyramid(patterns: list[Plane]) -> Plane:
    """Sum a pyramid of patterns (finest first) at the finest level's size."""
    total = patterns[-1]
    for pattern in reversed(patterns[:-1]):
        total = _upsample(total, shape_of(pattern))
        total += pattern
    return total


def sum_pyramid_adjoint(plane: Plane, levels: int) -> list[Plane]:
    parts = [plane]
    for _ in range(levels - 1):
        parts.append(_upsample_adjoint(parts[-1]))
    return parts


def _upsample(plane: Plane, shape: Shape) -> Plane:
    return np.asarray(cv2.pyrUp(plane, dstsize=(shape[1], shape[0])), np.float32)


def _upsample_adjoint(plane: Plane) -> Plane:
    rows, columns = plane.shape
    return _filter_both_axes(_upsampling_matrix(rows).T, _upsampling_matrix(columns).T, plane)


def _downsample_adjoint(plane: Plane, shape: Shape) -> Plane:
    return _filter_both_axes(
        _downsampling_matrix(shape[0]).T, _downsampling_matrix(shape[1]).T, plane
    )


def _filter_both_axes(down: sparse.csr_array, across: sparse.csr_array, plane: Plane) -> Plane:
    half = np.ascontiguousarray((down @ plane).T)
    return np.ascontiguousarray((across @ half).T, np.float32)


def _downsampling_matrix(size: int) -> sparse.csr_array:
    """Return ``cv2.pyrDown`` along one axis as a matrix ((size + 1) // 2, size).

    The border is mirrored.
    """
    half = (size + 1) // 2
    taps = _mirror_taps(2 * np.arange(half)[:, None] + np.arange(-2, 3), size)
    return _filter_matrix(taps, np.tile(_BINOMIAL_WEIGHTS, (half, 1)), size)


def _upsampling_matrix(size: int) -> sparse.csr_array:
    """Return ``cv2.pyrUp`` along one axis as a matrix (size, (size + 1) // 2)."""
    half = (size + 1) // 2
    at = np.arange(size)
    first = at // 2 + np.array([[-1], [0], [1]])
    even = np.array([[0.125], [0.75], [0.125]])
    odd = np.array([[0.0], [0.5], [0.5]])
    taps = np.where(first < 0, np.minimum(1, half - 1), np.minimum(first, half - 1))
    return _filter_matrix(taps.T, np.where(at % 2 == 0, even, odd).T.astype(np.float32), half)


def _mirror_taps(taps: np.ndarray, size: int) -> np.ndarray:
    span = max(1, 2 * (size - 1))
    folded = np.abs(taps) % span
    return np.minimum(folded, span - folded) if size > 1 else np.zeros_like(taps)


def _filter_matrix(taps: np.ndarray, weights: Plane, columns: int) -> sparse.csr_array:
    rows = np.repeat(np.arange(len(taps)), taps.shape[1])
    entries = (weights.ravel(), (rows, taps.ravel()))
    return sparse.csr_array(sparse.coo_array(entries, shape=(len(taps), columns)))


def shape_of(plane: Plane | Pixels) -> Shape:
    return plane.shape[0], plane.shape[1]
