"""An upload that was turned by a few degrees: turned back by several angles."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from entrenous.craft.fingerprint.spectrum import Floats

ANGLES: Final = (-10.0, -7.5, -5.0, -2.5, 2.5, 5.0, 7.5, 10.0)  # degrees; PDQ forgives one or so
SLIGHT: Final = (-3.5, -2.0, 2.0, 3.5)  # beyond, so much was cut off that the whole does not fit


def turned_back(grey: Floats, angles: Sequence[float] = ANGLES) -> Floats:
    """A grey picture turned about its middle by each of A angles, as large as before: (A, H, W).

    What comes in at the corners goes on as the picture ends there.
    """
    height, width = grey.shape
    middle = ((width - 1) / 2, (height - 1) / 2)
    matrices = [cv2.getRotationMatrix2D(middle, angle, 1.0) for angle in angles]
    size = (width, height)
    turned = [cv2.warpAffine(grey, m, size, borderMode=cv2.BORDER_REPLICATE) for m in matrices]
    return np.stack(turned).astype(np.float32)
