"""What a found sound says about the chips of a sent one: aligned, then measured.

Evidence for each chip comes from two estimates of the loudness of its tiles; the scores are sums
of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, uniform_filter1d
from scipy.optimize import nnls

from entrenous.watermark.audio_location import (
    FoundContour,
    Place,
    contour,
    found_contour,
    locate,
    read_contour,
)
from entrenous.watermark.audio_mark import (
    BANDS,
    BINS,
    HALF,
    HOP,
    RATE_HZ,
    TILE_BINS,
    TILE_FRAMES,
    FractionalSamples,
    PreparedSound,
    at_working_rate,
    by_band,
    by_tile,
    chips,
    framed,
    power,
    spectra,
)
from entrenous.watermark.audio_tracking import Path, follow
from entrenous.watermark.verdict import Span

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


_GROUP: Final = 8  # neighbouring bands whose tiles are judged together
_CLASSES: Final = 12  # of tiles with about as much information
_MARK: Final = 0.7  # mean square of what a chip leaves in its own tile (edges are smoothed)
_TAIL: Final = 3.0  # standard deviations
_SPREAD_MIN: Final = 0.05


def evidence(ways: Iterable[Estimates], heard: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(tiles, BANDS): what the found sound says about every chip, within -1 .. 1.

    A class of tiles that promised the same information is worth what its estimates scatter: their
    variance, less the mark's own, turns an estimate into half a log-likelihood ratio; its
    hyperbolic tangent is the expected chip. Ways are averaged by what they are worth per band.
    ``heard`` (tiles,) tells which tiles the found sound covers.
    """
    total = np.zeros((len(heard), BANDS))
    weight = np.full(BANDS, _TINY)
    for way in ways:
        ratio, worth = _calibrated(way, heard)
        total += worth * ratio
        weight += worth
    soft: NDArray[np.float64] = np.tanh(total / weight) * heard[:, None]
    return soft


def scores(evidence: NDArray[np.float64], streams: Iterable[bytes]) -> NDArray[np.float64]:
    """sum(chip x evidence) / norm(evidence), one per key stream; 0 without any evidence.

    The chance that an innocent copy scores high is bounded in docs/spec/mark.md, section 7.
    """
    flat = evidence.ravel()
    norm = float(np.linalg.norm(flat))
    unit = flat / norm if norm > 0.0 else flat
    return np.array([float(chips(one, unit.size) @ unit) for one in streams])


def _calibrated(
    way: Estimates, heard: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Half log-likelihood ratios (tiles, BANDS), and how much a band of them is worth (BANDS,)."""
    ratio = np.zeros(way.change.shape)
    worth = np.zeros(BANDS)
    inside = heard[:, None] & (way.information > _TINY)
    for first in range(0, BANDS, _GROUP):
        part = np.s_[:, first : first + _GROUP]
        here = inside[part]
        found, value = _by_class(way.change[part][here], way.information[part][here])
        ratio[part][here] = found
        values = np.zeros(here.shape)
        values[here] = value
        worth[first : first + _GROUP] = values.sum(0) / max(1, int(heard.sum()))
    return ratio, worth


def _by_class(
    change: NDArray[np.float64], information: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ratio, value = np.zeros(change.shape), np.zeros(change.shape)
    for members in np.array_split(np.argsort(information, kind="stable"), _CLASSES):
        if len(members) == 0:
            continue
        clipped, spread = _winsorised(change[members])
        noise = max(spread - _MARK, 0.1 * spread, _SPREAD_MIN)
        ratio[members] = clipped / noise
        value[members] = 1.0 / noise
    return ratio, value


def _winsorised(change: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Values clipped at ``_TAIL`` standard deviations, and their mean square."""
    clipped = change
    spread = float(np.mean(clipped**2)) + _TINY
    for _ in range(3):
        edge = _TAIL * spread**0.5
        clipped = np.clip(clipped, -edge, edge)
        spread = float(np.mean(clipped**2)) + _TINY
    return clipped, spread


_TILES_MIN: Final = 8  # half a second
_BLOCK: Final = 512  # frames at a time
_VOLUME_TILES: Final = 6  # standard deviation of the smoothing: 0.4 s
_LOUDNESS: Final = 0.3
_TRUST: Final = 12  # exponent of a band's correlation


@dataclass(frozen=True, slots=True)
class FoundSound:
    """A found sound, made ready once for all sent ones."""

    tape: FractionalSamples
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
    return FoundSound(FractionalSamples(working), found_contour(working))


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
    tape: FractionalSamples, prepared: PreparedSound, path: Path, first: int, count: int
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


def _laid(tape: FractionalSamples, path: Path, first: int, count: int) -> NDArray[np.complex64]:
    """(count, BINS) spectra of the found sound at the sent one's times, speed and pitch."""
    laid = np.zeros((count, BINS), np.complex64)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        laid[start : start + size] = spectra(_stretches(tape, path, first + start, size))
    return laid


def _stretches(tape: FractionalSamples, path: Path, first: int, count: int) -> NDArray[np.float32]:
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
