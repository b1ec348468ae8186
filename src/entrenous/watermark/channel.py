"""Estimate and undo changes that a leak has undergone: tone curve, blur, resizing, sharpening.

The remaining difference from the sent picture contains the mark. The reliability of this difference
varies from place to place.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from entrenous.watermark.chip_layout import Shape
from entrenous.watermark.pyramid import (
    Pixels,
    Plane,
    apply_curve,
    chroma,
    detail_pyramid,
    gaussian_pyramid,
    luma,
    shape_of,
)

_KERNEL_SIGMA_LEVELS: Final = 5.0  # standard deviation of the regression's kernel in grey levels
_GREY_LEVELS: Final = 256
# the tone curve has this many steps per grey level, which is finer than any rounding
_STEPS_PER_LEVEL: Final = 64
# a level gets its own estimate only if the kernel gives it the weight of this many pixels
_KERNEL_WEIGHT_MIN: Final = 20.0
_SLOPE_PRIOR: Final = 4.0  # in squared grey levels; pulls slopes towards the overall one
_SLOPE_SHARE_MIN: Final = 0.2  # a slope is at least this share of the overall slope
_FIT_PIXELS: Final = 300_000


@dataclass(frozen=True, slots=True, eq=False)
class FittedTone:
    """The sent picture with the leak's tones, and the slope of the tone curve at each pixel."""

    expected: Plane
    slope: Plane


def fit_tone(leak: Plane, sent_rgb: Pixels, covered: NDArray[np.bool_]) -> FittedTone:
    """Fit the tone curve of a leak; both pictures are on the same grid.

    Args:
        leak: luma of the leak, (H, W), in grey levels.
        sent_rgb: (H, W, 3) uint8.
        covered: where the leak shows the sent picture.
    """
    sent = luma(sent_rgb)
    step = max(1, sent.size // _FIT_PIXELS)
    keep = covered.ravel()[::step]
    curve, slope = _local_linear_regression(sent.ravel()[::step][keep], leak.ravel()[::step][keep])
    levels = np.linspace(0.0, _GREY_LEVELS - 1.0, (_GREY_LEVELS - 1) * _STEPS_PER_LEVEL + 1)
    expected = apply_curve(sent, levels, np.interp(levels, np.arange(_GREY_LEVELS), curve))
    red, blue = chroma(sent_rgb, sent)
    gains = _chroma_gains(leak - expected, red, blue, covered, step)
    expected += gains[0] * red + gains[1] * blue
    slopes = apply_curve(sent, np.arange(_GREY_LEVELS, dtype=np.float64), slope)
    return FittedTone(expected, slopes)


def _local_linear_regression(
    sent: Plane, leak: Plane
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (values, slopes), 256 each, by local linear regression.

    The leak is regressed on the sent picture around every grey level.
    """
    at = np.clip(np.rint(sent), 0, _GREY_LEVELS - 1).astype(np.int64)
    levels = np.arange(_GREY_LEVELS, dtype=np.float64)
    count = np.bincount(at, minlength=_GREY_LEVELS).astype(np.float64)
    total = np.bincount(at, weights=leak, minlength=_GREY_LEVELS)
    kernel = _smoothing_kernel()
    weight, first, second, value, cross = (
        np.convolve(moment, kernel, mode="same")
        for moment in (count, count * levels, count * levels**2, total, total * levels)
    )
    weight_or_one = np.maximum(weight, 1e-9)
    mean, leak_mean = first / weight_or_one, value / weight_or_one
    spread = np.maximum(second / weight_or_one - mean**2, 0.0)
    overall = _overall_slope(weight, mean, leak_mean)
    # the prior keeps rare levels and flat tones from getting random slopes
    slope = cross / weight_or_one - mean * leak_mean + _SLOPE_PRIOR * overall
    slope = _with_overall_sign_and_minimum(slope / (spread + _SLOPE_PRIOR), overall)
    known = weight * _KERNEL_SIGMA_LEVELS * np.sqrt(2.0 * np.pi) >= _KERNEL_WEIGHT_MIN
    if not known.any():
        return levels, np.ones(_GREY_LEVELS)
    curve = np.interp(levels, levels[known], (leak_mean + slope * (levels - mean))[known])
    return curve, np.interp(levels, levels[known], slope[known])


def _smoothing_kernel() -> NDArray[np.float64]:
    at = np.arange(-round(4 * _KERNEL_SIGMA_LEVELS), round(4 * _KERNEL_SIGMA_LEVELS) + 1)
    weights = np.exp(-0.5 * (at / _KERNEL_SIGMA_LEVELS) ** 2)
    return np.asarray(weights / weights.sum())


def _overall_slope(
    weight: NDArray[np.float64], sent: NDArray[np.float64], leak: NDArray[np.float64]
) -> float:
    """Return the slope of the regression over all levels; 1 if there is only one level."""
    share = weight / max(float(weight.sum()), 1e-9)
    centred = sent - float(share @ sent)
    spread = float(share @ centred**2)
    return float(share @ (centred * leak)) / spread if spread > 1.0 else 1.0


def _with_overall_sign_and_minimum(
    slope: NDArray[np.float64], overall: float
) -> NDArray[np.float64]:
    """Give all slopes the sign of the overall slope; a slope of the other sign is noise."""
    sign = -1.0 if overall < 0.0 else 1.0
    return sign * np.maximum(sign * slope, _SLOPE_SHARE_MIN * abs(overall))


def _chroma_gains(
    residual: Plane, red: Plane, blue: Plane, covered: NDArray[np.bool_], step: int
) -> tuple[np.float32, np.float32]:
    keep = covered.ravel()[::step]
    y, r, b = (plane.ravel()[::step][keep].astype(np.float64) for plane in (residual, red, blue))
    if y.size < 3:
        return np.float32(0), np.float32(0)
    limit = 3.0 * np.std(y)
    y = np.clip(y, -limit, limit)
    columns = np.stack([np.ones_like(r), r, b])
    normal = columns @ columns.T + np.diag(
        [1e-9, y.size, y.size]
    )  # the second term makes this solvable for a grey picture too
    _, red_gain, blue_gain = np.linalg.solve(normal, columns @ y)
    return np.float32(red_gain), np.float32(blue_gain)


# number of rings of frequencies up to half a cycle per pixel; the last ring includes higher
# frequencies, in the corners
_RING_COUNT: Final = 48
_TONE_RINGS: Final = 2  # the first rings are left to the tone curve
_GAIN_MAX: Final = 4.0
_LOW_FREQUENCY_SIGMA_PX: Final = 8.0
_WINDOW_PX: Final = 31
_SMOOTH_POWER: Final = 2.0  # squared grey levels
# without this, only strong edges would count, but codecs damage smooth places more
_POWER_EXPONENT: Final = 0.12
_UNCHANGED_GAIN_TOLERANCE: Final = 0.04
# squared grey levels per cosine; a ring with less power has no content
_EMPTY_RING_POWER: Final = 1e-3
_RING_STEPS: Final = 64  # gains are interpolated at this many steps per ring


@dataclass(frozen=True, slots=True, eq=False)
class ChannelFilter:
    """A gain for each frequency of planes of one shape; None means no change.

    Frequencies are those of the cosine transform; the gain of the lowest is 1.
    """

    gains: Plane | None

    def filtered(self, plane: Plane) -> Plane:
        """Apply the filter, which is linear and equal to its adjoint."""
        if self.gains is None:
            return plane
        return np.asarray(idctn(dctn(plane, norm="ortho") * self.gains, norm="ortho"), np.float32)


def fit_channel_filter(leak: Plane, expected: Plane, covered: NDArray[np.bool_]) -> ChannelFilter:
    """Measure the filter that turns ``expected`` into ``leak``, where the leak covers it."""
    highs = _high_frequencies(expected)
    weight = _flat_area_weight(highs, covered)
    found = dctn(_high_frequencies(leak) * weight, norm="ortho").ravel()
    sent = dctn(highs * weight, norm="ortho").ravel()
    at = _frequency_rings(shape_of(leak))
    curve = _ring_gains(np.rint(at).astype(np.intp).ravel(), found, sent)
    if np.abs(curve - 1.0).max() < _UNCHANGED_GAIN_TOLERANCE:
        return ChannelFilter(None)
    fine = np.interp(
        np.arange(_RING_COUNT * _RING_STEPS) / _RING_STEPS, np.arange(_RING_COUNT), curve
    )
    return ChannelFilter(fine.astype(np.float32)[(at * _RING_STEPS).astype(np.intp)])


def _ring_gains(ring: NDArray[np.intp], found: Plane, sent: Plane) -> NDArray[np.float64]:
    """Return one gain per ring. A ring without power in the sent picture gets the gain of the ring
    below it.
    """
    cross = np.bincount(ring, found * sent, _RING_COUNT)
    power = np.bincount(ring, sent * sent, _RING_COUNT)
    prior = _EMPTY_RING_POWER * np.bincount(ring, minlength=_RING_COUNT) + 1e-9
    gains = np.ones(_RING_COUNT)
    for one in range(_TONE_RINGS, _RING_COUNT):
        gains[one] = (cross[one] + prior[one] * gains[one - 1]) / (power[one] + prior[one])
    return np.asarray(np.clip(gains, 0.0, _GAIN_MAX), np.float64)


def _flat_area_weight(highs: Plane, covered: NDArray[np.bool_]) -> Plane:
    power = np.maximum(cv2.blur(highs * highs, (_WINDOW_PX, _WINDOW_PX)), 0.0)
    inside = cv2.erode(covered.astype(np.float32), np.ones((9, 9), np.uint8))
    even = cv2.GaussianBlur(
        inside / (power + np.float32(_SMOOTH_POWER)) ** _POWER_EXPONENT, (0, 0), 4.0
    )
    return np.asarray(even, np.float32)


def _high_frequencies(plane: Plane) -> Plane:
    lows = cv2.GaussianBlur(plane, (0, 0), _LOW_FREQUENCY_SIGMA_PX, borderType=cv2.BORDER_REFLECT)
    return np.asarray(plane - lows, np.float32)


def _frequency_rings(shape: Shape) -> NDArray[np.float32]:
    """Return the ring number of every frequency; the last ring is half a cycle per pixel."""
    down, across = (np.arange(side, dtype=np.float32) / np.float32(side) for side in shape)
    radius = np.minimum(np.hypot(down[:, None], across[None]), 1.0)
    return np.asarray(radius * np.float32(_RING_COUNT - 1), np.float32)


_CLIPPING_DEVIATIONS: Final = 3.0
# squared grey levels; a window with less power gets mostly the gain of its class
_WINDOW_POWER_PRIOR: Final = 0.5
_CONTRAST_CLASSES: Final = 24  # windows are divided into this many classes by contrast
# squared grey levels; a class with less power gets the gain of the next stronger one
_SILENT_CLASS_POWER: Final = 0.01
_WINDOW_COVERED_SHARE_MIN: Final = 0.5  # the leak must cover this share of a window
_SAMPLED_WINDOWS_MAX: Final = 200_000
_INTERPOLATION_STEPS: Final = 1000  # gains are interpolated between classes at this many steps
_WINDOW_GAIN_MAX: Final = 2.0
_VARIANCE_MIN: Final = 0.03  # squared grey levels; less than rounding to 8 bits adds
_PIXEL_COVERED_SHARE_MIN: Final = 0.98


@dataclass(frozen=True, slots=True, eq=False)
class OctaveEvidence:
    """The evidence of a leak in one octave of detail.

    ``rho`` is strength x residual / variance at each pixel, where the strength is the share of a
    mark that the leak has kept. On average, a mark m adds ``response`` x m to ``rho``.
    """

    rho: Plane
    response: Plane


def gather_evidence(
    leak: Plane, tone: FittedTone, covered: Plane, trial: list[Plane]
) -> list[OctaveEvidence]:
    """Return the evidence of a leak on the sent picture's working grid, finest octave first.

    Args:
        leak: luma of the leak, grey levels.
        tone: the sent picture with the leak's tones.
        covered: 1 where the leak shows the sent picture, 0 elsewhere.
        trial: detail pyramid of a trial mark, which shows how strong marks are at each place.
    """
    # uncovered pixels get the expected values, so that the border adds no detail
    levels = len(trial)
    filled = np.where(covered == 0, tone.expected, leak).astype(np.float32)
    found = detail_pyramid(filled, levels)
    sent = detail_pyramid(tone.expected, levels)
    slopes = gaussian_pyramid(tone.slope, levels)
    coverage = gaussian_pyramid(covered, levels)
    return [
        _octave_evidence(found[k], sent[k], slopes[k], coverage[k], trial[k]) for k in range(levels)
    ]


def _octave_evidence(
    found: Plane, sent: Plane, slope: Plane, coverage: Plane, trial: Plane
) -> OctaveEvidence:
    weight = (coverage > _PIXEL_COVERED_SHARE_MIN).astype(np.float32)
    amount = np.maximum(_local_mean(weight), 1e-6)
    gain = _local_gain(found, sent, weight, amount)
    residual, variance = _clipped_residual(found, sent, gain, weight, amount)
    kept = gain * slope
    # where the residual is smaller than a mark of full strength, marks were weakened
    full = np.maximum(kept**2 * _local_mean(trial * trial), 1e-9)
    kept *= np.minimum(1.0, variance / full)
    return OctaveEvidence(
        np.asarray(kept * residual / variance, np.float32),
        np.asarray(kept**2 / variance * weight, np.float32),
    )


def _clipped_residual(
    found: Plane, sent: Plane, gain: Plane, weight: Plane, amount: Plane
) -> tuple[Plane, Plane]:
    """Return the clipped residual of the regression, and its variance around each pixel."""
    residual = (found - gain * sent) * weight
    spread = np.sqrt(np.maximum(_local_mean(residual * residual) / amount, 0.0))
    residual = np.clip(residual, -_CLIPPING_DEVIATIONS * spread, _CLIPPING_DEVIATIONS * spread)
    return residual, np.maximum(_local_mean(residual * residual) / amount, 0.0) + np.float32(
        _VARIANCE_MIN
    )


def _local_gain(found: Plane, sent: Plane, weight: Plane, amount: Plane) -> Plane:
    """Return the gain of each window by regression.

    Smooth windows get the average gain of windows with similar contrast.
    """
    cross = _local_mean(weight * found * sent) / amount
    power = np.maximum(_local_mean(weight * sent * sent) / amount, 0.0)
    typical = _gain_by_contrast(cross, power, amount)
    local = (cross + _WINDOW_POWER_PRIOR * typical) / (power + _WINDOW_POWER_PRIOR)
    return np.asarray(np.clip(local, 0.0, _WINDOW_GAIN_MAX), np.float32)


def _gain_by_contrast(cross: Plane, power: Plane, amount: Plane) -> Plane:
    """Return the gain for each window's contrast.

    Codecs and denoisers keep edges and erase faint detail. So the gain of a mark is estimated from
    detail of the sent picture that is as faint as a mark.
    """
    known = np.flatnonzero(amount.ravel() > _WINDOW_COVERED_SHARE_MIN)
    if known.size < _CONTRAST_CLASSES * _WINDOW_PX:
        return np.full_like(power, float(cross.sum()) / max(float(power.sum()), 1e-6))
    known = known[:: max(1, known.size // _SAMPLED_WINDOWS_MAX)]
    known = known[np.argsort(power.ravel()[known])]
    gain, curve, centres = 1.0, [], []
    for one in reversed(np.array_split(known, _CONTRAST_CLASSES)):
        has, shares = float(power.ravel()[one].mean()), float(cross.ravel()[one].mean())
        gain = (shares + _SILENT_CLASS_POWER * gain) / (has + _SILENT_CLASS_POWER)
        curve.append(gain)
        centres.append(np.log(has + _SILENT_CLASS_POWER))
    ends = np.linspace(centres[-1], centres[0] + 1e-6, _INTERPOLATION_STEPS)
    return apply_curve(
        np.log(power + np.float32(_SILENT_CLASS_POWER)),
        ends,
        np.interp(ends, centres[::-1], curve[::-1]),
    )


def _local_mean(plane: Plane) -> Plane:
    rows, columns = (min(_WINDOW_PX, side | 1) for side in plane.shape)
    return np.asarray(cv2.blur(plane, (columns, rows), borderType=cv2.BORDER_REFLECT), np.float32)
