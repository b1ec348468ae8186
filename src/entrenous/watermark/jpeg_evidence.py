"""Evidence from a JPEG's quantised coefficients and their intervals."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.watermark.channel import fit_channel_filter, fit_tone
from entrenous.watermark.chip_layout import Layout, Shape
from entrenous.watermark.pyramid import Pixels, Plane, luma

Planes = NDArray[np.float32]  # frequencies x rows of blocks x columns of blocks
BLOCK: Final = 8
_WINDOW_BLOCKS: Final = 5
_WORTH_BLOCKS: Final = 8.0  # how many blocks the whole picture's figure for a frequency counts for
_FAR: Final = np.float32(6.0)  # of what tanh is taken; beyond, float32 cannot tell two ends apart
_LOGISTIC: Final = float(np.sqrt(3.0) / np.pi)  # scale of a logistic law over its deviation
_SCALE_INFORMATION: Final = 1.43  # (pi^2 + 3) / 9: Fisher information on log s, nothing rounded
_INFORMATION: Final = 1.0 / 3.0  # of a logistic law of scale 1 on its centre, nothing rounded
_STEP_MAX: Final = 0.7  # of log s in one round
_SCALES: Final = (0.05, 100.0)  # grey levels
_ROUNDS: Final = 3  # more would explain the mark itself away
_GAIN_PRIOR: Final = 30.0
_GAIN_MAX: Final = 3.0
_NOISE: Final = 0.08  # squared grey levels: the rounding of an 8-bit picture, 1/12


@dataclass(frozen=True, slots=True, eq=False)
class Law:
    """How a leak's coefficients lie about the sent picture's: ``gain`` x sent, spread ``scale``.

    ``mark`` is the power that a mark would have in each, in squared grey levels.
    """

    gain: Planes
    scale: Planes
    mark: Planes


def blocks(plane: Plane) -> Planes:
    """8 x 8 cosine transforms as in JPEG (ITU-T T.81, A.3.3), edges repeated: one plane for each
    of the 64 frequencies, in natural order.
    """
    rows, columns = plane.shape
    padded = np.pad(plane, ((0, -rows % BLOCK), (0, -columns % BLOCK)), mode="edge")
    tall, wide = padded.shape[0] // BLOCK, padded.shape[1] // BLOCK
    cosines = _cosines()
    down = cosines @ padded.reshape(tall, BLOCK, wide * BLOCK)
    both = (down.reshape(-1, BLOCK) @ cosines.T).reshape(tall, BLOCK, wide, BLOCK)
    planes = both.transpose(1, 3, 0, 2).reshape(-1, tall, wide)
    return np.ascontiguousarray(planes, np.float32)


def unblocks(coefficients: Planes, shape: Shape) -> Plane:
    """The plane of these coefficients, cut to (rows, columns)."""
    _, tall, wide = coefficients.shape
    apart = coefficients.reshape(BLOCK, BLOCK, tall, wide).transpose(2, 0, 3, 1)
    cosines = _cosines()
    across = np.ascontiguousarray(apart).reshape(-1, BLOCK) @ cosines
    whole = cosines.T @ across.reshape(tall, BLOCK, wide * BLOCK)
    return np.ascontiguousarray(whole.reshape(tall * BLOCK, -1)[: shape[0], : shape[1]], np.float32)


def _cosines() -> Planes:
    """The orthonormal transform of eight numbers: row k is frequency k."""
    at = np.arange(BLOCK)
    waves = np.cos(np.pi * (2 * at[None, :] + 1) * at[:, None] / (2 * BLOCK)) / 2
    waves[0] /= np.sqrt(2)
    return np.asarray(waves, np.float32)


def around(planes: Planes) -> Planes:
    """Mean over the blocks around, frequency by frequency; the whole picture's mean counts too."""
    rows, columns = planes.shape[1:]
    window = (min(_WINDOW_BLOCKS, columns | 1), min(_WINDOW_BLOCKS, rows | 1))
    here = window[0] * window[1]
    share = np.float32(here / (here + _WORTH_BLOCKS))
    mixed = np.empty_like(planes)
    for plane, mean in zip(planes, mixed, strict=True):
        cv2.blur(plane, window, dst=mean, borderType=cv2.BORDER_REFLECT)
    mixed *= share
    mixed += planes.mean(axis=(1, 2), keepdims=True) * (np.float32(1) - share)
    return mixed


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """Where each coefficient of a JPEG's luma lay before rounding.

    ``free`` is 0 for the blocks' means, whose gain the tone curve has fitted already, else 1; it
    is one number per frequency: (F, 1, 1).
    """

    low: Planes
    high: Planes
    free: Planes

    def ends(self, sent: Planes, law: Law) -> tuple[Planes, Planes, Planes]:
        """Both ends less the law's centre, over twice its scale, and 1 over that."""
        centre, per = law.gain * sent, np.float32(0.5) / law.scale
        return (self.low - centre) * per, (self.high - centre) * per, per

    def outside(self, sent: Planes) -> Planes:
        """How far the sent picture's coefficients lie outside."""
        away = np.maximum(self.low - sent, sent - self.high)
        return np.asarray(np.maximum(away, np.float32(0)), np.float32)


def intervals(leak: Planes, steps: NDArray[np.float32], first: int = 0) -> Intervals:
    """Read back what a decoder rounded.

    Args:
        leak: the leak's coefficients.
        steps: of these frequencies, natural order.
        first: number of the first of them.
    """
    steps = np.maximum(steps, np.float32(1.0)).reshape(-1, 1, 1)
    low = np.rint(leak / steps)
    low -= np.float32(0.5)
    low *= steps
    free = np.arange(first, first + len(steps)).reshape(steps.shape) > 0
    return Intervals(low, low + steps, free.astype(np.float32))


def first_law(seen: Intervals, sent: Planes, trial: Planes) -> Law:
    """Deviations as large as a mark's and as what plainly lies outside its interval."""
    mark = around(trial * trial)
    spread = mark * np.float32(1.5) + np.float32(_NOISE) + 2 * around(seen.outside(sent) ** 2)
    return Law(np.ones_like(mark), np.sqrt(spread) * np.float32(_LOGISTIC), mark)


def pull(seen: Intervals, sent: Planes, law: Law) -> Planes:
    """Derivative of the log-likelihood by what was added to each coefficient.

    Twice the logistic function less 1 is tanh of half its argument.
    """
    low, high, per = seen.ends(sent, law)
    force = np.tanh(np.minimum(low, _FAR)) + np.tanh(np.maximum(high, -_FAR))
    force *= per
    return force


def fitted(seen: Intervals, sent: Planes, law: Law) -> Law:
    """Maximum likelihood for gain and scale, by Fisher scoring in windows of blocks."""
    for _ in range(_ROUNDS):
        law = _regained(seen, sent, _rescaled(seen, sent, law))
    return law


def guarded(law: Law) -> Law:
    """No spread below what a mark of full strength and rounding would leave.

    Less means that marks are gone there; the weight of such places must not grow with it.
    """
    least = np.sqrt(law.gain**2 * law.mark + np.float32(_NOISE)) * np.float32(_LOGISTIC)
    return replace(law, scale=np.maximum(law.scale, least))


def _rescaled(seen: Intervals, sent: Planes, law: Law) -> Law:
    low, high, _ = seen.ends(sent, law)
    np.clip(low, -_FAR, _FAR, out=low)
    np.clip(high, -_FAR, _FAR, out=high)
    at_low, at_high = np.tanh(low), np.tanh(high)
    mass = np.maximum(at_high - at_low, np.float32(2e-7))
    slope = (low * (1 - at_low * at_low) - high * (1 - at_high * at_high)) / mass
    step = np.clip(around(slope) / np.float32(_SCALE_INFORMATION), -_STEP_MAX, _STEP_MAX)
    return replace(law, scale=np.clip(law.scale * np.exp(step), *_SCALES))


def _regained(seen: Intervals, sent: Planes, law: Law) -> Law:
    force = pull(seen, sent, law)
    known = np.square(sent / law.scale) * np.float32(_INFORMATION)
    part = _sum_around(sent * force) + _GAIN_PRIOR * (1 - law.gain)
    step = part / (_sum_around(known) + _GAIN_PRIOR) * seen.free
    return replace(law, gain=np.clip(law.gain + step, 0.0, _GAIN_MAX))


def _sum_around(planes: Planes) -> Planes:
    return around(planes) * np.float32(_WINDOW_BLOCKS**2 + _WORTH_BLOCKS)


PIXELS_MAX: Final = 4_000_000  # larger leaks gain little and cost seconds
_FINE: Final = 2.4  # times the working pixels: its coding lies beyond the finest chips
_FINE_MIN: Final = 2_000_000  # fewer cost little
UNROUNDED: Final = (1,) * 64  # the table of a leak that has none: whole grey levels
_SMALL: Final = 0.5  # of the working pixels: below, even a leak without a table is heard here
_MIDDLE: Final = np.float32(128.0)
_SECOND_MOMENT: Final = np.float32(2.0)  # of what was added, over pull x scale^2, when it is small
_TOGETHER: Final = 4  # frequencies: few enough for a processor's cache
_THREADS: Final = 2  # every frequency is heard by itself: their number changes no bit


def table_for(
    tables: Mapping[int, Sequence[int]] | None, found_pixels: int, plan: Layout
) -> Sequence[int] | None:
    """The luma table to hear a leak by; None when it is too large, or neither coded nor small."""
    working = plan.working[0] * plan.working[1]
    if found_pixels > min(PIXELS_MAX, max(_FINE_MIN, _FINE * working)):
        return None
    if tables and 0 in tables:
        return tables[0]
    small = found_pixels <= _SMALL * working
    return UNROUNDED if small else None


def recoded(
    found_rgb: Pixels,
    sent_rgb: Pixels,
    covered: NDArray[np.bool_],
    table: Sequence[int] = UNROUNDED,
    trial: Plane | None = None,
) -> Plane:
    """Evidence per pixel of the leak's grid, (h, w) or, with a trial mark, (h, w, 2).

    The second plane is what the trial mark would have added to the first.

    Args:
        found_rgb: the leak, (h, w, 3) uint8, not resampled: its blocks start at the top left.
        sent_rgb: the sent picture, laid into the leak's grid.
        covered: (h, w), where ``sent_rgb`` shows something; elsewhere there is no evidence.
        table: the luma quantisation table, 64 numbers in natural order (ITU-T T.81).
        trial: ``Prepared.trial``, laid into the leak's grid: how strong marks are, and where.
    """
    evidence = np.zeros((*covered.shape, 1 if trial is None else 2), np.float32)
    box = _blocks_around(covered)
    marked = np.ones(covered.shape, np.float32) if trial is None else trial
    said = _heard(luma(found_rgb[box]), sent_rgb[box], covered[box], table, marked[box])
    evidence[box] = np.stack(said[: evidence.shape[2]], axis=2)
    return evidence[:, :, 0] if trial is None else evidence


def _blocks_around(covered: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The smallest box of whole blocks that holds all that is covered; one block at least."""
    down, across = np.nonzero(covered.any(axis=1))[0], np.nonzero(covered.any(axis=0))[0]
    return _span(down), _span(across)


def _span(at: NDArray[np.intp]) -> slice:
    first, last = (int(at[0]), int(at[-1])) if at.size else (0, 0)
    return slice(first // BLOCK * BLOCK, (last // BLOCK + 1) * BLOCK)


def _heard(
    found: Plane,
    sent_rgb: Pixels,
    covered: NDArray[np.bool_],
    table: Sequence[int],
    trial: Plane,
) -> list[Plane]:
    """The evidence, and what the trial would add to it."""
    shape, steps = _shape(found), np.asarray(table, np.float32)
    tone = fit_tone(found, sent_rgb, covered)
    marked = np.asarray(trial * tone.slope, np.float32)
    coded = blocks(found - _MIDDLE)
    expected = np.where(covered, tone.expected, found)
    before = _by_frequency(_likeliest, coded, blocks(expected - _MIDDLE), blocks(marked), steps)
    passed = fit_channel_filter(unblocks(before[0], shape) + _MIDDLE, expected, covered)
    kept = np.where(covered, passed.filtered(expected), found)
    sent, left = blocks(kept - _MIDDLE), blocks(passed.filtered(marked))
    told = _by_frequency(_told, coded, sent, left, steps)
    back = np.where(covered, tone.slope, np.float32(0))
    return [passed.filtered(unblocks(planes, shape)) * back for planes in told]


def _by_frequency(
    work: Callable[[Intervals, Planes, Planes], Planes],
    coded: Planes,
    sent: Planes,
    marked: Planes,
    steps: Plane,
) -> Planes:
    """``work`` on all frequencies, a few at a time: (n, 64, rows, columns)."""

    def some(first: int) -> Planes:
        which = slice(first, first + _TOGETHER)
        return work(intervals(coded[which], steps[which], first), sent[which], marked[which])

    with ThreadPoolExecutor(_THREADS) as threads:
        return np.concatenate(list(threads.map(some, range(0, len(coded), _TOGETHER))), axis=1)


def _likeliest(seen: Intervals, sent: Planes, marked: Planes) -> Planes:
    """What most likely stood in the intervals."""
    law = first_law(seen, sent, marked)
    added = _SECOND_MOMENT * np.square(law.scale) * pull(seen, sent, law)
    return (sent + added)[None]


def _told(seen: Intervals, sent: Planes, left: Planes) -> Planes:
    """The evidence, and what a mark that is left like this would have added to it."""
    law = guarded(fitted(seen, sent, first_law(seen, sent, left)))
    force = pull(seen, sent, law) * law.gain
    return np.stack([force, around(force * force) * left])


def _shape(plane: Plane) -> Shape:
    return plane.shape[0], plane.shape[1]
