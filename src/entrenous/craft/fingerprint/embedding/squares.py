"""What of a picture a network is shown: all of it, and windows of it, each as a small square.

A network finds a part by the whole, but not a small picture within a larger one. So an upload is
also shown in windows: the boxes that may be pictures, and even shares of it.
"""

from typing import Final

import cv2
import numpy as np

from entrenous.craft.fingerprint.border import Box, insides
from entrenous.craft.fingerprint.deep.boxes import boxes
from entrenous.craft.fingerprint.picture import LUMA, Pixels
from entrenous.craft.fingerprint.spectrum import BLOCKS, Floats
from entrenous.craft.fingerprint.thumbnail import thumbnail
from entrenous.model.embedding import SQUARE_PX

WINDOWS: Final = 14
_STEP: Final = 2.55  # 1 % of full brightness
WINDOW_PX_MIN: Final = 32  # of the upload: less is hardly a picture
_SHARES: Final = (  # top, bottom, left, right: halves, quarters, the middle
    (0.0, 0.5, 0.0, 1.0),
    (0.5, 1.0, 0.0, 1.0),
    (0.0, 1.0, 0.0, 0.5),
    (0.0, 1.0, 0.5, 1.0),
    (0.0, 0.5, 0.0, 0.5),
    (0.0, 0.5, 0.5, 1.0),
    (0.5, 1.0, 0.0, 0.5),
    (0.5, 1.0, 0.5, 1.0),
    (0.2, 0.8, 0.2, 0.8),
)


def square(pixels: Pixels) -> bytes:
    """All of (H, W, 3) pixels averaged into 224 x 224, whatever its shape; rows of RGB."""
    size = (SQUARE_PX, SQUARE_PX)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8).tobytes()


def level_share(one: bytes) -> float:
    """Of the steps between neighbours among 64 x 64 blocks of a :func:`square`, the share that is
    below 1 % of full brightness: near 1 in a drawing of flat areas, half in most photographs.
    """
    rgb = np.frombuffer(one, np.uint8).reshape(SQUARE_PX, SQUARE_PX, 3)
    blocks = cv2.resize(rgb, (BLOCKS, BLOCKS), interpolation=cv2.INTER_AREA) @ LUMA
    level = [np.mean(np.abs(np.diff(blocks, axis=axis)) < _STEP) for axis in (0, 1)]
    return float(np.mean(level))


def windows(pixels: Pixels) -> tuple[bytes, ...]:
    """At most 14 squares of parts of (H, W, 3) pixels; none where these would be too small."""
    grey = thumbnail(pixels)
    down, across = pixels.shape[0] / grey.shape[0], pixels.shape[1] / grey.shape[1]
    scaled = (
        (round(top * down), round(bottom * down), round(left * across), round(right * across))
        for top, bottom, left, right in _boxes(grey)
    )
    return tuple(
        square(pixels[top:bottom, left:right])
        for top, bottom, left, right in scaled
        if min(bottom - top, right - left) >= WINDOW_PX_MIN
    )


def _boxes(grey: Floats) -> list[Box]:
    """The likeliest boxes, as many as the even shares leave room for, and these."""
    height, width = grey.shape
    shares = [
        (round(a * height), round(b * height), round(c * width), round(d * width))
        for a, b, c, d in _SHARES
    ]
    likely = (*insides(grey), *boxes(grey))
    return list(dict.fromkeys([*likely[: WINDOWS - len(shares)], *shares]))
