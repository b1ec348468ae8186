"""Short-time spectra of the bins that carry a mark, and sound from them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from entrenous.craft.sound.layout import (
    BANDS,
    BINS,
    FIRST_BIN,
    HOP,
    TILE_BINS,
    TILE_FRAMES,
    WINDOW,
)

HALF: Final = WINDOW // 2
_OVERLAP: Final = WINDOW // HOP
_SQUARES: Final = 1.5  # the sum of a Hann window's squares at four times overlap


def window() -> NDArray[np.float32]:
    """Hann's, periodic."""
    turn = 2.0 * np.pi * np.arange(WINDOW) / WINDOW
    return (0.5 - 0.5 * np.cos(turn)).astype(np.float32)


def framed(mono: NDArray[np.float32], first: int, count: int) -> NDArray[np.float32]:
    """(count, WINDOW) stretches of a sound, centred on every HOP-th sample from frame ``first``."""
    start, stop = first * HOP - HALF, (first + count - 1) * HOP + HALF
    inside = mono[max(start, 0) : max(stop, 0)]
    before = max(-start, 0)
    padded = np.pad(inside, (before, max(stop - start - before - len(inside), 0)))
    return np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]


def spectra(frames: NDArray[np.float32]) -> NDArray[np.complex64]:
    """(frames, BINS) from (frames, WINDOW)."""
    whole: NDArray[np.complex64] = rfft(frames * window(), axis=1)
    return np.ascontiguousarray(whole[:, FIRST_BIN : FIRST_BIN + BINS])


def whole_spectra(frames: NDArray[np.float32]) -> NDArray[np.complex64]:
    """(frames, WINDOW / 2 + 1): every bin."""
    found: NDArray[np.complex64] = rfft(frames * window(), axis=1)
    return found


def sound_of(bins: NDArray[np.complex64]) -> NDArray[np.float32]:
    """The inverse of :func:`spectra` (least squares; Griffin and Lim 1984): the samples from HALF
    before the first frame's centre to HALF after the last one's.
    """
    whole = np.zeros((len(bins), HALF + 1), np.complex64)
    whole[:, FIRST_BIN : FIRST_BIN + BINS] = bins
    frames = irfft(whole, axis=1) * (window() / np.float32(_SQUARES))
    parts = frames.reshape(len(bins), _OVERLAP, HOP)
    summed = np.zeros((len(bins) + _OVERLAP - 1, HOP), np.float32)
    for part in range(_OVERLAP):
        summed[part : part + len(bins)] += parts[:, part]
    return summed.reshape(-1)


def by_band(bins: NDArray[np.float32]) -> NDArray[np.float32]:
    """(frames, BINS) summed to (frames, BANDS)."""
    bands: NDArray[np.float32] = bins.reshape(len(bins), BANDS, TILE_BINS).sum(2)
    return bands


def by_tile(bands: NDArray[np.float32]) -> NDArray[np.float32]:
    """(frames, bands) summed to (tiles, bands); the last tile may lack frames."""
    missing = -len(bands) % TILE_FRAMES
    whole = np.pad(bands, ((0, missing), (0, 0)))
    tiles: NDArray[np.float32] = whole.reshape(-1, TILE_FRAMES, bands.shape[1]).sum(1)
    return tiles


def power(bins: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Squared magnitudes."""
    squares: NDArray[np.float32] = bins.real**2 + bins.imag**2
    return squares
