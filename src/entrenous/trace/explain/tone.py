"""What was done to a found picture's brightness and colour, for people to look at.

This only describes; what the score uses is fitted anew in craft/mark/tone.py. Neither knows a key.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.trace.explain.drawing import Anchor, Drawing, Path, Shape, Tone, Words, line

_SIDE_PX: Final = 400
_BIN: Final = 8  # grey levels
_FEW: Final = 40  # pixels in a bin below which its median says nothing
_LUMA: Final = np.array([0.299, 0.587, 0.114])
_GREY: Final = 2.5  # mean distance from grey, in levels, that JPEG may leave
_SIZE: Final = 150.0
_LEFT: Final = 34.0
_TOP: Final = 8.0
_MARGIN: Final = (16.0, 40.0)


@dataclass(frozen=True, slots=True)
class ToneCurve:
    """Median luma of the found picture per luma of the original, as (original, found) in grey
    levels, and what became of its colours.
    """

    points: tuple[tuple[float, float], ...]
    colours_gone: bool


def tone_curve(
    original_rgb: NDArray[np.uint8], laid_rgb: NDArray[np.uint8], covered: NDArray[np.bool_]
) -> ToneCurve:
    """Compare the found picture, laid over the original, with it: (H, W, 3), (H, W, 3), (H, W)."""
    sent, laid, inside = (_small(plane) for plane in (original_rgb, laid_rgb, covered))
    keep = inside > 0.99
    before, after = sent[keep], laid[keep]
    luma_before, luma_after = before @ _LUMA, after @ _LUMA
    at = (luma_before / _BIN).astype(int)
    bins = (at == level for level in range(256 // _BIN))
    points = tuple(
        (float(np.median(luma_before[one])), float(np.median(luma_after[one])))
        for one in bins
        if np.count_nonzero(one) >= _FEW
    )
    gone = _colour(after) < _GREY < 2.0 * _GREY < _colour(before)
    return ToneCurve(points, gone)


def in_words(curve: ToneCurve) -> str:
    """What was done, in a few words, or that nothing is to be seen."""
    done = ["its colours are gone"] if curve.colours_gone else []
    if len(curve.points) > 2:
        before, after = np.array(curve.points).T
        slope = float(np.polyfit(before, after, 1)[0])
        shift = float(np.mean(after - before))
        if slope < 0.0:
            return ", ".join(["light and dark are exchanged", *done])
        if abs(slope - 1.0) > 0.12:
            done.append("more contrast" if slope > 1.0 else "less contrast")
        if abs(shift) > 6.0:
            done.append("brighter" if shift > 0.0 else "darker")
    return ", ".join(done) if done else "brightness and colours as sent"


def tone_plot(curve: ToneCurve) -> Drawing:
    """The curve as a drawing, beside the line of no change."""
    inner: list[Shape] = []
    for level in (0, 64, 128, 192, 255):
        inner.append(line(_at(level, 0), _at(level, 255), Tone.FAINT))
        inner.append(line(_at(0, level), _at(255, level), Tone.FAINT))
    for level in (0, 128, 255):
        x, y = _at(level, level)
        inner.append(Words((x, _TOP + _SIZE + 15), str(level), anchor=Anchor.MIDDLE))
        inner.append(Words((_LEFT - 6, y + 4), str(level), anchor=Anchor.END))
    inner.append(line(_at(0, 0), _at(255, 255), Tone.SOFT, dashed=True))
    inner.append(Path(tuple(_at(x, y) for x, y in curve.points), Tone.NAMED))
    about = "sent (across), found (up)"
    middle = _LEFT + _SIZE / 2
    inner.append(Words((middle, _TOP + _SIZE + 32), about, anchor=Anchor.MIDDLE, size=10))
    wide, tall = _LEFT + _SIZE + _MARGIN[0], _TOP + _SIZE + _MARGIN[1]
    return Drawing(wide, tall, tuple(inner), f"Tone curve: {in_words(curve)}.")


def _at(before: float, after: float) -> tuple[float, float]:
    return _LEFT + _SIZE * before / 255, _TOP + _SIZE * (1 - after / 255)


def _small(plane: NDArray[np.generic]) -> NDArray[np.float64]:
    rows, columns = plane.shape[:2]
    factor = min(1.0, _SIDE_PX / max(rows, columns))
    size = max(1, round(columns * factor)), max(1, round(rows * factor))
    floats = plane.astype(np.float32)
    return np.asarray(cv2.resize(floats, size, interpolation=cv2.INTER_AREA), np.float64)


def _colour(rgb: NDArray[np.float64]) -> float:
    """Mean difference of a pixel's largest and smallest sample, in levels."""
    return float(np.mean(np.ptp(rgb, axis=1))) if len(rgb) else 0.0
