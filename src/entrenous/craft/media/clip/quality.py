"""How finely a clip's copies must be written, so that they look like their original."""

import math
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.media.clip.read import read_clip
from entrenous.model.clip import Frame

TRIED_CRF: Final = 19.0
_PSNR_DB: Final = 42.3  # of a copy's luma against the original's, the mark included
_CRF_RANGE: Final = (12.0, 22.0)
_WHOLE: Final = (255.0 / 219.0) ** 2  # from the narrow to the full range of luma (ITU-R BT.601)
_DB_PER_STEP: Final = (0.6, 0.7)  # of x264: coarser than what was tried, and finer (less sure)


def copy_error(copy: bytes, frames: Iterable[Frame]) -> float:
    """Mean squared error of a copy of our own against its original's ``frames``, per sample.

    That of luma, or of all samples of Y, Cb and Cr together where that is worse, in steps of luma's
    full range. An encoder that spares a part of the mark does not add to it: so the whole counts.
    """
    with read_clip(copy) as clip:
        pairs = zip(clip.frames, frames, strict=True)
        luma, chroma = np.mean([_errors(one, other) for one, other in pairs], axis=0)
    return float(max(luma, (2.0 * luma + chroma) / 3.0)) * _WHOLE


def rate_factor(error: float) -> float:
    """The constant rate factor that writes copies with a PSNR of 42 dB, the mark included.

    Finer than 12 it would not pay, coarser than 22 the mark would suffer.

    Args:
        error: :func:`copy_error` of a copy that was written with ``TRIED_CRF``.
    """
    spare_db = 10.0 * math.log10(255.0**2 / max(error, 1e-3)) - _PSNR_DB
    crf = TRIED_CRF + spare_db / _DB_PER_STEP[spare_db > 0.0]
    return round(min(max(crf, _CRF_RANGE[0]), _CRF_RANGE[1]), 1)


def _errors(one: Frame, other: Frame) -> tuple[float, float]:
    """Of luma, and of chroma, which has half as many samples."""
    luma = one.width_px * one.height_px
    planes, others = (np.frombuffer(frame.planes, np.uint8) for frame in (one, other))
    return _squared(planes[:luma], others[:luma]), _squared(planes[luma:], others[luma:])


def _squared(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    apart = one.astype(np.int16) - other
    return float(np.mean(np.square(apart, dtype=np.int32)))
