"""Measure a sound once: its samples at the working rate, and how strong a mark it hides.

A mark makes a tile louder or softer, so it is shaped like the sound itself and silence stays
silent. How much a tile may change without being heard depends on how steady the sound is there: a
tone that is held betrays a flutter of 0.4 dB, noise and speech hide 1 dB (Zwicker and Fastl 1990,
chapter 7; Viemeister 1979 for modulation). docs/spec/sound.md, section 4.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from entrenous.craft.sound.layout import (
    BANDS,
    HOP,
    RATE_HZ,
    TILE_FRAMES,
    WINDOW,
    chips_needed,
    tiles,
)
from entrenous.craft.sound.rate import at_working_rate
from entrenous.craft.sound.spectrum import by_band, by_tile, framed, power, spectra
from entrenous.model.sound import SoundTooShortToMark, TooQuietToMark

LENGTH_S_MIN: Final = 1.0
STRENGTH: Final = 0.1  # of amplitude, where a sound is lively: 0.83 dB
STEADY: Final = 0.4  # share of it that a held tone still hides
_LIVELY_DB: Final = 4.0  # spread of a band's level around a tile, in its neighbourhood
_AROUND: Final = 9  # tiles: 0.6 s
_SILENCE: Final = 1e-8  # mean square, full scale 1: -80 dB
_BLOCK: Final = 1024  # frames at a time, for memory's sake


@dataclass(frozen=True, slots=True)
class PreparedSound:
    """A sound about to be marked, or listened for.

    ``samples`` are (n, channels) at ``rate_hz``; ``working`` the same at 16 kHz; ``mono`` the mean
    of its channels; ``strength`` (tiles, BANDS) how much of a tile's amplitude a chip changes.
    """

    samples: NDArray[np.float32]
    rate_hz: int
    working: NDArray[np.float32]
    mono: NDArray[np.float32]
    strength: NDArray[np.float32]

    @property
    def chips(self) -> int:
        """Number of chips that this sound carries."""
        return self.strength.size


def prepare(samples: NDArray[np.float32], rate_hz: int) -> PreparedSound:
    """Measure (n,) or (n, channels) samples, full scale 1.

    Raises:
        SoundTooShortToMark: it plays less than ``LENGTH_S_MIN`` seconds.
        TooQuietToMark: it is silence.
    """
    shaped = np.asarray(samples, np.float32)
    shaped = shaped[:, None] if shaped.ndim == 1 else shaped
    if len(shaped) < LENGTH_S_MIN * rate_hz:
        raise SoundTooShortToMark(length_s=f"{len(shaped) / rate_hz:.1f}", limit_s=LENGTH_S_MIN)
    working = at_working_rate(shaped, rate_hz)
    mono = working.mean(1)
    level = tile_power(mono, tiles(len(shaped), rate_hz))
    strength = _strength(level)
    if not strength.any():
        raise TooQuietToMark
    if strength.size != chips_needed(len(shaped), rate_hz):
        raise AssertionError("one strength for every chip")
    return PreparedSound(shaped, rate_hz, working, mono, strength)


def tile_power(mono: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """(count, BANDS): summed squared magnitudes of every tile of a sound at 16 kHz."""
    level = np.zeros((count, BANDS), np.float32)
    frames = count * TILE_FRAMES
    for first in range(0, frames, _BLOCK):
        size = min(_BLOCK, frames - first)
        block = by_tile(by_band(power(spectra(framed(mono, first, size)))))
        level[first // TILE_FRAMES : first // TILE_FRAMES + len(block)] = block
    return level


def _strength(level: NDArray[np.float32]) -> NDArray[np.float32]:
    decibels = 10.0 * np.log10(level + 1e-9)
    mean = uniform_filter1d(decibels, _AROUND, axis=0, mode="nearest")
    square = uniform_filter1d(decibels**2, _AROUND, axis=0, mode="nearest")
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    lively = np.minimum(spread / _LIVELY_DB, 1.0)
    # A tile's power is that of TILE_FRAMES Hann windows: 3/8 WINDOW^2 / 2 for a full-scale tone.
    audible = level > _SILENCE * TILE_FRAMES * 0.1875 * WINDOW**2
    strength: NDArray[np.float32] = STRENGTH * (STEADY + (1.0 - STEADY) * lively) * audible
    return strength.astype(np.float32)


def tile_s() -> float:
    """Seconds from one tile to the next."""
    return TILE_FRAMES * HOP / RATE_HZ
