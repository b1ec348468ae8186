"""A first homography for an upright part of a calm picture: template search over many scales."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from entrenous.craft.align.features import Pixels, resized
from entrenous.craft.align.geometry import Homography, Size, resizing

_SIDE_PX: Final = 320
_STEPS: Final = 25
_STEP: Final = 5.0 ** (1.0 / (_STEPS - 1))  # from one of these scales to the next
_FINER_STEPS: Final = 13
_PATCH_PX_MIN: Final = 24


def upright(found_grey: Pixels, sent_grey: Pixels) -> list[Homography]:
    """Slide the found picture over the sent one at 25 scales, then at finer ones around the best.

    Finds an upright crop of any place, from a fifth of the side to all of it. The second pass is
    for pictures of few edges, on which no later step finds its way from a scale 3 % off.
    """
    sent = resized(sent_grey, _SIDE_PX)
    best = _best_of(np.geomspace(1.0, 0.2, _STEPS), found_grey, sent)
    if best is None:
        return []
    finer = _best_of(best.share * np.geomspace(1.0 / _STEP, _STEP, _FINER_STEPS), found_grey, sent)
    return [_placed(finer or best, found_grey, sent, sent_grey)]


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where a patch of the found picture correlates best with the small sent one."""

    share: float
    patch: Pixels
    at: Sequence[int]
    like: float


def _best_of(shares: Iterable[float], found_grey: Pixels, sent: Pixels) -> _Place | None:
    fit = min(sent.shape[1] / found_grey.shape[1], sent.shape[0] / found_grey.shape[0])
    best: _Place | None = None
    for share in shares:
        patch = _sized(found_grey, fit * min(share, 1.0))
        if min(patch.shape) < _PATCH_PX_MIN or float(patch.std()) < 1.0:
            continue
        _, like, _, at = cv2.minMaxLoc(cv2.matchTemplate(sent, patch, cv2.TM_CCOEFF_NORMED))
        if best is None or like > best.like:
            best = _Place(share, patch, at, like)
    return best


def _placed(place: _Place, found: Pixels, small: Pixels, sent: Pixels) -> Homography:
    to_small = resizing(_size(sent), _size(small))
    shift = np.array([[1.0, 0.0, -place.at[0]], [0.0, 1.0, -place.at[1]], [0.0, 0.0, 1.0]])
    return np.asarray(resizing(_size(place.patch), _size(found)) @ shift @ to_small, np.float64)


def _sized(grey: Pixels, factor: float) -> Pixels:
    size = (max(1, round(grey.shape[1] * factor)), max(1, round(grey.shape[0] * factor)))
    how = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, size, interpolation=how), np.uint8)


def _size(grey: Pixels) -> Size:
    return grey.shape[1], grey.shape[0]
