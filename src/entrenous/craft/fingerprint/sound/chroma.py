"""Chroma: how loud each of the twelve notes is, over all octaves, eight times a second.

The first half of Chromaprint (Lalinsky, https://acoustid.org/chromaprint, MIT licence; the idea is
Jang et al., "Pairwise boosted audio fingerprint", IEEE TIFS 2009), algorithm "test 2", which is
the default of libchromaprint and the one that AcoustID keeps. The arithmetic is ours.
"""

from fractions import Fraction
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Chroma = NDArray[np.float64]

RATE_HZ: Final = 11_025
FRAME: Final = 4096  # samples
STEP: Final = FRAME // 3
NOTES: Final = 12
SMOOTHING: Final = (0.25, 0.75, 1.0, 0.75, 0.25)  # over five frames
_LOWEST_HZ: Final = 28.0
_HIGHEST_HZ: Final = 3520.0
_BASE_HZ: Final = 440.0 / 16.0  # a note is counted from here
_QUIET: Final = 0.01  # twelve notes that are weaker than this are all taken as zero
_AT_ONCE: Final = 512  # frames, so that a long sound needs no more memory than a short one


def to_rate(samples: Samples, rate_hz: int) -> Samples:
    """One channel of (N,) or (N, channels) samples, at 11,025 per second, in steps of 16 bits.

    Chromaprint works on 16-bit numbers; the steps are kept so that equal samples give equal words.
    """
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    ratio = Fraction(RATE_HZ, rate_hz)
    if ratio != 1:
        from scipy.signal import resample_poly  # noqa: PLC0415 - half a second, for sounds alone

        mono = resample_poly(mono, ratio.numerator, ratio.denominator)
    return np.asarray(np.clip(np.round(mono * 32767.0), -32768, 32767), dtype=np.float32)


def chroma(samples: Samples) -> Chroma:
    """(T, 12) smoothed and normalised rows, from samples of :func:`to_rate`; T may be 0."""
    energies = _energies(samples)
    if len(energies) < len(SMOOTHING):
        return np.zeros((0, NOTES))
    length = len(energies) - len(SMOOTHING) + 1
    smooth = sum(weight * energies[at : at + length] for at, weight in enumerate(SMOOTHING))
    norm = np.sqrt(np.square(smooth).sum(axis=1, keepdims=True))
    return np.where(norm < _QUIET, 0.0, smooth / np.maximum(norm, _QUIET))


def _energies(samples: Samples) -> Chroma:
    """(F, 12) energy of each note in each frame of 4,096 samples."""
    if len(samples) < FRAME:
        return np.zeros((0, NOTES))
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::STEP]
    parts = [_notes_of(frames[at : at + _AT_ONCE]) for at in range(0, len(frames), _AT_ONCE)]
    return np.concatenate(parts)


def _notes_of(frames: Samples) -> Chroma:
    first, notes = _note_of_bin()
    window = (np.hamming(FRAME) / 32767.0).astype(np.float32)
    spectrum = np.fft.rfft(frames * window)[:, first : first + len(notes)]
    return np.asarray((np.abs(spectrum) ** 2) @ notes, dtype=np.float64)


@lru_cache(maxsize=1)
def _note_of_bin() -> tuple[int, Chroma]:
    """The first frequency bin that counts, and (bins, 12) with a one at the note of each."""
    first = max(1, round(FRAME * _LOWEST_HZ / RATE_HZ))
    last = min(FRAME // 2, round(FRAME * _HIGHEST_HZ / RATE_HZ))
    octave = np.log2(np.arange(first, last) * RATE_HZ / FRAME / _BASE_HZ)
    note = (NOTES * (octave - np.floor(octave))).astype(np.int64)
    return first, np.eye(NOTES)[note]
