"""A picture as somebody can look at it who has to look at many: small, grey, without detail.

Blur alone can be computed back from what is left of it; so what is fine is not in the file at all:
the picture is averaged down to a few pixels and drawn out again (docs/spec/gate.md, 7.3).
"""

import io
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

DETAIL_PX: Final = 32  # the longer side, of what is left
SIDE_PX: Final = 256  # the longer side, as it is drawn


def veiled(pixels: NDArray[np.uint8]) -> bytes:
    """A grey PNG, 256 pixels on the longer side, of (H, W, 3) RGB or (H, W) grey pixels."""
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    coarse = cv2.resize(grey, _size(pixels, DETAIL_PX), interpolation=cv2.INTER_AREA)
    drawn = cv2.resize(coarse, _size(pixels, SIDE_PX), interpolation=cv2.INTER_CUBIC)
    file = io.BytesIO()
    Image.fromarray(drawn.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def _size(pixels: NDArray[np.uint8], longer_px: int) -> tuple[int, int]:
    """Width and height."""
    height_px, width_px = pixels.shape[:2]
    scale = longer_px / max(height_px, width_px)
    return max(1, round(width_px * scale)), max(1, round(height_px * scale))
