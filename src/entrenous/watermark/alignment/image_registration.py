"""Register a found picture on a sent one; the first homography is robust (USAC with MAGSAC++,
Barath et al. 2020).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import cv2
import numpy as np

from entrenous.watermark.alignment.features import (
    FIRST_SIDE_PX,
    Features,
    FeatureViews,
    Pixels,
    blurred_points_of,
    feature_views,
    grey_of,
    matches,
    points_of,
    strongest,
)
from entrenous.watermark.alignment.misfit import Pair
from entrenous.watermark.alignment.refine import Matched, Settled, alike_in_the_large, settle
from entrenous.watermark.alignment.template_search import searched, upright, whole_frame
from entrenous.watermark.alignment.transforms import (
    Homography,
    Points,
    Pose,
    Size,
    described,
    nearest,
    plausible,
    seen_box,
)
from entrenous.watermark.verdict import Warp

_MISFIT_MAX: Final = 0.85  # without points to vouch for it; unrelated photographs reach 0.98
_SURE_MISFIT: Final = 0.3  # nothing else needs to be tried
_GRID: Final = 25  # places along each side where a bend is measured


class FoundBy(StrEnum):
    """How the first idea of a registration came about."""

    FEATURES = "features"
    WHOLE_FRAME = "whole frame"
    SEARCH = "search"


@dataclass(frozen=True, slots=True)
class Registration:
    """How a found picture lies on a sent one, and how far to trust that.

    ``warp`` is the nearest homography in words; ``pose`` is all of it, with a lens and a bend where
    there were any. ``inliers`` counts the matched points that agree (0: found without points);
    ``misfit`` runs from 0, the same fine detail, to 1, none of it; ``error_px`` is the standard
    error of a place, in found pixels (0: pixel grids that lie exactly on each other). Sizes are
    (width, height) in pixels.
    """

    warp: Warp
    inliers: int
    misfit: float
    sent_size: Size
    found_size: Size
    pose: Pose
    found_by: FoundBy = FoundBy.FEATURES
    error_px: float = 0.0

    @property
    def homography(self) -> Homography:
        """3 x 3, from the sent picture's pixel centres to the found one's; the nearest one."""
        return np.array(self.warp.homography, np.float64).reshape(3, 3)

    @property
    def bent(self) -> bool:
        """Whether a lens, a wave or curled paper was at work."""
        return not self.pose.straight

    def sent_to_found(self, points: Points) -> Points:
        """Where N x 2 points of the sent picture lie in the found one, bend included."""
        return self.pose.sent_to_found(points)


@dataclass(frozen=True, slots=True, eq=False)
class _Start:
    matched: Matched
    inliers: int
    found_by: FoundBy


def register(
    found: Pixels | FeatureViews,
    sent_rgb: Pixels,
    sent_features: Features | None = None,
    *,
    thorough: bool = True,
) -> Registration | None:
    """Register a found picture on a sent one; None when it does not seem to show it.

    Args:
        found: (h, w, 3) uint8, or ``looks(found_rgb)`` when it is compared with several.
        sent_rgb: (H, W, 3) uint8.
        sent_features: ``features(sent_rgb)``, when they were kept.
        thorough: look again, with more points, and search without features when few points agree;
            takes seconds where False refuses in a fraction of one.
    """
    found, sent_grey = feature_views(found), grey_of(sent_rgb)
    said = from_features(
        found, sent_features or points_of(sent_grey), sent_grey if thorough else None
    )
    best = _best(found, sent_grey, (_by_features(rough) for rough in said))
    if best is not None or not thorough:
        return best
    return _best(found, sent_grey, _without_features(found, sent_grey))


def _without_features(found: FeatureViews, sent_grey: Pixels) -> Iterator[_Start]:
    """From the likeliest to the most laborious; each is only tried when the ones before failed."""
    for homography in whole_frame(_size(sent_grey), found.size):
        yield _without(homography, FoundBy.WHOLE_FRAME)
    for search in (upright, searched):
        for homography in search(found.grey, sent_grey):
            yield _without(homography, FoundBy.SEARCH)


@dataclass(frozen=True, slots=True, eq=False)
class Rough:
    """A homography from sent to found, how many matched points agree, and all that were matched."""

    homography: Homography
    inliers: int
    at_sent: Points
    at_found: Points


def _by_features(rough: Rough) -> _Start:
    matched = Matched(rough.homography, rough.at_sent, rough.at_found)
    return _Start(matched, rough.inliers, FoundBy.FEATURES)


def _without(homography: Homography, found_by: FoundBy) -> _Start:
    none: Points = np.empty((0, 2))
    return _Start(Matched(homography, none, none), 0, found_by)


def _best(found: FeatureViews, sent_grey: Pixels, starts: Iterator[_Start]) -> Registration | None:
    """The start that settles with the least misfit, if it can be believed."""
    best: Registration | None = None
    for start in starts:
        certain = start.inliers >= CERTAIN
        settled = settle(found.grey, sent_grey, start.matched, certain=certain)
        if settled is None or not plausible(settled.pose.homography, _size(sent_grey), found.size):
            continue
        one = _registered(settled, start, _size(sent_grey), found.size)
        if (best is None or one.misfit < best.misfit) and _credible(found.grey, sent_grey, one):
            best = one
        if best is not None and (start.inliers >= ENOUGH or _sure(best)):
            break
    return best


def _sure(one: Registration) -> bool:
    """Whether nothing else needs to be tried; a bend may make up for a start that is far off."""
    return not one.bent and one.misfit <= _SURE_MISFIT


def _registered(settled: Settled, start: _Start, sent: Size, found: Size) -> Registration:
    homography, bent_px = _nearest(settled.pose, sent, found)
    return Registration(
        warp=described(homography, sent, found, bent_px=bent_px),
        inliers=start.inliers,
        misfit=settled.misfit,
        sent_size=sent,
        found_size=found,
        pose=settled.pose,
        found_by=start.found_by,
        error_px=settled.error_px,
    )


def _nearest(pose: Pose, sent: Size, found: Size) -> tuple[Homography, float]:
    """The homography nearest to a bent pose, and how far it is off at the most, in found pixels."""
    if pose.straight:
        return pose.homography, 0.0
    left, top, right, bottom = seen_box(pose.homography, sent, found)
    across, down = np.linspace(left, right - 1, _GRID), np.linspace(top, bottom - 1, _GRID)
    places = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
    lies = pose.sent_to_found(places)
    return nearest(places, lies)


def _credible(found_grey: Pixels, sent_grey: Pixels, one: Registration) -> bool:
    """Whether enough points agree, or else the fine detail, or else the picture in the large."""
    if one.inliers >= CERTAIN or one.misfit <= _MISFIT_MAX:
        return True
    box = seen_box(one.homography, one.sent_size, one.found_size)
    return alike_in_the_large(Pair(found_grey, sent_grey, box), one.pose, one.warp.scale)


def _size(grey: Pixels) -> Size:
    return grey.shape[1], grey.shape[0]


ENOUGH: Final = 40  # inliers: the search may stop here
CERTAIN: Final = 25  # inliers: no chance agreement
LEAST_QUICK: Final = 12  # inliers: fewer are not worth a quick try
_LEAST: Final = 6  # inliers: fewer say nothing at all
_FEW: Final = 60  # inliers: fewer do not carry a homography's eight numbers
_TOLERANCE: Final = 3.0 / 1200  # of the found picture's longest side
_ITERATIONS: Final = 10_000
_CONFIDENCE: Final = 0.9999
_FLIPS: Final = ((False, False), (True, False), (False, True), (True, True))  # mirrored, inverted
_SIDES_PX: Final = (1600, 700)  # of further looks at the found picture
_DENSE_SIDE_PX: Final = 2400  # of the sent picture, for small details of it
_DENSE_POINTS: Final = 8000
_TRIED: Final = 3
_SAMPLE: Final = 600  # points that a quick look compares first; strangers agree on 8 to 15
_SAMPLE_LEAST: Final = 24


def from_features(found: FeatureViews, sent: Features, sent_grey: Pixels | None) -> list[Rough]:
    """What the matched points of several looks say, most agreeing first; at most three.

    Args:
        found: the found picture.
        sent: points of the sent one.
        sent_grey: its luma, when it may be looked at anew, at the cost of a second; else None.
    """
    said: list[Rough] = []
    for rough in _looked(found, sent, sent_grey):
        said.append(rough)
        if rough.inliers >= ENOUGH:
            break
    least = LEAST_QUICK if sent_grey is None else _LEAST
    enough = [rough for rough in said if rough.inliers >= least]
    return sorted(enough, key=lambda rough: -rough.inliers)[:_TRIED]


def _looked(found: FeatureViews, sent: Features, sent_grey: Pixels | None) -> Iterator[Rough]:
    sample = strongest(sent, _SAMPLE)
    for mirrored, inverted in _FLIPS:
        seen = found.features(FIRST_SIDE_PX, mirrored=mirrored, inverted=inverted)
        # rarer cases show in a part of the points, or are left to a thorough look
        if (
            sent_grey is None
            and mirrored | inverted
            and len(matches(seen, sample)[0]) < _SAMPLE_LEAST
        ):
            continue
        yield from _seen(found, FIRST_SIDE_PX, sent, mirrored=mirrored, inverted=inverted)
    if sent_grey is None:
        return
    dense = points_of(sent_grey, side_px=_DENSE_SIDE_PX, limit=_DENSE_POINTS)
    large = blurred_points_of(sent_grey)
    for mirrored, inverted in _FLIPS:
        for side_px, points in (*((side_px, dense) for side_px in _SIDES_PX), (0, large)):
            yield from _seen(found, side_px, points, mirrored=mirrored, inverted=inverted)


def _seen(
    found: FeatureViews, side_px: int, sent: Features, *, mirrored: bool, inverted: bool
) -> Iterator[Rough]:
    seen = found.features(side_px, mirrored=mirrored, inverted=inverted)
    at_sent, at_found = matches(seen, sent)
    if len(at_sent) < _LEAST:
        return
    tolerance = _TOLERANCE * max(found.size)
    said = _homography(at_sent, at_found, tolerance) if len(at_sent) >= _FEW else None
    if said is None or said.inliers < _FEW:
        said = _similarity(at_sent, at_found, tolerance, mirrored=mirrored)
    if said is None or said.inliers < _LEAST:
        return
    if plausible(said.homography, sent.size, found.size):
        yield said


def _homography(at_sent: Points, at_found: Points, tolerance: float) -> Rough | None:
    found: tuple[Any, Any] = cv2.findHomography(
        at_sent,
        at_found,
        cv2.USAC_MAGSAC,
        tolerance,
        maxIters=_ITERATIONS,
        confidence=_CONFIDENCE,
    )
    homography, agree = found
    if homography is None:
        return None
    return Rough(np.asarray(homography), int(agree.sum()), at_sent, at_found)


def _similarity(
    at_sent: Points, at_found: Points, tolerance: float, *, mirrored: bool
) -> Rough | None:
    # OpenCV's similarity can't mirror, so the sent points are mirrored before
    flip = np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])
    found: tuple[Any, Any] = cv2.estimateAffinePartial2D(
        at_sent @ flip[:2, :2],
        at_found,
        method=cv2.RANSAC,
        ransacReprojThreshold=tolerance,
        maxIters=_ITERATIONS,
        confidence=_CONFIDENCE,
    )
    affine, agree = found
    if affine is None:
        return None
    homography = np.vstack([affine, [0.0, 0.0, 1.0]]) @ flip
    return Rough(homography, int(agree.sum()), at_sent, at_found)
