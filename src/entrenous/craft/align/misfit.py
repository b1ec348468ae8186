"""How badly a found picture fits the sent one under a given homography, in fine detail.

This is what chooses between homographies; a score or a key never does. 0 is a perfect fit, 1 none.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.features import Pixels
from entrenous.craft.align.geometry import Homography, Size, resizing

Grey = NDArray[np.float32]

_WINDOW_PX: Final = 17
_QUIET: Final = 1.0  # squared grey levels: calmer windows hardly count
_PIXELS_MIN: Final = 200


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """Two pictures in grey, at sizes where both show the same detail.

    ``size_sent`` and ``size_found`` are the sizes that homographies speak of.
    """

    sent: Grey
    found: Grey
    size_sent: Size
    size_found: Size

    def inward(self, homography: Homography) -> Homography:
        """From full pixels of both pictures to those of this bench."""
        sent_in = resizing((self.sent.shape[1], self.sent.shape[0]), self.size_sent)
        return (
            resizing(self.size_found, (self.found.shape[1], self.found.shape[0]))
            @ homography
            @ sent_in
        )

    def outward(self, homography: Homography) -> Homography:
        """The inverse of :meth:`inward`."""
        sent_out = resizing(self.size_sent, (self.sent.shape[1], self.sent.shape[0]))
        return (
            resizing((self.found.shape[1], self.found.shape[0]), self.size_found)
            @ homography
            @ sent_out
        )


def bench(found_grey: Pixels, sent_grey: Pixels, *, scale: float, side_px: int) -> Bench:
    """Bring both pictures to one resolution, the coarser of theirs and ``side_px``'s.

    Args:
        found_grey: (h, w).
        sent_grey: (H, W).
        scale: found pixels per sent pixel.
        side_px: wanted longest side of the sent picture.
    """
    height, width = sent_grey.shape[:2]
    factor = min(1.0, side_px / max(width, height), scale)
    return Bench(
        _shrunk(sent_grey, factor),
        _shrunk(found_grey, min(1.0, factor / scale)),
        (width, height),
        (found_grey.shape[1], found_grey.shape[0]),
    )


def misfit(on: Bench, homography: Homography) -> float:
    """One minus the squared correlation of fine detail, averaged over windows by their contrast."""
    size = (on.sent.shape[1], on.sent.shape[0])
    inward = on.inward(homography)
    laid = laid_over(on.found, inward, size)
    inside = laid_over(np.ones_like(on.found), inward, size) > 0.999
    weight = cv2.erode(inside.astype(np.float32), np.ones((5, 5), np.uint8))
    if float(weight.sum()) < _PIXELS_MIN:
        return 1.0
    found, sent = _detail(laid) * weight, _detail(on.sent) * weight
    cross, power_found, power_sent = (
        np.maximum(cv2.blur(product, (_WINDOW_PX, _WINDOW_PX)), 0.0)
        for product in (found * sent, found * found, sent * sent)
    )
    unlike = 1.0 - cross**2 / np.maximum(power_found * power_sent, 1e-9)
    contrast = power_sent / np.sqrt(power_sent + _QUIET) * weight
    return float((np.clip(unlike, 0.0, 1.0) * contrast).sum() / max(float(contrast.sum()), 1e-9))


def laid_over(found: Grey, homography: Homography, size: Size) -> Grey:
    """Resample ``found`` on the sent picture's grid; zeros where it shows nothing."""
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(found, homography, size, flags=flags), np.float32)


def _detail(grey: Grey) -> Grey:
    return np.asarray(grey - cv2.GaussianBlur(grey, (0, 0), 1.5), np.float32)


def _shrunk(grey: Pixels, factor: float) -> Grey:
    height, width = grey.shape[:2]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    if size == (width, height):
        return grey.astype(np.float32)
    small = cv2.resize(grey.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)
