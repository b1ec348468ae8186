"""What rounding hides: evidence from a JPEG's coefficients and their intervals.

A JPEG says of every coefficient in which interval it lay before it was rounded. Given the sent
picture's coefficient c, that is evidence about what was added to c: an interval's edge close to c
says much, the middle of a wide one little. With deviations taken as logistic of scale s, the
derivative of the log-likelihood by what was added is (F(a) + F(b) - 1) / s, F the logistic
function, a and b the interval's ends less c, over s: cheap, and bounded whatever was done to the
file. It is the locally most powerful statistic for a weak known signal (Rao 1948; for quantised
data, Kassam 1977). Nothing here knows a key. docs/spec/mark.md, section 6.4.
"""

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from entrenous.craft.mark.code import Shape
from entrenous.craft.mark.luma import Plane

Blocks = NDArray[np.float32]  # rows of blocks x columns x 8 x 8

_BLOCK: Final = 8
_WINDOW_BLOCKS: Final = 5
_WORTH_BLOCKS: Final = 8.0  # how many blocks the whole picture's figure for a frequency counts for
_FAR: Final = 12.0  # scales; beyond, float32 could not tell the interval's two ends apart
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

    gain: Blocks
    scale: Blocks
    mark: Blocks


def blocks(plane: Plane) -> Blocks:
    """8 x 8 cosine transforms as in JPEG (ITU-T T.81, A.3.3), edges repeated."""
    rows, columns = plane.shape
    padded = np.pad(plane, ((0, -rows % _BLOCK), (0, -columns % _BLOCK)), mode="edge")
    tall, wide = padded.shape[0] // _BLOCK, padded.shape[1] // _BLOCK
    apart = padded.reshape(tall, _BLOCK, wide, _BLOCK).swapaxes(1, 2)
    return np.asarray(dctn(apart, axes=(2, 3), norm="ortho"), np.float32)


def unblocks(coefficients: Blocks, shape: Shape) -> Plane:
    """The plane of these blocks, cut to (rows, columns)."""
    apart = idctn(coefficients, axes=(2, 3), norm="ortho").swapaxes(1, 2)
    whole = apart.reshape(apart.shape[0] * _BLOCK, -1)
    return np.ascontiguousarray(whole[: shape[0], : shape[1]], np.float32)


def around(per_block: Blocks) -> Blocks:
    """Mean over the blocks around, frequency by frequency; the whole picture's mean counts too."""
    rows, columns = per_block.shape[:2]
    window = (min(_WINDOW_BLOCKS, columns | 1), min(_WINDOW_BLOCKS, rows | 1))
    flat = per_block.reshape(rows, columns, _BLOCK * _BLOCK)
    mean = np.empty_like(flat)
    for part in range(0, _BLOCK * _BLOCK, 4):  # OpenCV's filters take four planes at a time
        piece = np.ascontiguousarray(flat[:, :, part : part + 4])
        mean[:, :, part : part + 4] = cv2.blur(piece, window, borderType=cv2.BORDER_REFLECT)
    here = window[0] * window[1]
    whole = flat.mean(axis=(0, 1), keepdims=True)
    mixed = (mean * here + whole * _WORTH_BLOCKS) / (here + _WORTH_BLOCKS)
    return np.asarray(mixed.reshape(per_block.shape), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """Where each coefficient of a JPEG's luma lay before rounding."""

    low: Blocks
    high: Blocks

    def ends(self, sent: Blocks, law: Law) -> tuple[Blocks, Blocks]:
        """F at both ends, F the law's distribution function about the sent picture."""
        centre = law.gain * sent
        low = np.minimum((self.low - centre) / law.scale, np.float32(_FAR))
        high = np.maximum((self.high - centre) / law.scale, np.float32(-_FAR))
        return _logistic(low), _logistic(high)

    def outside(self, sent: Blocks) -> Blocks:
        """How far the sent picture's coefficients lie outside."""
        away = np.maximum(self.low - sent, sent - self.high)
        return np.asarray(np.maximum(away, np.float32(0)), np.float32)


def intervals(leak: Plane, table: NDArray[np.float32]) -> Intervals:
    """Read back what a decoder rounded: ``table`` is 8 x 8, natural order."""
    steps = np.maximum(table, np.float32(1.0)).reshape(_BLOCK, _BLOCK)
    rounded = np.rint(blocks(leak) / steps)
    return Intervals((rounded - np.float32(0.5)) * steps, (rounded + np.float32(0.5)) * steps)


def first_law(seen: Intervals, sent: Blocks, trial: Blocks) -> Law:
    """Deviations as large as a mark's and as what plainly lies outside its interval."""
    mark = around(trial * trial)
    spread = mark * np.float32(1.5) + np.float32(_NOISE) + 2 * around(seen.outside(sent) ** 2)
    return Law(np.ones_like(mark), np.sqrt(spread) * np.float32(_LOGISTIC), mark)


def pull(seen: Intervals, sent: Blocks, law: Law) -> Blocks:
    """Derivative of the log-likelihood by what was added to each coefficient."""
    low, high = seen.ends(sent, law)
    return np.asarray((low + high - np.float32(1.0)) / law.scale, np.float32)


def fitted(seen: Intervals, sent: Blocks, law: Law) -> Law:
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


def _rescaled(seen: Intervals, sent: Blocks, law: Law) -> Law:
    centre = law.gain * sent
    far = np.float32(_FAR)
    low, high = (
        np.asarray(np.clip((end - centre) / law.scale, -far, far), np.float32)
        for end in (seen.low, seen.high)
    )
    f_low, f_high = _logistic(low), _logistic(high)
    mass = np.maximum(f_high - f_low, np.float32(1e-7))
    slope = (low * f_low * (1 - f_low) - high * f_high * (1 - f_high)) / mass
    step = np.clip(around(slope) / np.float32(_SCALE_INFORMATION), -_STEP_MAX, _STEP_MAX)
    return replace(law, scale=np.clip(law.scale * np.exp(step), *_SCALES))


def _regained(seen: Intervals, sent: Blocks, law: Law) -> Law:
    force = pull(seen, sent, law)
    known = np.float32(_INFORMATION) / law.scale**2
    part = _sum_around(sent * force) + _GAIN_PRIOR * (1 - law.gain)
    step = part / (_sum_around(sent * sent * known) + _GAIN_PRIOR)
    gain = np.clip(law.gain + step, 0.0, _GAIN_MAX).astype(np.float32)
    gain[:, :, 0, 0] = 1.0
    return replace(law, gain=gain)


def _sum_around(per_block: Blocks) -> Blocks:
    return around(per_block) * np.float32(_WINDOW_BLOCKS**2 + _WORTH_BLOCKS)


def _logistic(x: Blocks) -> Blocks:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -30.0, 30.0))), np.float32)
