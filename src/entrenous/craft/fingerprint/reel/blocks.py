"""From a frame's luma to PDQ's 64 x 64 blocks.

A frame holds luma of the narrow range (16 to 235), which is stretched to a picture's: the hash of
a frame then lies a few bits from that of a screenshot of it, and its quality is on the same scale.
"""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.picture import SIDE_PX_MIN
from entrenous.craft.fingerprint.spectrum import BLOCKS, Floats, reference_axis

Luma = NDArray[np.uint8]

_BLACK: Final = 16.0  # ITU-R BT.601, narrow range
_STRETCH: Final = 255.0 / 219.0


def blocks_of(luma: Luma) -> Floats:
    """PDQ's 64 x 64 blocks, 0 to 255, of the (H, W) narrow-range luma of a frame."""
    height_px, width_px = luma.shape
    if min(height_px, width_px) < SIDE_PX_MIN:
        return np.zeros((BLOCKS, BLOCKS), dtype=np.float32)
    rows = np.matmul(_axis(height_px), luma.astype(np.float32))
    blocks = np.matmul(rows, _axis(width_px).T)
    return np.asarray(np.clip((blocks - _BLACK) * _STRETCH, 0.0, 255.0), dtype=np.float32)


@lru_cache(maxsize=8)
def _axis(length_px: int) -> Floats:
    """The frames of a video are all of one size: this is worked out once."""
    axis = reference_axis(length_px)
    axis.flags.writeable = False
    return axis
