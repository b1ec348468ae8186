"""Resample one picture on the other's grid."""

from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.geometry import Homography, Size, inverse, middle, resizing, scale_at
from entrenous.craft.align.register import Registration

Samples = TypeVar("Samples", NDArray[np.uint8], NDArray[np.float32])

_PIXELS_MAX: Final = 32_000_000  # a larger grid is halved: no chip is that fine
_SIDE_PX_MAX: Final = 32_000  # OpenCV addresses pixels with 16 bits here
_DENSE: Final = 1.5  # samples per pixel of the new grid: beyond, fine detail would alias


def lay_over(found: Samples, registration: Registration) -> tuple[Samples, NDArray[np.bool_]]:
    """The found picture on the sent one's grid, and where it shows something.

    Args:
        found: (h, w) or (h, w, 3), of the found picture's size.
        registration: how it lies on the sent picture.

    Returns:
        (H, W) or (H, W, 3) like ``found`` and (H, W) bool, of the sent picture's size, halved
        until it has at most 32 megapixels.
    """
    size = registration.sent_size
    while size[0] * size[1] > _PIXELS_MAX or max(size) > _SIDE_PX_MAX:
        size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
    return _resampled(found, registration.homography @ resizing(size, registration.sent_size), size)


def lay_under(sent: Samples, registration: Registration) -> tuple[Samples, NDArray[np.bool_]]:
    """The sent picture on the found one's grid, and where that lies inside the sent one."""
    backward = inverse(registration.homography)
    return _resampled(sent, backward, registration.found_size)


def _resampled(
    source: Samples, homography: Homography, size: Size
) -> tuple[Samples, NDArray[np.bool_]]:
    """``homography`` maps pixels of the new grid to pixels of ``source``."""
    source, homography = _thinned(source, homography, size)
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    # replicated borders keep the outermost pixels from being mixed with black
    laid = cv2.warpPerspective(source, homography, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
    full = np.full(source.shape[:2], 255, np.uint8)
    inside = cv2.warpPerspective(
        full, homography, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    return laid.astype(source.dtype, copy=False), inside >= 128


def _thinned(source: Samples, homography: Homography, size: Size) -> tuple[Samples, Homography]:
    """Average the source first where the new grid is much coarser."""
    scale = scale_at(homography, middle(size))
    if scale < _DENSE:
        return source, homography
    height, width = source.shape[:2]
    smaller = (max(1, round(width / scale)), max(1, round(height / scale)))
    thin = cv2.resize(source, smaller, interpolation=cv2.INTER_AREA)
    return thin.astype(source.dtype, copy=False), resizing((width, height), smaller) @ homography
