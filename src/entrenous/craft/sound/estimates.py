"""Two ways to hear by how much every tile of a found sound is louder or softer than it should be.

*By phase*: the found spectrum regressed on the sent one. Codecs that keep the wave (CELP at low
pitches, MP3, AAC) are heard this way even where they add as much noise as there is sound.
*By power*: powers of half tiles regressed on the sent ones, their echoes and a floor. Rooms,
loudspeakers and noise leave the phase in ruins and the power readable.

Nothing here knows a key. Both answer with an estimate u per tile (1: all of a mark's strength, up;
-1: down) and its information j (how much evidence a tile holds, in units of one's own).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.optimize import nnls

from entrenous.craft.sound.layout import BANDS, TILE_BINS, TILE_FRAMES
from entrenous.craft.sound.spectrum import by_band, by_tile, power

_CELLS: Final = 2  # of 32 ms each, in a tile: echoes are told more finely than marks
_LAGS: Final = range(-2, 12)  # cells: echoes of up to a third of a second
_ROUNDS: Final = 3
_CLIP: Final = 1.5  # of a cell's relative power
_REST_FRAMES: Final = 9
_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Estimates:
    """(tiles, BANDS) each: relative change in units of the mark's strength, and information."""

    change: NDArray[np.float64]
    information: NDArray[np.float64]


def by_phase(
    sent: NDArray[np.complex64], found: NDArray[np.complex64], strength: NDArray[np.float32]
) -> Estimates:
    """From (frames, BINS) spectra of both, laid on each other; strength is (tiles, BANDS)."""
    own = by_band(power(sent)).astype(np.float64)
    both = _banded(np.conj(sent) * found)
    gain = both.sum(0) / (own.sum(0) + _TINY)
    for _ in range(_ROUNDS):
        rest = by_band(power(found - sent * _fine(gain)))
        weight = 1.0 / _level(rest, own)
        gain = (both * weight).sum(0) / ((own * weight).sum(0) + _TINY)
    heard = np.real(np.conj(gain) * (both - gain * own)) * weight
    loud = np.abs(gain) ** 2 * own * weight
    information = by_tile(loud).astype(np.float64) * strength**2
    change = by_tile(heard) * strength / (information + _TINY)
    return Estimates(change, information)


def by_power(
    sent: NDArray[np.float32], found: NDArray[np.float32], strength: NDArray[np.float32]
) -> Estimates:
    """From (frames, BANDS) powers of both; strength is (tiles, BANDS)."""
    own, other = _cells(sent), _cells(found)
    strong = np.repeat(strength, _CELLS, axis=0)
    evidence, information = np.zeros(own.shape), np.zeros(own.shape)
    for band in range(BANDS):
        shifted = _echoes(own[:, band])
        taps, expected = _fit(shifted, other[:, band])
        rest = np.clip(other[:, band] / expected - 1.0, -_CLIP, _CLIP)
        for lag, tap, echo in zip(_LAGS, taps, shifted.T, strict=False):
            if tap <= 0.0:
                continue
            # What an echo says about a tile is told at the tile's own place.
            response = _moved(2.0 * tap * echo / expected, -lag) * strong[:, band]
            evidence[:, band] += _moved(rest, -lag) * response
            information[:, band] += response**2
    whole = information.reshape(-1, _CELLS, BANDS).sum(1)
    return Estimates(evidence.reshape(-1, _CELLS, BANDS).sum(1) / (whole + _TINY), whole)


def _cells(bands: NDArray[np.float32]) -> NDArray[np.float64]:
    cells: NDArray[np.float64] = bands.reshape(-1, TILE_FRAMES // _CELLS, BANDS).sum(
        1, dtype=np.float64
    )
    return cells


def _fit(
    shifted: NDArray[np.float64], found: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights >= 0 of the echoes and the floor; the last column of ``shifted`` is the floor.

    A power's error is as large as itself, so errors are taken relative to the expectation.
    """
    least = 1e-6 * float(found.mean()) + _TINY
    expected = found + 1e-3 * float(found.mean()) + _TINY
    taps = np.zeros(shifted.shape[1])
    for _ in range(_ROUNDS):
        taps = _not_negative(shifted / expected[:, None], found / expected)
        expected = shifted @ taps + least
    return taps, expected


def _not_negative(columns: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares with weights >= 0 (Lawson and Hanson 1974); nearly equal columns may defeat the
    solver, and then the sound itself and the floor must do.
    """
    norms = np.linalg.norm(columns, axis=0) + _TINY
    found = np.zeros(columns.shape[1])
    try:
        found, _ = nnls(columns / norms, wanted)
    except RuntimeError:
        kept = [-_LAGS.start, -1]
        found[kept], _ = nnls(columns[:, kept] / norms[kept], wanted)
    taps: NDArray[np.float64] = found / norms
    return taps


def _echoes(one: NDArray[np.float64]) -> NDArray[np.float64]:
    columns = [_moved(one, lag) for lag in _LAGS]
    return np.stack([*columns, np.full(len(one), one.mean() + _TINY)], axis=1)


def _moved(one: NDArray[np.float64], lag: int) -> NDArray[np.float64]:
    """Later by ``lag`` tiles, zeros in the gap."""
    moved = np.zeros_like(one)
    if lag > 0:
        moved[lag:] = one[:-lag]
    elif lag < 0:
        moved[:lag] = one[-lag:]
    else:
        moved[:] = one
    return moved


def _banded(bins: NDArray[np.complex64]) -> NDArray[np.complex128]:
    banded: NDArray[np.complex128] = bins.reshape(len(bins), BANDS, TILE_BINS).sum(
        2, dtype=np.complex128
    )
    return banded


def _fine(gain: NDArray[np.complex128]) -> NDArray[np.complex64]:
    return np.repeat(gain, TILE_BINS).astype(np.complex64)


def _level(rest: NDArray[np.float32], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smoothed power of the rest, never quite zero."""
    smooth = uniform_filter1d(rest.astype(np.float64), _REST_FRAMES, axis=0, mode="nearest")
    least: NDArray[np.float64] = 1e-9 * own.mean(0) + 1e-6 * rest.mean(0) + _TINY
    level: NDArray[np.float64] = np.maximum(smooth, 0.0) + least
    return level
