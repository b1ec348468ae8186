"""Luma and chroma in floating point, and pictures at the size at which a mark is made."""

from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.craft.mark.code import Shape

Plane = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Curve = NDArray[np.float64]
_ROWS: Final = 64
Samples = TypeVar("Samples", Pixels, Plane)


def shrink(pixels: Samples, shape: Shape) -> Samples:
    """Area average to (rows, columns); the same array when it has that size already."""
    if pixels.shape[:2] == shape:
        return pixels
    small = cv2.resize(pixels, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return small.astype(pixels.dtype, copy=False)


def luma(pixels_rgb: Pixels) -> Plane:
    """Luma (ITU-R BT.601, as in JPEG) in grey levels, 0 to 255, not rounded. Shape (H, W)."""
    light = np.empty(pixels_rgb.shape[:2], np.float32)
    for top in range(0, len(light), _ROWS):  # floats of a whole picture would be most of the memory
        rows = slice(top, top + _ROWS)
        cv2.cvtColor(pixels_rgb[rows].astype(np.float32), cv2.COLOR_RGB2GRAY, dst=light[rows])
    return light


def chroma(pixels_rgb: Pixels, of_luma: Plane) -> tuple[Plane, Plane]:
    """Red and blue minus luma, in grey levels: Cr and Cb up to their scale."""
    red = pixels_rgb[:, :, 0].astype(np.float32) - of_luma
    blue = pixels_rgb[:, :, 2].astype(np.float32) - of_luma
    return red, blue


def looked_up(plane: Plane, at: Curve, values: Curve) -> Plane:
    """``values`` at the nearest of ``at``, evenly spaced and rising, for every pixel.

    Many times faster than interpolating at every pixel; beyond the ends the ends hold.
    """
    steps = np.float32((len(at) - 1) / (at[-1] - at[0]))
    index = np.clip((plane - np.float32(at[0])) * steps + np.float32(0.5), 0, len(at) - 1)
    return np.asarray(np.take(values.astype(np.float32), index.astype(np.int32)), np.float32)
