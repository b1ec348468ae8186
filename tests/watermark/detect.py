"""Detect a mark in a sound, or in a picture that is already warped onto the sent picture."""

import numpy as np
from numpy.typing import NDArray

from entrenous.watermark.audio_detector import (
    PreparedSound,
    SoundEvidence,
    detect_mark_at_best_place,
    prepare_found_sound,
)
from entrenous.watermark.audio_location import compute_contour, locate_sound, read_contour
from entrenous.watermark.detector import (
    ChipEvidence,
    coefficient_evidence_per_chip,
    combine_partial_evidence,
    octave_evidence_per_chip,
)
from entrenous.watermark.embed import PreparedPicture
from entrenous.watermark.pyramid import Pixels, Plane


def detect_mark(
    warped: Pixels | Plane,
    covered: NDArray[np.bool_],
    prepared: PreparedPicture,
    warped_recoded: Plane | None = None,
) -> ChipEvidence:
    """Return the evidence of a leak, given its pixels or luma on the sent picture's grid.

    ``covered`` is the mask of the pixels that the leak shows. ``warped_recoded`` is the result of
    ``coefficient_evidence_per_pixel`` on the same grid, or None.
    """
    octaves = octave_evidence_per_chip(warped, covered, prepared)
    return combine_partial_evidence(
        octaves,
        None if warped_recoded is None else coefficient_evidence_per_chip(warped_recoded, prepared),
    )


def detect_sound(
    samples: NDArray[np.float32], rate_hz: int, prepared: PreparedSound
) -> SoundEvidence | None:
    """Return the evidence of a sound, or None if no part of the sent sound matches."""
    found = prepare_found_sound(samples, rate_hz)
    sent = read_contour(compute_contour(prepared.mono))
    return detect_mark_at_best_place(found, prepared, locate_sound(found.contour, sent))
