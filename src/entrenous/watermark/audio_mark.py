"""Marks in sounds: tiles in time and frequency made slightly louder or softer (docs/spec/sound.md).

This module contains the layout of tiles, short-time spectra, the strength of marks, and embedding.
"""

from dataclasses import dataclass
from math import gcd
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.ndimage import correlate1d, map_coordinates, spline_filter1d, uniform_filter1d
from scipy.signal import resample_poly

from entrenous.base.audio_video import SoundTooShortToMark, TooQuietToMark
from entrenous.watermark.chip_layout import chips_of_stream

RATE_HZ: Final = 16_000
WINDOW_SAMPLES: Final = 1024  # a spectrum is computed from this many samples, at RATE_HZ
HOP_SAMPLES: Final = 256  # the centres of successive spectra are this many samples apart
TILE_FRAMES: Final = 4
TILE_BINS: Final = 8  # a tile has this many bins of 15.6 Hz
FIRST_BIN: Final = 19  # below this bin, phone loudspeakers are silent
BANDS: Final = 53
BINS: Final = BANDS * TILE_BINS


def samples_at_16_khz(count: int, rate_hz: int) -> int:
    """Return the length at 16 kHz of ``count`` samples at ``rate_hz``."""
    return -(-count * RATE_HZ // rate_hz)


def tile_count(count: int, rate_hz: int) -> int:
    frames = samples_at_16_khz(count, rate_hz) // HOP_SAMPLES + 1
    return -(-frames // TILE_FRAMES)


def chips_needed(count: int, rate_hz: int) -> int:
    return tile_count(count, rate_hz) * BANDS


def key_stream_bytes(count: int, rate_hz: int) -> int:
    """Return the length of one copy's key stream in bytes."""
    return -(-chips_needed(count, rate_hz) // 8)


# with twice as many samples as needed, a cubic spline through them has an error of -50 dB
_OVERSAMPLING: Final = 2


def to_working_rate(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """Return the samples (n, channels) converted to 16 kHz."""
    up, down = _resampling_ratio(rate_hz, RATE_HZ)
    moved = resample_poly(samples, up, down, axis=0)
    fitted: NDArray[np.float32] = moved[: samples_at_16_khz(len(samples), rate_hz)]
    return fitted.astype(np.float32, copy=False)


def from_working_rate(
    samples: NDArray[np.float32], rate_hz: int, count: int
) -> NDArray[np.float32]:
    """Return the first ``count`` of (n, channels) samples at 16 kHz, converted to ``rate_hz``."""
    up, down = _resampling_ratio(RATE_HZ, rate_hz)
    moved: NDArray[np.float32] = resample_poly(samples, up, down, axis=0)[:count]
    missing = count - len(moved)
    return np.pad(moved, ((0, missing), (0, 0))) if missing > 0 else moved


class FractionalSamples:
    """One channel at 16 kHz that can be read at any position and speed.

    It is silent beyond its ends.
    """

    def __init__(self, mono: NDArray[np.float32]) -> None:
        self.length = len(mono)
        dense = resample_poly(mono, _OVERSAMPLING, 1)
        self._spline = spline_filter1d(dense, order=3, output=np.float32, mode="mirror")

    def read(self, places: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return samples at ``places`` (any shape), which are positions in samples at 16 kHz."""
        at = np.asarray(places, np.float64).ravel() * _OVERSAMPLING
        found = map_coordinates(
            self._spline, at[None], np.float32, order=3, prefilter=False, mode="constant"
        )
        shaped: NDArray[np.float32] = found.reshape(np.shape(places))
        return shaped


def _resampling_ratio(old_hz: int, new_hz: int) -> tuple[int, int]:
    common = gcd(old_hz, new_hz)
    return new_hz // common, old_hz // common


HALF_WINDOW_SAMPLES: Final = WINDOW_SAMPLES // 2
_OVERLAP: Final = WINDOW_SAMPLES // HOP_SAMPLES
_WINDOW_SQUARES_SUM: Final = 1.5  # the sum of the squares of Hann windows with fourfold overlap


def analysis_window() -> NDArray[np.float32]:
    turn = 2.0 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES
    return (0.5 - 0.5 * np.cos(turn)).astype(np.float32)


def to_frames(mono: NDArray[np.float32], first: int, count: int) -> NDArray[np.float32]:
    """Return ``count`` frames of a sound, (count, WINDOW_SAMPLES), from frame ``first`` on.

    The centres of frames are HOP_SAMPLES apart.
    """
    start, stop = (
        first * HOP_SAMPLES - HALF_WINDOW_SAMPLES,
        (first + count - 1) * HOP_SAMPLES + HALF_WINDOW_SAMPLES,
    )
    inside = mono[max(start, 0) : max(stop, 0)]
    before = max(-start, 0)
    padded = np.pad(inside, (before, max(stop - start - before - len(inside), 0)))
    return np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]


def frame_spectra(frames: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Return the spectra (frames, BINS) of frames (frames, WINDOW_SAMPLES)."""
    whole: NDArray[np.complex64] = rfft(frames * analysis_window(), axis=1)
    return np.ascontiguousarray(whole[:, FIRST_BIN : FIRST_BIN + BINS])


def whole_spectra(frames: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Return the spectra of frames with all bins, (frames, WINDOW_SAMPLES / 2 + 1)."""
    found: NDArray[np.complex64] = rfft(frames * analysis_window(), axis=1)
    return found


def invert_spectra(bins: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return the least-squares inverse of :func:`frame_spectra` (Griffin and Lim 1984).

    Returns: the samples from half a window before the first frame's centre to half a window after
        the last one's.
    """
    whole = np.zeros((len(bins), HALF_WINDOW_SAMPLES + 1), np.complex64)
    whole[:, FIRST_BIN : FIRST_BIN + BINS] = bins
    frames = irfft(whole, axis=1) * (analysis_window() / np.float32(_WINDOW_SQUARES_SUM))
    parts = frames.reshape(len(bins), _OVERLAP, HOP_SAMPLES)
    summed = np.zeros((len(bins) + _OVERLAP - 1, HOP_SAMPLES), np.float32)
    for part in range(_OVERLAP):
        summed[part : part + len(bins)] += parts[:, part]
    return summed.reshape(-1)


def sum_bins_per_band(bins: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum the bins of each band: (frames, BINS) -> (frames, BANDS)."""
    bands: NDArray[np.float32] = bins.reshape(len(bins), BANDS, TILE_BINS).sum(2)
    return bands


def sum_frames_per_tile(bands: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum the frames of each tile: (frames, bands) -> (tiles, bands).

    The last tile may have fewer frames.
    """
    missing = -len(bands) % TILE_FRAMES
    whole = np.pad(bands, ((0, missing), (0, 0)))
    tiles: NDArray[np.float32] = whole.reshape(-1, TILE_FRAMES, bands.shape[1]).sum(1)
    return tiles


def bin_powers(bins: NDArray[np.complex64]) -> NDArray[np.float32]:
    squares: NDArray[np.float32] = bins.real**2 + bins.imag**2
    return squares


LENGTH_S_MIN: Final = 1.0
# where a sound changes quickly, a chip changes its amplitude by this share: 0.83 dB
MARK_STRENGTH: Final = 0.1
STEADY_TONE_STRENGTH_SHARE: Final = 0.4  # a steady tone gets this share of MARK_STRENGTH
# a band changes quickly if its level varies by at least this much around a tile
_FULL_STRENGTH_VARIATION_DB: Final = 4.0
_NEIGHBOURHOOD_TILES: Final = 9  # number of tiles around a tile: 0.6 s
_SILENCE_MEAN_SQUARE: Final = 1e-8  # -80 dB relative to full scale, which is 1
_BLOCK_FRAMES: Final = 1024  # frames processed at a time, to save memory


@dataclass(frozen=True, slots=True)
class PreparedSound:
    """A sound prepared for marking or detection.

    ``samples`` (n, channels) are at ``rate_hz``; ``working`` has the same sound at 16 kHz, and
    ``mono`` is the mean of its channels. ``strength`` (tiles, BANDS) is the share of a tile's
    amplitude by which its chip changes it.
    """

    samples: NDArray[np.float32]
    rate_hz: int
    working: NDArray[np.float32]
    mono: NDArray[np.float32]
    strength: NDArray[np.float32]

    @property
    def chip_count(self) -> int:
        return self.strength.size


def prepare_sound(samples: NDArray[np.float32], rate_hz: int) -> PreparedSound:
    """Prepare (n,) or (n, channels) samples, which range from -1 to 1, for marking or detection.

    Raises:
        SoundTooShortToMark: the sound is shorter than ``LENGTH_S_MIN`` seconds.
        TooQuietToMark: the sound is silent.
    """
    shaped = np.asarray(samples, np.float32)
    shaped = shaped[:, None] if shaped.ndim == 1 else shaped
    if len(shaped) < LENGTH_S_MIN * rate_hz:
        raise SoundTooShortToMark(length_s=f"{len(shaped) / rate_hz:.1f}", limit_s=LENGTH_S_MIN)
    working = to_working_rate(shaped, rate_hz)
    mono = working.mean(1)
    level = tile_power(mono, tile_count(len(shaped), rate_hz))
    strength = _mark_strength(level)
    if not strength.any():
        raise TooQuietToMark
    if strength.size != chips_needed(len(shaped), rate_hz):
        raise AssertionError("there must be one strength per chip")
    return PreparedSound(shaped, rate_hz, working, mono, strength)


def tile_power(mono: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return each tile's sum of squared magnitudes (count, BANDS), for a sound at 16 kHz."""
    level = np.zeros((count, BANDS), np.float32)
    frames = count * TILE_FRAMES
    for first in range(0, frames, _BLOCK_FRAMES):
        size = min(_BLOCK_FRAMES, frames - first)
        block = sum_frames_per_tile(
            sum_bins_per_band(bin_powers(frame_spectra(to_frames(mono, first, size))))
        )
        level[first // TILE_FRAMES : first // TILE_FRAMES + len(block)] = block
    return level


def _mark_strength(level: NDArray[np.float32]) -> NDArray[np.float32]:
    decibels = 10.0 * np.log10(level + 1e-9)
    mean = uniform_filter1d(decibels, _NEIGHBOURHOOD_TILES, axis=0, mode="nearest")
    square = uniform_filter1d(decibels**2, _NEIGHBOURHOOD_TILES, axis=0, mode="nearest")
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    variation = np.minimum(spread / _FULL_STRENGTH_VARIATION_DB, 1.0)
    # A tile has TILE_FRAMES Hann windows; the power of each is 3/8 WINDOW_SAMPLES^2 / 2 for a tone
    # whose mean square is 1.
    audible = level > _SILENCE_MEAN_SQUARE * TILE_FRAMES * 0.1875 * WINDOW_SAMPLES**2
    strength: NDArray[np.float32] = (
        MARK_STRENGTH
        * (STEADY_TONE_STRENGTH_SHARE + (1.0 - STEADY_TONE_STRENGTH_SHARE) * variation)
        * audible
    )
    return strength.astype(np.float32)


TILE_SMOOTHING_KERNEL: Final = (
    0.25,
    0.5,
    0.25,
)  # smooths the edges of tiles in time and in frequency


def embed_sound_mark(prepared: PreparedSound, stream: bytes) -> NDArray[np.float32]:
    """Return the marked samples, (n, channels) at the sound's own rate.

    The mark is linear in the chips, and changes the sound of every channel by the same share.
    """
    signs = chips_of_stream(stream, prepared.chip_count).reshape(-1, BANDS)
    wanted = signs * prepared.strength
    mark = np.stack([_channel_mark(channel, wanted) for channel in prepared.working.T], axis=1)
    added = from_working_rate(mark, prepared.rate_hz, len(prepared.samples))
    marked: NDArray[np.float32] = np.clip(prepared.samples + added, -1.0, 1.0)
    return marked


def _channel_mark(
    channel: NDArray[np.float32], tile_changes: NDArray[np.float32]
) -> NDArray[np.float32]:
    frames = len(tile_changes) * TILE_FRAMES
    sound = np.zeros(frames * HOP_SAMPLES + 2 * HALF_WINDOW_SAMPLES, np.float32)
    for first in range(0, frames, _BLOCK_FRAMES):
        size = min(_BLOCK_FRAMES, frames - first)
        change = amplitude_changes(tile_changes, first, size)
        part = invert_spectra(frame_spectra(to_frames(channel, first, size)) * change)
        sound[first * HOP_SAMPLES : first * HOP_SAMPLES + len(part)] += part
    return sound[HALF_WINDOW_SAMPLES : HALF_WINDOW_SAMPLES + len(channel)]


def amplitude_changes(
    tile_changes: NDArray[np.float32], first: int, count: int
) -> NDArray[np.float32]:
    """Return the relative changes of amplitude (count, BINS) in the frames from ``first`` on.

    ``tile_changes`` (tiles, BANDS) is the change of each tile: its chip times its strength. The
    edges of tiles are smoothed.
    """
    low = max(first // TILE_FRAMES - 1, 0)
    high = min((first + count) // TILE_FRAMES + 1, len(tile_changes))
    steps = np.repeat(tile_changes[low:high], TILE_FRAMES, axis=0)
    steps = correlate1d(steps, TILE_SMOOTHING_KERNEL, axis=0, mode="nearest")
    start = first - low * TILE_FRAMES
    fine = np.repeat(steps[start : start + count], TILE_BINS, axis=1)
    smoothed: NDArray[np.float32] = correlate1d(fine, TILE_SMOOTHING_KERNEL, axis=1, mode="nearest")
    return smoothed
