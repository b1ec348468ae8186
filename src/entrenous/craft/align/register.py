"""Find out how a found picture lies on a sent one.

Features give a first homography; ECC over all pixels, exact snaps and, last, ECC again sharpen it.
Between the results the smaller misfit of fine detail chooses. No key, stream or score is known
here, so trying much costs nothing in honesty. docs/spec/mark.md, section 6.1.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from entrenous.craft.align.features import Features, Pixels, features, grey_of
from entrenous.craft.align.geometry import Homography, described, plausible
from entrenous.craft.align.misfit import Bench, bench, misfit
from entrenous.craft.align.plain import without_features
from entrenous.craft.align.polish import polished
from entrenous.craft.align.rough import ENOUGH, from_features
from entrenous.craft.align.snap import snaps
from entrenous.model.verdict import Warp

_COARSE_PX: Final = 500
_FINE_PX: Final = 1000
_JUDGED_PX: Final = 2000
_FINE_STEPS: Final = 8
_BLURRED_PX: Final = 75
# without matched points to vouch for it; unrelated photographs come out at 0.98 and 0.9 or more
_MISFIT_MAX: Final = 0.85
_BLURRED_MISFIT_MAX: Final = 0.4
_EXACT_BONUS: Final = 1.02  # resampling smooths noise away, so an exact fit looks a little worse


@dataclass(frozen=True, slots=True)
class Registration:
    """How a found picture lies on a sent one, and how far to trust that.

    ``inliers`` counts the matched points that agree (0: found without points); ``misfit`` runs
    from 0, the same fine detail, to 1, none of it. Sizes are (width, height) in pixels.
    """

    warp: Warp
    inliers: int
    misfit: float
    sent_size: tuple[int, int]
    found_size: tuple[int, int]

    @property
    def homography(self) -> Homography:
        """3 x 3, from the sent picture's pixel centres to the found one's."""
        return np.array(self.warp.homography, np.float64).reshape(3, 3)


def register(
    found_rgb: Pixels, sent_rgb: Pixels, sent_features: Features | None = None
) -> Registration | None:
    """Register a found picture on a sent one; None when it does not seem to show it.

    Args:
        found_rgb: (h, w, 3) uint8.
        sent_rgb: (H, W, 3) uint8.
        sent_features: of the sent picture, when they were kept.
    """
    found_grey, sent_grey = grey_of(found_rgb), grey_of(sent_rgb)
    found, sent = _size(found_grey), _size(sent_grey)
    rough = from_features(found_rgb, sent_features or features(sent_rgb))
    starts = [] if rough is None else [rough.homography]
    inliers = 0 if rough is None else rough.inliers
    if inliers < ENOUGH:
        starts += without_features(found_grey, sent_grey)
    settled = [_settle(found_grey, sent_grey, one) for one in starts if plausible(one, sent, found)]
    best, left = min(settled, key=lambda one: one[1], default=(np.eye(3), math.inf))
    if not plausible(best, sent, found):
        return None
    registration = Registration(described(best, sent, found), inliers, min(left, 1.0), sent, found)
    return registration if inliers or _alike(found_grey, sent_grey, registration) else None


def _alike(found_grey: Pixels, sent_grey: Pixels, registration: Registration) -> bool:
    """Whether the pictures agree, in fine detail or, when they have none, in the large."""
    if registration.misfit <= _MISFIT_MAX:
        return True
    blurred = bench(found_grey, sent_grey, scale=registration.warp.scale, side_px=_BLURRED_PX)
    return misfit(blurred, registration.homography) <= _BLURRED_MISFIT_MAX


def _settle(found_grey: Pixels, sent_grey: Pixels, start: Homography) -> tuple[Homography, float]:
    """Sharpen one homography; the result and its misfit."""
    sent, found = _size(sent_grey), _size(found_grey)
    scale = described(start, sent, found).scale
    judge = bench(found_grey, sent_grey, scale=scale, side_px=_JUDGED_PX)
    best = _least(judge, [start, *_sharpened(found_grey, sent_grey, start, scale)])
    exact = _least(judge, snaps(best[0], sent, found))
    return exact if exact[1] <= _EXACT_BONUS * best[1] else best


def _sharpened(
    found_grey: Pixels, sent_grey: Pixels, start: Homography, scale: float
) -> list[Homography]:
    coarse = polished(bench(found_grey, sent_grey, scale=scale, side_px=_COARSE_PX), start)
    on = bench(found_grey, sent_grey, scale=scale, side_px=_FINE_PX)
    fine = polished(on, start if coarse is None else coarse, steps=_FINE_STEPS)
    return [one for one in (coarse, fine) if one is not None]


def _least(judge: Bench, candidates: list[Homography]) -> tuple[Homography, float]:
    judged = [(one, misfit(judge, one)) for one in candidates]
    return min(judged, key=lambda one: one[1], default=(np.eye(3), math.inf))


def _size(grey: Pixels) -> tuple[int, int]:
    return grey.shape[1], grey.shape[0]
