"""Mark one copy: every tile a little louder or softer, as its chip says."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from entrenous.craft.sound.layout import BANDS, HOP, TILE_BINS, TILE_FRAMES, chips
from entrenous.craft.sound.prepare import PreparedSound
from entrenous.craft.sound.rate import from_working_rate
from entrenous.craft.sound.spectrum import HALF, framed, sound_of, spectra

SMOOTH: Final = (0.25, 0.5, 0.25)  # the edges of tiles, along time and along pitch
_BLOCK: Final = 1024  # frames at a time


def embed(prepared: PreparedSound, stream: bytes) -> NDArray[np.float32]:
    """The marked samples, (n, channels) at the sound's own rate.

    The mark is linear in the chips, and the same share of every channel's own sound.
    """
    signs = chips(stream, prepared.chips).reshape(-1, BANDS)
    wanted = signs * prepared.strength
    mark = np.stack([_mark(channel, wanted) for channel in prepared.working.T], axis=1)
    added = from_working_rate(mark, prepared.rate_hz, len(prepared.samples))
    marked: NDArray[np.float32] = np.clip(prepared.samples + added, -1.0, 1.0)
    return marked


def _mark(channel: NDArray[np.float32], wanted: NDArray[np.float32]) -> NDArray[np.float32]:
    frames = len(wanted) * TILE_FRAMES
    sound = np.zeros(frames * HOP + 2 * HALF, np.float32)
    for first in range(0, frames, _BLOCK):
        size = min(_BLOCK, frames - first)
        change = field(wanted, first, size)
        part = sound_of(spectra(framed(channel, first, size)) * change)
        sound[first * HOP : first * HOP + len(part)] += part
    return sound[HALF : HALF + len(channel)]


def field(wanted: NDArray[np.float32], first: int, count: int) -> NDArray[np.float32]:
    """(count, BINS): relative changes of amplitude, from (tiles, BANDS) and smoothed at edges."""
    low = max(first // TILE_FRAMES - 1, 0)
    high = min((first + count) // TILE_FRAMES + 1, len(wanted))
    steps = np.repeat(wanted[low:high], TILE_FRAMES, axis=0)
    steps = correlate1d(steps, SMOOTH, axis=0, mode="nearest")
    start = first - low * TILE_FRAMES
    fine = np.repeat(steps[start : start + count], TILE_BINS, axis=1)
    smoothed: NDArray[np.float32] = correlate1d(fine, SMOOTH, axis=1, mode="nearest")
    return smoothed
