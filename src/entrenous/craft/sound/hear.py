"""What a found sound says about the chips of a sent one: laid on it, then listened to.

Nothing here takes a key, a stream, a recipient or a score.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from entrenous.craft.sound.contour import contour, read_contour
from entrenous.craft.sound.estimates import by_phase, by_power
from entrenous.craft.sound.follow import Path, follow
from entrenous.craft.sound.layout import BANDS, BINS, HOP, RATE_HZ, TILE_FRAMES
from entrenous.craft.sound.listen import evidence
from entrenous.craft.sound.locate import FoundContour, Place, found_contour, locate
from entrenous.craft.sound.prepare import PreparedSound
from entrenous.craft.sound.rate import Tape, at_working_rate
from entrenous.craft.sound.spectrum import HALF, by_band, by_tile, framed, power, spectra
from entrenous.model.verdict import Span

_TILES_MIN: Final = 8  # half a second
_BLOCK: Final = 512  # frames at a time
_VOLUME_TILES: Final = 6  # standard deviation of the smoothing: 0.4 s
_LOUDNESS: Final = 0.3
_TRUST: Final = 12  # exponent of a band's correlation
_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True)
class FoundSound:
    """A found sound, made ready once for all sent ones."""

    tape: Tape
    contour: FoundContour


@dataclass(frozen=True, slots=True)
class HeardSound:
    """``evidence`` (chips,) within -1 .. 1, about the expected chip; where the found one lies."""

    evidence: NDArray[np.float64]
    span: Span


def found_sound(samples: NDArray[np.float32], rate_hz: int) -> FoundSound:
    """Make (n,) or (n, channels) samples ready; channels are mixed."""
    shaped = np.asarray(samples, np.float32)
    mono = (shaped if shaped.ndim == 1 else shaped.mean(1))[:, None]
    working = at_working_rate(mono, rate_hz)[:, 0]
    return FoundSound(Tape(working), found_contour(working))


def hear(samples: NDArray[np.float32], rate_hz: int, prepared: PreparedSound) -> HeardSound | None:
    """Find, lay and listen; None when the found sound lies nowhere on the sent one."""
    found = found_sound(samples, rate_hz)
    sent = read_contour(contour(prepared.mono))
    return hear_at(found, prepared, locate(found.contour, sent))


def hear_at(
    found: FoundSound, prepared: PreparedSound, places: Sequence[Place]
) -> HeardSound | None:
    """Lay and listen, once contours have told where it may be."""
    path = follow(found.tape, prepared.mono, places)
    if path is None:
        return None
    first, count = _tiles_under(path, found.tape.length, len(prepared.strength))
    if count < _TILES_MIN:
        return None
    chips = np.zeros((len(prepared.strength), BANDS))
    chips[first : first + count] = _evidence(found.tape, prepared, path, first, count)
    tile = TILE_FRAMES * HOP / RATE_HZ
    return HeardSound(chips.ravel(), Span(first * tile, count * tile, path.speed))


def _evidence(
    tape: Tape, prepared: PreparedSound, path: Path, first: int, count: int
) -> NDArray[np.float64]:
    frames = count * TILE_FRAMES
    sent = spectra(framed(prepared.mono, first * TILE_FRAMES, frames))
    laid = _laid(tape, path, first * TILE_FRAMES, frames)
    strength = prepared.strength[first : first + count]
    own = by_band(power(sent))
    laid /= _volume(by_tile(own), by_tile(by_band(power(laid))))[:, None]
    other = by_band(power(laid))
    ways = (by_phase(sent, laid, strength), by_power(own, other, strength))
    return evidence(ways, by_tile(other).sum(1) > 0.0)


def _tiles_under(path: Path, length: int, tiles: int) -> tuple[int, int]:
    """First and number of the tiles whose frames' centres all lie inside the found sound."""
    centres = np.arange(tiles * TILE_FRAMES, dtype=np.float64) * HOP
    at = path.place(centres)
    inside = ((at >= 0.0) & (at < length)).reshape(tiles, TILE_FRAMES).all(1)
    under = np.flatnonzero(inside)
    return (int(under[0]), int(under[-1] - under[0] + 1)) if len(under) else (0, 0)


def _laid(tape: Tape, path: Path, first: int, count: int) -> NDArray[np.complex64]:
    """(count, BINS) spectra of the found sound at the sent one's times, speed and pitch."""
    laid = np.zeros((count, BINS), np.complex64)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        laid[start : start + size] = spectra(_stretches(tape, path, first + start, size))
    return laid


def _stretches(tape: Tape, path: Path, first: int, count: int) -> NDArray[np.float32]:
    if path.pitch == 1.0:  # the tempo alone was changed: whole stretches were moved
        centres = path.place(np.arange(first, first + count, dtype=np.float64) * HOP)
        return tape.read(centres[:, None] + np.arange(-HALF, HALF))
    start = first * HOP - HALF
    places = np.arange(start, start + (count - 1) * HOP + 2 * HALF, dtype=np.float64)
    signal = tape.read(path.place(places))
    return np.lib.stride_tricks.sliding_window_view(signal, 2 * HALF)[::HOP]


def _volume(sent: NDArray[np.float32], laid: NDArray[np.float32]) -> NDArray[np.float32]:
    """(frames,): how much louder the found sound is, as it slowly changes, from (tiles, BANDS).

    Regression of loudness (Stevens 1955: power to the 0.3) on loudness. Only bands count in which
    both rise and fall together, so that noise and what a codec made up change little.
    """
    own = (sent / (sent.mean(0) + _TINY)) ** _LOUDNESS
    other = (laid / (laid.mean(0) + _TINY)) ** _LOUDNESS
    together = ((own - own.mean(0)) * (other - other.mean(0))).mean(0)
    alike = together / (own.std(0) * other.std(0) + _TINY)
    weight = np.maximum(alike, 0.0) ** _TRUST
    both = gaussian_filter1d((weight * other * own).sum(1), _VOLUME_TILES, mode="nearest")
    square = gaussian_filter1d((weight * own * own).sum(1), _VOLUME_TILES, mode="nearest")
    louder = (both + _TINY) / (square + 0.01 * float(square.max()) + _TINY)
    gain = np.clip(louder ** (0.5 / _LOUDNESS), 0.1, 10.0)
    return np.repeat(gain, TILE_FRAMES).astype(np.float32)
