"""Detect a mark in one step, from a leak that is already warped onto the sent picture."""

import numpy as np
from numpy.typing import NDArray

from entrenous.watermark.audio_detector import (
    DetectedSound,
    PreparedSound,
    detect_sound_at,
    prepare_found,
)
from entrenous.watermark.audio_location import compute_contour, locate_sound, read_contour
from entrenous.watermark.detector import (
    ChipEvidence,
    coefficient_evidence,
    combine_partial_evidence,
    octave_evidence,
)
from entrenous.watermark.embed import PreparedPicture
from entrenous.watermark.pyramid import Pixels, Plane


def detect_mark(
    laid: Pixels | Plane,
    covered: NDArray[np.bool_],
    prepared: PreparedPicture,
    laid_recoded: Plane | None = None,
) -> ChipEvidence:
    """The evidence of a leak: its pixels or luma on the sent picture's grid, covered or not there.

    ``laid_recoded`` is the result of ``jpeg_evidence.recoded`` on the same grid, if there is one.
    """
    octaves = octave_evidence(laid, covered, prepared)
    return combine_partial_evidence(
        octaves, None if laid_recoded is None else coefficient_evidence(laid_recoded, prepared)
    )


def detect_sound(
    samples: NDArray[np.float32], rate_hz: int, prepared: PreparedSound
) -> DetectedSound | None:
    """Locate, align and detect a sound; None when it matches nowhere on the sent one."""
    found = prepare_found(samples, rate_hz)
    sent = read_contour(compute_contour(prepared.mono))
    return detect_sound_at(found, prepared, locate_sound(found.contour, sent))
