"""Measure how strongly a found sound shows the mark of a sent sound, after alignment.

A tile is a small part of a sound in time and frequency; a chip is the sign by which a mark changes
a tile's loudness. The evidence comes from two estimates of how much each tile's loudness changed. A
copy's score is the sum of its chips, each multiplied by the evidence for that chip.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, uniform_filter1d
from scipy.optimize import nnls

from entrenous.watermark.audio_location import (
    FoundContours,
    SoundPlace,
    compute_found_contours,
)
from entrenous.watermark.audio_mark import (
    BANDS,
    BINS,
    HALF_WINDOW_SAMPLES,
    HOP_SAMPLES,
    RATE_HZ,
    TILE_BINS,
    TILE_FRAMES,
    FractionalSamples,
    PreparedSound,
    bin_powers,
    frame_spectra,
    sum_bins_per_band,
    sum_frames_per_tile,
    to_frames,
    to_working_rate,
)
from entrenous.watermark.audio_tracking import TimePath, find_time_path
from entrenous.watermark.chip_layout import chips_of_stream
from entrenous.watermark.verdict import MatchedSpan

# a tile has this many cells of 32 ms, because echoes need a finer resolution than marks
_CELLS_PER_TILE: Final = 2
# echoes are fitted with these delays in cells, up to a third of a second
_ECHO_LAG_CELLS: Final = range(-2, 12)
_REWEIGHTING_ROUNDS: Final = 3
_RELATIVE_POWER_ERROR_MAX: Final = 1.5  # errors of a cell's relative power are clipped at this
_SMOOTHING_FRAMES: Final = 9
_DIVISION_EPSILON: Final = 1e-12


@dataclass(frozen=True, slots=True)
class TileChangeEstimates:
    """Estimates for each tile; both arrays are (tiles, BANDS).

    ``change`` is the relative change of the tile's loudness, in units of the mark's strength.
    ``information`` measures how much both sounds together tell about the change.
    """

    change: NDArray[np.float64]
    information: NDArray[np.float64]


def estimate_changes_by_phase(
    sent: NDArray[np.complex64], found: NDArray[np.complex64], strength: NDArray[np.float32]
) -> TileChangeEstimates:
    """Estimate the changes from aligned spectra (frames, BINS) of both sounds.

    ``strength`` is (tiles, BANDS).
    """
    sent_power = sum_bins_per_band(bin_powers(sent)).astype(np.float64)
    cross = _sum_complex_bins_per_band(np.conj(sent) * found)
    gain = cross.sum(0) / (sent_power.sum(0) + _DIVISION_EPSILON)
    for _ in range(_REWEIGHTING_ROUNDS):
        residual = sum_bins_per_band(
            bin_powers(found - sent * np.repeat(gain, TILE_BINS).astype(np.complex64))
        )
        weight = 1.0 / _smoothed_power(residual, sent_power)
        gain = (cross * weight).sum(0) / ((sent_power * weight).sum(0) + _DIVISION_EPSILON)
    correlation = np.real(np.conj(gain) * (cross - gain * sent_power)) * weight
    loud = np.abs(gain) ** 2 * sent_power * weight
    information = sum_frames_per_tile(loud).astype(np.float64) * strength**2
    change = sum_frames_per_tile(correlation) * strength / (information + _DIVISION_EPSILON)
    return TileChangeEstimates(change, information)


def estimate_changes_by_power(
    sent: NDArray[np.float32], found: NDArray[np.float32], strength: NDArray[np.float32]
) -> TileChangeEstimates:
    """Estimate the changes from powers (frames, BANDS) of both sounds.

    ``strength`` is (tiles, BANDS).
    """
    sent_power, found_power = _sum_frames_per_cell(sent), _sum_frames_per_cell(found)
    strong = np.repeat(strength, _CELLS_PER_TILE, axis=0)
    evidence, information = np.zeros(sent_power.shape), np.zeros(sent_power.shape)
    for band in range(BANDS):
        shifted = _echo_columns(sent_power[:, band])
        taps, expected = _fit_echoes(shifted, found_power[:, band])
        residual = np.clip(
            found_power[:, band] / expected - 1.0,
            -_RELATIVE_POWER_ERROR_MAX,
            _RELATIVE_POWER_ERROR_MAX,
        )
        for lag, tap, echo in zip(_ECHO_LAG_CELLS, taps, shifted.T, strict=False):
            if tap <= 0.0:
                continue
            # An echo's evidence is moved to the position of the tile that it is about.
            response = _shift_cells(2.0 * tap * echo / expected, -lag) * strong[:, band]
            evidence[:, band] += _shift_cells(residual, -lag) * response
            information[:, band] += response**2
    whole = information.reshape(-1, _CELLS_PER_TILE, BANDS).sum(1)
    return TileChangeEstimates(
        evidence.reshape(-1, _CELLS_PER_TILE, BANDS).sum(1) / (whole + _DIVISION_EPSILON), whole
    )


def _sum_frames_per_cell(bands: NDArray[np.float32]) -> NDArray[np.float64]:
    cells: NDArray[np.float64] = bands.reshape(-1, TILE_FRAMES // _CELLS_PER_TILE, BANDS).sum(
        1, dtype=np.float64
    )
    return cells


def _fit_echoes(
    shifted: NDArray[np.float64], found: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the non-negative weights of the echoes and of the noise floor, and the expected power.

    The noise floor is the last column of ``shifted``. A power may be wrong by as much as its own
    size, so errors are measured relative to the expected power.
    """
    least = 1e-6 * float(found.mean()) + _DIVISION_EPSILON
    expected = found + 1e-3 * float(found.mean()) + _DIVISION_EPSILON
    taps = np.zeros(shifted.shape[1])
    for _ in range(_REWEIGHTING_ROUNDS):
        taps = _solve_non_negative(shifted / expected[:, None], found / expected)
        expected = shifted @ taps + least
    return taps, expected


def _solve_non_negative(
    columns: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Solve a least-squares problem with non-negative weights (Lawson and Hanson 1974).

    The solver may fail if columns are nearly equal. Then only the sound itself and the noise floor
    are fitted.
    """
    norms = np.linalg.norm(columns, axis=0) + _DIVISION_EPSILON
    found = np.zeros(columns.shape[1])
    try:
        found, _ = nnls(columns / norms, target)
    except RuntimeError:
        kept = [-_ECHO_LAG_CELLS.start, -1]
        found[kept], _ = nnls(columns[:, kept] / norms[kept], target)
    taps: NDArray[np.float64] = found / norms
    return taps


def _echo_columns(powers: NDArray[np.float64]) -> NDArray[np.float64]:
    columns = [_shift_cells(powers, lag) for lag in _ECHO_LAG_CELLS]
    return np.stack([*columns, np.full(len(powers), powers.mean() + _DIVISION_EPSILON)], axis=1)


def _shift_cells(one: NDArray[np.float64], lag: int) -> NDArray[np.float64]:
    """Return the array shifted by ``lag`` cells and filled with zeros."""
    result = np.zeros_like(one)
    if lag > 0:
        result[lag:] = one[:-lag]
    elif lag < 0:
        result[:lag] = one[-lag:]
    else:
        result[:] = one
    return result


def _sum_complex_bins_per_band(bins: NDArray[np.complex64]) -> NDArray[np.complex128]:
    banded: NDArray[np.complex128] = bins.reshape(len(bins), BANDS, TILE_BINS).sum(
        2, dtype=np.complex128
    )
    return banded


def _smoothed_power(
    residual: NDArray[np.float32], sent_power: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the smoothed power of the residual, which is always positive."""
    smooth = uniform_filter1d(
        residual.astype(np.float64), _SMOOTHING_FRAMES, axis=0, mode="nearest"
    )
    least: NDArray[np.float64] = (
        1e-9 * sent_power.mean(0) + 1e-6 * residual.mean(0) + _DIVISION_EPSILON
    )
    level: NDArray[np.float64] = np.maximum(smooth, 0.0) + least
    return level


_BANDS_PER_GROUP: Final = 8  # the tiles of this many neighbouring bands are calibrated together
_TILE_CLASSES: Final = 12  # tiles are divided into this many classes by their information
_CHIP_MEAN_SQUARE: Final = 0.7  # mean square of a chip within its tile, whose edges are smoothed
_CLIPPING_DEVIATIONS: Final = 3.0  # values are clipped at this many standard deviations
_NOISE_VARIANCE_MIN: Final = 0.05


def chip_evidence(
    estimates: Iterable[TileChangeEstimates], covered: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the evidence (tiles, BANDS) in the found sound for every chip, from -1 to 1.

    Tiles with similar information form a class. The noise of a class is the variance of its
    estimates minus the variance that the mark causes. An estimate divided by this noise is half a
    log-likelihood ratio, whose hyperbolic tangent is the expected chip. The two kinds of estimates
    are averaged, weighted by their precision in each band. ``covered`` (tiles,) says which tiles
    the found sound covers.
    """
    total = np.zeros((len(covered), BANDS))
    weight = np.full(BANDS, _DIVISION_EPSILON)
    for estimate in estimates:
        ratio, precision = _half_log_likelihood_ratios(estimate, covered)
        total += precision * ratio
        weight += precision
    soft: NDArray[np.float64] = np.tanh(total / weight) * covered[:, None]
    return soft


def key_scores(evidence: NDArray[np.float64], streams: Iterable[bytes]) -> NDArray[np.float64]:
    """Return sum(chip x evidence) / norm(evidence) for each key stream; 0 if there is no evidence.

    docs/spec/mark.md, section 7, bounds the chance that an innocent copy scores high.
    """
    flat = evidence.ravel()
    norm = float(np.linalg.norm(flat))
    unit = flat / norm if norm > 0.0 else flat
    return np.array([float(chips_of_stream(one, unit.size) @ unit) for one in streams])


def _half_log_likelihood_ratios(
    estimate: TileChangeEstimates, covered: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return half the log-likelihood ratios (tiles, BANDS), and mean precisions (BANDS,)."""
    ratio = np.zeros(estimate.change.shape)
    precision = np.zeros(BANDS)
    inside = covered[:, None] & (estimate.information > _DIVISION_EPSILON)
    for first in range(0, BANDS, _BANDS_PER_GROUP):
        part = np.s_[:, first : first + _BANDS_PER_GROUP]
        here = inside[part]
        found, value = _clipped_and_weighted_by_class(
            estimate.change[part][here], estimate.information[part][here]
        )
        ratio[part][here] = found
        values = np.zeros(here.shape)
        values[here] = value
        precision[first : first + _BANDS_PER_GROUP] = values.sum(0) / max(1, int(covered.sum()))
    return ratio, precision


def _clipped_and_weighted_by_class(
    change: NDArray[np.float64], information: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the values, clipped and divided by the noise of their class, and 1 / noise.

    The values of a class have similar information.
    """
    ratio, value = np.zeros(change.shape), np.zeros(change.shape)
    for members in np.array_split(np.argsort(information, kind="stable"), _TILE_CLASSES):
        if len(members) == 0:
            continue
        clipped, spread = _winsorise(change[members])
        noise = max(spread - _CHIP_MEAN_SQUARE, 0.1 * spread, _NOISE_VARIANCE_MIN)
        ratio[members] = clipped / noise
        value[members] = 1.0 / noise
    return ratio, value


def _winsorise(change: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Clip values at ``_CLIPPING_DEVIATIONS`` standard deviations; return them and the variance."""
    clipped = change
    spread = float(np.mean(clipped**2)) + _DIVISION_EPSILON
    for _ in range(3):
        edge = _CLIPPING_DEVIATIONS * spread**0.5
        clipped = np.clip(clipped, -edge, edge)
        spread = float(np.mean(clipped**2)) + _DIVISION_EPSILON
    return clipped, spread


_TILES_MIN: Final = 8  # a found sound must cover at least this many tiles, half a second
_BLOCK_FRAMES: Final = 512  # frames processed at a time
_VOLUME_SMOOTHING_TILES: Final = (
    6  # the volume is smoothed with this standard deviation in tiles: 0.4 s
)
_LOUDNESS_EXPONENT: Final = 0.3
# a band's weight is the correlation of its loudness in both sounds, raised to this power
_CORRELATION_EXPONENT: Final = 12


@dataclass(frozen=True, slots=True)
class FoundSound:
    """A found sound, prepared once for comparison with all sent sounds."""

    samples: FractionalSamples
    contour: FoundContours


@dataclass(frozen=True, slots=True)
class SoundEvidence:
    """The result of detection.

    ``evidence`` (chips,) is the expected value of each chip, from -1 to 1. ``span`` is the part of
    the sent sound that was found.
    """

    evidence: NDArray[np.float64]
    span: MatchedSpan


def prepare_found_sound(samples: NDArray[np.float32], rate_hz: int) -> FoundSound:
    """Prepare (n,) or (n, channels) samples, whose channels are averaged."""
    shaped = np.asarray(samples, np.float32)
    mono = (shaped if shaped.ndim == 1 else shaped.mean(1))[:, None]
    working = to_working_rate(mono, rate_hz)[:, 0]
    return FoundSound(FractionalSamples(working), compute_found_contours(working))


def detect_mark_at_best_place(
    found: FoundSound, prepared: PreparedSound, places: Sequence[SoundPlace]
) -> SoundEvidence | None:
    """Align at the best of the places where loudness contours match, and detect the mark there.

    Returns: None if the sounds cannot be aligned, or if the found sound covers too few tiles.
    """
    path = find_time_path(found.samples, prepared.mono, places)
    if path is None:
        return None
    first, count = _covered_tile_range(path, found.samples.length, len(prepared.strength))
    if count < _TILES_MIN:
        return None
    chips = np.zeros((len(prepared.strength), BANDS))
    chips[first : first + count] = _evidence_on_path(found.samples, prepared, path, first, count)
    tile = TILE_FRAMES * HOP_SAMPLES / RATE_HZ
    return SoundEvidence(chips.ravel(), MatchedSpan(first * tile, count * tile, path.speed))


def _evidence_on_path(
    found_samples: FractionalSamples,
    prepared: PreparedSound,
    path: TimePath,
    first: int,
    count: int,
) -> NDArray[np.float64]:
    frames = count * TILE_FRAMES
    sent = frame_spectra(to_frames(prepared.mono, first * TILE_FRAMES, frames))
    aligned = _aligned_spectra(found_samples, path, first * TILE_FRAMES, frames)
    strength = prepared.strength[first : first + count]
    sent_power = sum_bins_per_band(bin_powers(sent))
    aligned /= _relative_volume(
        sum_frames_per_tile(sent_power), sum_frames_per_tile(sum_bins_per_band(bin_powers(aligned)))
    )[:, None]
    found_power = sum_bins_per_band(bin_powers(aligned))
    estimates = (
        estimate_changes_by_phase(sent, aligned, strength),
        estimate_changes_by_power(sent_power, found_power, strength),
    )
    return chip_evidence(estimates, sum_frames_per_tile(found_power).sum(1) > 0.0)


def _covered_tile_range(path: TimePath, length: int, tiles: int) -> tuple[int, int]:
    """Return the first tile that lies inside the found sound, and the number of tiles from it to
    the last such tile.

    A tile lies inside if all its frame centres do.
    """
    centres = np.arange(tiles * TILE_FRAMES, dtype=np.float64) * HOP_SAMPLES
    at = path.found_position(centres)
    inside = ((at >= 0.0) & (at < length)).reshape(tiles, TILE_FRAMES).all(1)
    under = np.flatnonzero(inside)
    return (int(under[0]), int(under[-1] - under[0] + 1)) if len(under) else (0, 0)


def _aligned_spectra(
    found_samples: FractionalSamples, path: TimePath, first: int, count: int
) -> NDArray[np.complex64]:
    """Return spectra (count, BINS) of the found sound at the sent one's times, speed and pitch."""
    aligned = np.zeros((count, BINS), np.complex64)
    for start in range(0, count, _BLOCK_FRAMES):
        size = min(_BLOCK_FRAMES, count - start)
        aligned[start : start + size] = frame_spectra(
            _aligned_frames(found_samples, path, first + start, size)
        )
    return aligned


def _aligned_frames(
    found_samples: FractionalSamples, path: TimePath, first: int, count: int
) -> NDArray[np.float32]:
    # If the pitch is unchanged, the tempo was changed by moving short pieces of the sound, not by
    # stretching them. So the samples within a frame are read at their original speed.
    if path.pitch == 1.0:
        centres = path.found_position(
            np.arange(first, first + count, dtype=np.float64) * HOP_SAMPLES
        )
        return found_samples.read(
            centres[:, None] + np.arange(-HALF_WINDOW_SAMPLES, HALF_WINDOW_SAMPLES)
        )
    start = first * HOP_SAMPLES - HALF_WINDOW_SAMPLES
    places = np.arange(
        start, start + (count - 1) * HOP_SAMPLES + 2 * HALF_WINDOW_SAMPLES, dtype=np.float64
    )
    signal = found_samples.read(path.found_position(places))
    return np.lib.stride_tricks.sliding_window_view(signal, 2 * HALF_WINDOW_SAMPLES)[::HOP_SAMPLES]


def _relative_volume(
    sent: NDArray[np.float32], aligned: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the slowly changing volume (frames,) of the found sound relative to the sent one.

    The arguments are powers (tiles, BANDS); the result is a factor of amplitudes. The loudness of
    the found sound is regressed on the loudness of the sent one; loudness is power to the 0.3
    (Stevens 1955), relative to the band's mean. Bands are weighted by their correlation, so that
    noise and coding artefacts have little effect on the result.
    """
    sent_power = (sent / (sent.mean(0) + _DIVISION_EPSILON)) ** _LOUDNESS_EXPONENT
    found_power = (aligned / (aligned.mean(0) + _DIVISION_EPSILON)) ** _LOUDNESS_EXPONENT
    covariance = ((sent_power - sent_power.mean(0)) * (found_power - found_power.mean(0))).mean(0)
    correlation = covariance / (sent_power.std(0) * found_power.std(0) + _DIVISION_EPSILON)
    weight = np.maximum(correlation, 0.0) ** _CORRELATION_EXPONENT
    cross = gaussian_filter1d(
        (weight * found_power * sent_power).sum(1), _VOLUME_SMOOTHING_TILES, mode="nearest"
    )
    square = gaussian_filter1d(
        (weight * sent_power * sent_power).sum(1), _VOLUME_SMOOTHING_TILES, mode="nearest"
    )
    loudness = (cross + _DIVISION_EPSILON) / (
        square + 0.01 * float(square.max()) + _DIVISION_EPSILON
    )
    gain = np.clip(loudness ** (0.5 / _LOUDNESS_EXPONENT), 0.1, 10.0)
    return np.repeat(gain, TILE_FRAMES).astype(np.float32)
