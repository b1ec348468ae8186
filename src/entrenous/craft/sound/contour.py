"""The contour of a sound: how loud sixteen bands of pitch are, every 32 ms. It finds a sound again.

512 bytes a second, kept in the ledger of every sent sound, so that a found one is compared with
thousands without opening any of them. docs/spec/sound.md, section 5.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from entrenous.craft.sound.layout import HOP, RATE_HZ, WINDOW
from entrenous.craft.sound.spectrum import framed, power, whole_spectra

STEP: Final = 2 * HOP  # samples at 16 kHz
STEP_S: Final = STEP / RATE_HZ
CONTOUR_BANDS: Final = 16
_LOW_HZ: Final = 280.0
_HIGH_HZ: Final = 3600.0
_AROUND: Final = 31  # steps: a second, over which slow changes of volume are forgotten
_FLOOR: Final = 1e-3  # of a band's mean power: below, noise would be told in detail
_SCALE: Final = 40.0  # steps of a standard deviation
_BLOCK: Final = 1024


def contour(mono: NDArray[np.float32]) -> bytes:
    """The contour of a sound at 16 kHz: one signed byte per step and band."""
    return written(band_levels(step_powers(mono), 1.0))


def read_contour(data: bytes) -> NDArray[np.float32]:
    """(steps, CONTOUR_BANDS), in standard deviations."""
    steps = np.frombuffer(data, np.int8).reshape(-1, CONTOUR_BANDS)
    return steps.astype(np.float32) / np.float32(_SCALE)


def written(levels: NDArray[np.float32]) -> bytes:
    """(steps, CONTOUR_BANDS) as bytes."""
    data: bytes = np.clip(np.rint(levels * _SCALE), -127, 127).astype(np.int8).tobytes()
    return data


def step_powers(mono: NDArray[np.float32]) -> NDArray[np.float32]:
    """(steps, WINDOW / 2 + 1) powers, every STEP samples."""
    steps = len(mono) // STEP + 1
    powers = np.zeros((steps, WINDOW // 2 + 1), np.float32)
    for first in range(0, steps, _BLOCK):
        size = min(_BLOCK, steps - first)
        frames = framed(mono, 2 * first, 2 * size - 1)[::2]
        powers[first : first + size] = power(whole_spectra(frames))
    return powers


def band_levels(powers: NDArray[np.float32], pitch: float) -> NDArray[np.float32]:
    """(steps, CONTOUR_BANDS): logarithms, freed from slow changes, with unit variance.

    ``pitch`` is how much higher the sound is than the one it is to be compared with.
    """
    loud = powers @ _shares(pitch)
    decibels = np.log(loud + _FLOOR * loud.mean(0) + 1e-9)
    fast = decibels - uniform_filter1d(decibels, _AROUND, axis=0, mode="nearest")
    spread = np.sqrt(np.mean(fast**2, axis=0)) + 1e-6
    levels: NDArray[np.float32] = np.clip(fast / spread, -3.0, 3.0).astype(np.float32)
    return levels


def _shares(pitch: float) -> NDArray[np.float32]:
    """(bins, bands): which share of each bin counts for a band; neighbours overlap by half."""
    edges = np.geomspace(_LOW_HZ, _HIGH_HZ, CONTOUR_BANDS + 2) * pitch
    bins = np.arange(WINDOW // 2 + 1)[:, None] * (RATE_HZ / WINDOW)
    up = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(up, down), 0.0, 1.0).astype(np.float32)
