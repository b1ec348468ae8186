"""A small grey picture to search for borders and windows in: fast, and the same at every size."""

from typing import Final

import cv2
import numpy as np

from entrenous.craft.fingerprint.picture import LUMA, Pixels
from entrenous.craft.fingerprint.spectrum import Floats

SIDE_PX: Final = 512  # the longer side; STOP measurements: below, hashes of windows drift


def thumbnail(pixels: Pixels) -> Floats:
    """Luma, 0 to 255, of (H, W, 3) or (H, W) pixels, at most 512 on the longer side."""
    height_px, width_px = pixels.shape[:2]
    shrinking = SIDE_PX / max(height_px, width_px)
    if shrinking < 1:
        size = (max(1, round(width_px * shrinking)), max(1, round(height_px * shrinking)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    grey: Floats = pixels.astype(np.float32)
    return grey if grey.ndim == 2 else grey @ LUMA
