"""All the ways in which an uploaded sound is looked at: as it is, and played slower or faster.

A word forgives half a per cent of speed, not one. So the upload is also heard at other speeds,
where pitch and length change together, as when somebody plays a recording faster to hide it.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from entrenous.craft.fingerprint.sound.chroma import Samples, chroma, to_rate
from entrenous.craft.fingerprint.sound.words import Words, words_of

AS_IT_IS: Final = "as it is"
SPEEDS: Final = (1.0, 0.99, 1.01, 0.98, 1.02, 0.97, 1.03, 0.96, 1.04)  # that are undone


@dataclass(frozen=True, slots=True)
class SoundView:
    """One way to hear an upload: ``how`` it was made, and its words."""

    how: str
    words: Words


def sound_look(samples: Samples, rate_hz: int) -> tuple[SoundView, ...]:
    """Every view of (N,) or (N, channels) samples, full scale 1."""
    plain = to_rate(samples, rate_hz)
    return tuple(
        SoundView(_said(speed), words_of(chroma(_undone(plain, speed)))) for speed in SPEEDS
    )


def _undone(samples: Samples, speed: float) -> Samples:
    """As it was before somebody played it ``speed`` times as fast."""
    if speed == 1.0:
        return samples
    from scipy.signal import resample_poly  # noqa: PLC0415 - half a second, for sounds alone

    ratio = Fraction(speed).limit_denominator(100)
    slower = resample_poly(samples, ratio.numerator, ratio.denominator)
    return np.asarray(np.round(slower), dtype=np.float32)


def _said(speed: float) -> str:
    return AS_IT_IS if speed == 1.0 else f"speed {speed:.2f}"
