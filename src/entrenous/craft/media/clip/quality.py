"""How finely a clip's copies must be written, so that they look like their original."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.media.clip.read import read_clip
from entrenous.craft.media.clip.write import ClipWriter
from entrenous.model.clip import Frame, Shown

_PSNR_DB: Final = 42.1  # of a copy's R, G and B against the original's, the mark included
_TRIED_CRF: Final = 18.0
_TRIALS: Final = 2
_CRF_RANGE: Final = (11.0, 21.0)
_DB_PER_STEP: Final = 0.85  # of x264 at this quality, measured
_LUMA: Final = 255.0 / 219.0  # full-range levels in one step of the narrow range (ITU-R BT.601)
_CHROMA: Final = 255.0 / 224.0
_BLUE: Final = (1.772**2 + 0.344**2) / 3.0  # share of Cb in R, G, B, squared
_RED: Final = (1.402**2 + 0.714**2) / 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One frame on trial: (H, W) luma before and after marking, and the bytes of its chroma."""

    luma: NDArray[np.uint8]
    marked: NDArray[np.uint8]
    chroma: NDArray[np.uint8]


def rate_factor(shown: Shown, samples: Sequence[Sample]) -> float:
    """The constant rate factor that writes copies with a PSNR of 42 dB, the mark included.

    Two encodings of a few frames tell; finer than 11 it would not pay, coarser than 21 the mark
    would suffer.
    """
    mark = float(np.mean([_error(sample.marked, sample.luma, _LUMA) for sample in samples]))
    allowed = max(255.0**2 / 10.0 ** (_PSNR_DB / 10.0) - mark, 0.2)
    crf = _TRIED_CRF
    for _ in range(_TRIALS):
        coded = max(_coding_error(shown, samples, crf), 1e-3)
        steps = 10.0 * math.log10(allowed / coded) / _DB_PER_STEP
        crf = round(min(max(crf + steps, _CRF_RANGE[0]), _CRF_RANGE[1]), 1)
    return crf


def _coding_error(shown: Shown, samples: Sequence[Sample], crf: float) -> float:
    writer = ClipWriter(shown, crf)
    for number, sample in enumerate(samples):
        writer.add(sample.marked, sample.chroma, float(number / shown.rate))
    with read_clip(writer.finish()) as clip:  # our own file, so no stranger's
        pairs = zip(clip.frames, samples, strict=True)
        return float(np.mean([_frame_error(one, sample) for one, sample in pairs]))


def _frame_error(one: Frame, sample: Sample) -> float:
    """Mean squared error of R, G and B, as the planes' errors make it when they are independent."""
    luma = np.asarray(one)
    blue, red = np.frombuffer(one.planes, np.uint8)[luma.size :].reshape(2, -1)
    was_blue, was_red = sample.chroma.reshape(2, -1)
    return (
        _error(luma, sample.marked, _LUMA)
        + _error(blue, was_blue, _CHROMA) * _BLUE
        + _error(red, was_red, _CHROMA) * _RED
    )


def _error(one: NDArray[np.uint8], other: NDArray[np.uint8], scale: float) -> float:
    """Mean squared, in levels of the full range."""
    return float(np.mean(np.square(one.astype(np.float32) - other))) * scale**2
