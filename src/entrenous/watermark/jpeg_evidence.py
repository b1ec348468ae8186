"""Evidence for marks in a JPEG's quantised coefficients.

A quantised coefficient tells in which interval the coefficient was before rounding.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.watermark.channel import fit_channel_filter, fit_tone
from entrenous.watermark.chip_layout import ChipLayout, Shape
from entrenous.watermark.pyramid import Pixels, Plane, luma, shape_of

Planes = NDArray[np.float32]  # shape: frequencies x rows of blocks x columns of blocks
BLOCK_PX: Final = 8
_WINDOW_BLOCKS: Final = 5
# a frequency's mean over the whole picture counts as much as this many blocks
_GLOBAL_MEAN_BLOCKS: Final = 8.0
_TANH_ARGUMENT_MAX: Final = np.float32(
    6.0
)  # largest argument of tanh; beyond it, float32 cannot distinguish an interval's ends
_LOGISTIC_SCALE_PER_DEVIATION: Final = float(
    np.sqrt(3.0) / np.pi
)  # the scale of a logistic distribution divided by its standard deviation
# (pi^2 + 3) / 9: Fisher information about log s (s is the scale), without rounding
_SCALE_INFORMATION: Final = 1.43
# Fisher information about the centre for scale 1, without rounding
_CENTRE_INFORMATION: Final = 1.0 / 3.0
_LOG_SCALE_STEP_MAX: Final = 0.7  # log s changes by at most this in a round
_LOGISTIC_SCALE_RANGE: Final = (0.05, 100.0)  # allowed scales in grey levels
_FIT_ROUNDS: Final = 3  # with more rounds, the model would adapt to the mark itself
_GAIN_PRIOR: Final = 30.0
_GAIN_MAX: Final = 3.0
_ROUNDING_VARIANCE: Final = 0.08  # squared grey levels; rounding to 8 bits adds 1/12


@dataclass(frozen=True, slots=True, eq=False)
class CoefficientModel:
    """The logistic distribution of a leak's coefficients.

    Its centre is ``gain`` times the sent coefficient, and ``scale`` is its scale. ``mark`` is the
    power of a mark in each coefficient, in squared grey levels.
    """

    gain: Planes
    scale: Planes
    mark: Planes


def block_transform(plane: Plane) -> Planes:
    """Compute the 8 x 8 cosine transforms of JPEG (ITU-T T.81, A.3.3).

    The picture's edges are repeated to fill the last blocks.

    Returns: one plane for each of the 64 frequencies, in natural order.
    """
    rows, columns = plane.shape
    padded = np.pad(plane, ((0, -rows % BLOCK_PX), (0, -columns % BLOCK_PX)), mode="edge")
    tall, wide = padded.shape[0] // BLOCK_PX, padded.shape[1] // BLOCK_PX
    cosines = _cosines()
    down = cosines @ padded.reshape(tall, BLOCK_PX, wide * BLOCK_PX)
    both = (down.reshape(-1, BLOCK_PX) @ cosines.T).reshape(tall, BLOCK_PX, wide, BLOCK_PX)
    planes = both.transpose(1, 3, 0, 2).reshape(-1, tall, wide)
    return np.ascontiguousarray(planes, np.float32)


def inverse_block_transform(coefficients: Planes, shape: Shape) -> Plane:
    """Return the inverse of :func:`block_transform`, cut to (rows, columns)."""
    _, tall, wide = coefficients.shape
    separated = coefficients.reshape(BLOCK_PX, BLOCK_PX, tall, wide).transpose(2, 0, 3, 1)
    cosines = _cosines()
    across = np.ascontiguousarray(separated).reshape(-1, BLOCK_PX) @ cosines
    whole = cosines.T @ across.reshape(tall, BLOCK_PX, wide * BLOCK_PX)
    return np.ascontiguousarray(
        whole.reshape(tall * BLOCK_PX, -1)[: shape[0], : shape[1]], np.float32
    )


def _cosines() -> Planes:
    """Return the orthonormal cosine transform of eight numbers: row k is frequency k."""
    at = np.arange(BLOCK_PX)
    waves = np.cos(np.pi * (2 * at[None, :] + 1) * at[:, None] / (2 * BLOCK_PX)) / 2
    waves[0] /= np.sqrt(2)
    return np.asarray(waves, np.float32)


def regularised_local_mean(planes: Planes) -> Planes:
    """Return each frequency's mean over the surrounding blocks, mixed with its overall mean."""
    rows, columns = planes.shape[1:]
    window = (min(_WINDOW_BLOCKS, columns | 1), min(_WINDOW_BLOCKS, rows | 1))
    here = window[0] * window[1]
    share = np.float32(here / (here + _GLOBAL_MEAN_BLOCKS))
    mixed = np.empty_like(planes)
    for plane, mean in zip(planes, mixed, strict=True):
        cv2.blur(plane, window, dst=mean, borderType=cv2.BORDER_REFLECT)
    mixed *= share
    mixed += planes.mean(axis=(1, 2), keepdims=True) * (np.float32(1) - share)
    return mixed


@dataclass(frozen=True, slots=True, eq=False)
class RoundingIntervals:
    """The interval in which each coefficient of a JPEG's luma was before rounding.

    ``free`` (F, 1, 1) says for which frequencies a gain is fitted. It is 0 for the blocks' means,
    whose gain the tone curve has fitted already, and 1 for all others.
    """

    low: Planes
    high: Planes
    free: Planes

    def scaled_ends(self, sent: Planes, model: CoefficientModel) -> tuple[Planes, Planes, Planes]:
        """Return the intervals' lower ends, upper ends, and the factor 1 / (2 x scale).

        The ends are relative to the centre, and multiplied by the factor.
        """
        centre, inverse = model.gain * sent, np.float32(0.5) / model.scale
        return (self.low - centre) * inverse, (self.high - centre) * inverse, inverse

    def distance_outside(self, sent: Planes) -> Planes:
        """Return how far the sent picture's coefficients are outside the intervals."""
        distance = np.maximum(self.low - sent, sent - self.high)
        return np.asarray(np.maximum(distance, np.float32(0)), np.float32)


def rounding_intervals(
    leak: Planes, steps: NDArray[np.float32], first: int = 0
) -> RoundingIntervals:
    """Return the intervals whose values are rounded to the leak's coefficients.

    Args:
        leak: the leak's coefficients.
        steps: the quantisation steps of these frequencies, in natural order.
        first: index of the first frequency.
    """
    steps = np.maximum(steps, np.float32(1.0)).reshape(-1, 1, 1)
    low = np.rint(leak / steps)
    low -= np.float32(0.5)
    low *= steps
    free = np.arange(first, first + len(steps)).reshape(steps.shape) > 0
    return RoundingIntervals(low, low + steps, free.astype(np.float32))


def initial_model(observed: RoundingIntervals, sent: Planes, trial: Planes) -> CoefficientModel:
    """Return the initial model of the coefficients.

    The variance is the sum of 1.5 times the mark's power, the rounding variance, and twice the mean
    square of how far coefficients are outside their intervals.
    """
    mark = regularised_local_mean(trial * trial)
    spread = (
        mark * np.float32(1.5)
        + np.float32(_ROUNDING_VARIANCE)
        + 2 * regularised_local_mean(observed.distance_outside(sent) ** 2)
    )
    return CoefficientModel(
        np.ones_like(mark), np.sqrt(spread) * np.float32(_LOGISTIC_SCALE_PER_DEVIATION), mark
    )


def score_function(observed: RoundingIntervals, sent: Planes, model: CoefficientModel) -> Planes:
    """Return the derivative of the log-likelihood with respect to a shift of each coefficient.

    This uses the identity 2 * logistic(x) - 1 = tanh(x / 2).
    """
    low, high, inverse = observed.scaled_ends(sent, model)
    force = np.tanh(np.minimum(low, _TANH_ARGUMENT_MAX)) + np.tanh(
        np.maximum(high, -_TANH_ARGUMENT_MAX)
    )
    force *= inverse
    return force


def fit_model(
    observed: RoundingIntervals, sent: Planes, model: CoefficientModel
) -> CoefficientModel:
    """Fit gain and scale by maximum likelihood, with Fisher scoring in windows of blocks."""
    for _ in range(_FIT_ROUNDS):
        model = _refit_gain(observed, sent, _refit_scale(observed, sent, model))
    return model


def raise_low_spread(model: CoefficientModel) -> CoefficientModel:
    """Raise the spread to at least the combined spread of a full-strength mark and of rounding.

    Where the spread is smaller, marks were removed, so these places must not get more weight.
    """
    least = np.sqrt(model.gain**2 * model.mark + np.float32(_ROUNDING_VARIANCE)) * np.float32(
        _LOGISTIC_SCALE_PER_DEVIATION
    )
    return replace(model, scale=np.maximum(model.scale, least))


def _refit_scale(
    observed: RoundingIntervals, sent: Planes, model: CoefficientModel
) -> CoefficientModel:
    low, high, _ = observed.scaled_ends(sent, model)
    np.clip(low, -_TANH_ARGUMENT_MAX, _TANH_ARGUMENT_MAX, out=low)
    np.clip(high, -_TANH_ARGUMENT_MAX, _TANH_ARGUMENT_MAX, out=high)
    at_low, at_high = np.tanh(low), np.tanh(high)
    mass = np.maximum(at_high - at_low, np.float32(2e-7))
    slope = (low * (1 - at_low * at_low) - high * (1 - at_high * at_high)) / mass
    step = np.clip(
        regularised_local_mean(slope) / np.float32(_SCALE_INFORMATION),
        -_LOG_SCALE_STEP_MAX,
        _LOG_SCALE_STEP_MAX,
    )
    return replace(model, scale=np.clip(model.scale * np.exp(step), *_LOGISTIC_SCALE_RANGE))


def _refit_gain(
    observed: RoundingIntervals, sent: Planes, model: CoefficientModel
) -> CoefficientModel:
    force = score_function(observed, sent, model)
    known = np.square(sent / model.scale) * np.float32(_CENTRE_INFORMATION)
    part = _sum_around(sent * force) + _GAIN_PRIOR * (1 - model.gain)
    step = part / (_sum_around(known) + _GAIN_PRIOR) * observed.free
    return replace(model, gain=np.clip(model.gain + step, 0.0, _GAIN_MAX))


def _sum_around(planes: Planes) -> Planes:
    return regularised_local_mean(planes) * np.float32(_WINDOW_BLOCKS**2 + _GLOBAL_MEAN_BLOCKS)


PIXELS_MAX: Final = 4_000_000  # with more pixels, a leak takes seconds and gains little
# If a leak has more than this multiple of the pixels at the mark's working size, JPEG rounds
# details that are finer than the mark's finest chips.
_CODED_PIXELS_RATIO_MAX: Final = 2.4
# a leak with fewer pixels is always used, because that is cheap
_ALWAYS_USED_PIXELS_MAX: Final = 2_000_000
# stands for the quantisation table if a leak has none: samples are whole grey levels
UNIT_QUANTISATION_TABLE: Final = (1,) * 64
# a leak with at most this share of the pixels at the working size is used even without a table
_PIXELS_SHARE_WITHOUT_TABLE_MAX: Final = 0.5
_JPEG_LEVEL_SHIFT: Final = np.float32(128.0)
# a coefficient's likeliest shift is about this factor times the squared scale times the derivative
# of the log-likelihood
_LIKELIEST_SHIFT_FACTOR: Final = np.float32(2.0)
_FREQUENCIES_AT_ONCE: Final = 4  # this many frequencies at a time fit into the processor's cache
# frequencies are independent, so the number of threads does not change the result
_FREQUENCY_THREADS: Final = 2


def luma_quantisation_table_for(
    tables: Mapping[int, Sequence[int]] | None, found_pixels: int, plan: ChipLayout
) -> Sequence[int] | None:
    """Return the luma table for reading a leak.

    Returns: None if the leak is too large, or is neither a JPEG nor small.
    """
    working = plan.working_size[0] * plan.working_size[1]
    if found_pixels > min(
        PIXELS_MAX, max(_ALWAYS_USED_PIXELS_MAX, _CODED_PIXELS_RATIO_MAX * working)
    ):
        return None
    if tables and 0 in tables:
        return tables[0]
    small = found_pixels <= _PIXELS_SHARE_WITHOUT_TABLE_MAX * working
    return UNIT_QUANTISATION_TABLE if small else None


def coefficient_evidence_per_pixel(
    found_rgb: Pixels,
    sent_rgb: Pixels,
    covered: NDArray[np.bool_],
    table: Sequence[int] = UNIT_QUANTISATION_TABLE,
    trial: Plane | None = None,
) -> Plane:
    """Return the evidence at each pixel of the leak's grid, (h, w), or (h, w, 2) with a trial mark.

    The second plane is what the trial mark would have added to the first.

    Args:
        found_rgb: the leak, (h, w, 3) uint8, not resampled: its blocks start at the top left.
        sent_rgb: the sent picture warped to the leak's grid.
        covered: (h, w), the pixels that ``sent_rgb`` covers; elsewhere there is no evidence.
        table: the leak's luma quantisation table, 64 numbers in natural order (ITU-T T.81).
        trial: ``PreparedPicture.trial_pattern`` warped to the leak's grid.
    """
    evidence = np.zeros((*covered.shape, 1 if trial is None else 2), np.float32)
    box = _blocks_around(covered)
    marked = np.ones(covered.shape, np.float32) if trial is None else trial
    planes = _evidence_and_signal(
        luma(found_rgb[box]), sent_rgb[box], covered[box], table, marked[box]
    )
    evidence[box] = np.stack(planes[: evidence.shape[2]], axis=2)
    return evidence[:, :, 0] if trial is None else evidence


def _blocks_around(covered: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the smallest box of whole blocks around all covered pixels; at least one block."""
    down, across = np.nonzero(covered.any(axis=1))[0], np.nonzero(covered.any(axis=0))[0]
    return _block_span(down), _block_span(across)


def _block_span(at: NDArray[np.intp]) -> slice:
    first, last = (int(at[0]), int(at[-1])) if at.size else (0, 0)
    return slice(first // BLOCK_PX * BLOCK_PX, (last // BLOCK_PX + 1) * BLOCK_PX)


def _evidence_and_signal(
    found: Plane, sent_rgb: Pixels, covered: NDArray[np.bool_], table: Sequence[int], trial: Plane
) -> list[Plane]:
    """Return the evidence, and what the trial mark would add to it."""
    shape, steps = shape_of(found), np.asarray(table, np.float32)
    tone = fit_tone(found, sent_rgb, covered)
    marked = np.asarray(trial * tone.slope, np.float32)
    coded = block_transform(found - _JPEG_LEVEL_SHIFT)
    expected = np.where(covered, tone.expected, found)
    before = _map_frequencies(
        _likeliest_coefficients,
        coded,
        block_transform(expected - _JPEG_LEVEL_SHIFT),
        block_transform(marked),
        steps,
    )
    channel = fit_channel_filter(
        inverse_block_transform(before[0], shape) + _JPEG_LEVEL_SHIFT, expected, covered
    )
    kept = np.where(covered, channel.filtered(expected), found)
    sent, remaining = (
        block_transform(kept - _JPEG_LEVEL_SHIFT),
        block_transform(channel.filtered(marked)),
    )
    results = _map_frequencies(_coefficient_evidence_and_signal, coded, sent, remaining, steps)
    slope_back = np.where(covered, tone.slope, np.float32(0))
    return [
        channel.filtered(inverse_block_transform(planes, shape)) * slope_back for planes in results
    ]


def _map_frequencies(
    work: Callable[[RoundingIntervals, Planes, Planes], Planes],
    coded: Planes,
    sent: Planes,
    marked: Planes,
    steps: Plane,
) -> Planes:
    """Apply ``work`` to all frequencies, a few at a time; return (n, 64, rows, columns)."""

    def map_frequency_chunk(first: int) -> Planes:
        which = slice(first, first + _FREQUENCIES_AT_ONCE)
        return work(
            rounding_intervals(coded[which], steps[which], first), sent[which], marked[which]
        )

    with ThreadPoolExecutor(_FREQUENCY_THREADS) as threads:
        return np.concatenate(
            list(threads.map(map_frequency_chunk, range(0, len(coded), _FREQUENCIES_AT_ONCE))),
            axis=1,
        )


def _likeliest_coefficients(observed: RoundingIntervals, sent: Planes, marked: Planes) -> Planes:
    model = initial_model(observed, sent, marked)
    added = _LIKELIEST_SHIFT_FACTOR * np.square(model.scale) * score_function(observed, sent, model)
    return (sent + added)[None]


def _coefficient_evidence_and_signal(
    observed: RoundingIntervals, sent: Planes, remaining: Planes
) -> Planes:
    """Return the evidence, and what the ``remaining`` mark would add to it.

    ``remaining`` is the trial mark after the changes that the leak has undergone.
    """
    model = raise_low_spread(fit_model(observed, sent, initial_model(observed, sent, remaining)))
    force = score_function(observed, sent, model) * model.gain
    return np.stack([force, regularised_local_mean(force * force) * remaining])
