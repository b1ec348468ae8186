"""Register a found picture to the sent one.

The first homography is estimated robustly (USAC with MAGSAC++, Barath et al. 2020).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import cv2
import numpy as np

from entrenous.watermark.alignment.features import (
    FIRST_TRIED_SIDE_PX,
    Features,
    FoundPictureFeatures,
    Pixels,
    extract_features_from_luma,
    extract_large_shape_features,
    match_features,
    select_strongest,
    to_grey,
    wrap_found_picture,
)
from entrenous.watermark.alignment.misfit import PicturePairWithVisibleBox
from entrenous.watermark.alignment.refine import (
    MatchedStart,
    RefinedPose,
    agrees_when_blurred,
    refine,
)
from entrenous.watermark.alignment.template_search import (
    search_all_poses,
    search_upright,
    whole_frame_homographies,
)
from entrenous.watermark.alignment.transforms import (
    Homography,
    Points,
    Pose,
    Size,
    describe_warp,
    fit_homography,
    is_plausible,
    visible_box,
)
from entrenous.watermark.verdict import PictureWarp

# largest misfit that is accepted without matching points; unrelated photographs have at least 0.98
_MISFIT_MAX: Final = 0.85
_CERTAIN_MISFIT_MAX: Final = 0.3  # the search ends at a smaller misfit
# a bend is measured on a grid with this many points along each side
_GRID_POINTS_PER_SIDE: Final = 25


class FoundBy(StrEnum):
    """The method that gave the first estimate of a registration."""

    FEATURES = "features"
    WHOLE_FRAME = "whole frame"
    SEARCH = "search"


@dataclass(frozen=True, slots=True)
class Registration:
    """The alignment of a found picture with a sent one, and its reliability.

    ``pose`` is the complete mapping, with a lens and a bend if there are any; ``warp`` describes
    the homography that is nearest to it. ``inliers`` is the number of agreeing matches, or 0 if the
    alignment was found without features. ``misfit`` is 0 if both pictures have the same fine
    detail, and 1 if none of it agrees. ``error_px`` is the standard error of a position in found
    pixels; it is 0 for an exact mapping (alignment/refine.py). Sizes are (width, height) in pixels.
    """

    warp: PictureWarp
    inliers: int
    misfit: float
    sent_size: Size
    found_size: Size
    pose: Pose
    found_by: FoundBy = FoundBy.FEATURES
    error_px: float = 0.0

    @property
    def homography(self) -> Homography:
        """The nearest homography, 3 x 3, from the sent picture's pixels to the found picture's."""
        return np.array(self.warp.homography, np.float64).reshape(3, 3)

    @property
    def is_bent(self) -> bool:
        return not self.pose.is_straight

    def sent_to_found(self, points: Points) -> Points:
        """Map N x 2 points of the sent picture to the found one, including distortions."""
        return self.pose.sent_to_found(points)


@dataclass(frozen=True, slots=True, eq=False)
class _StartingPoint:
    matched: MatchedStart
    inliers: int
    found_by: FoundBy


def register(
    found: Pixels | FoundPictureFeatures,
    sent_rgb: Pixels,
    sent_features: Features | None = None,
    *,
    thorough: bool = True,
) -> Registration | None:
    """Register a found picture on a sent one; None if it does not seem to show the sent picture.

    Args:
        found: (h, w, 3) uint8, or ``wrap_found_picture(found_rgb)`` for several comparisons.
        sent_rgb: (H, W, 3) uint8.
        sent_features: features of ``sent_rgb``, if they have been computed already.
        thorough: if few points match, try more points and then a search without features, which
            takes seconds. If it is False, a registration that needs more than the first points is
            not found, and None is returned in a fraction of a second.
    """
    found, sent_grey = wrap_found_picture(found), to_grey(sent_rgb)
    estimates = estimates_from_features(
        found,
        sent_features or extract_features_from_luma(sent_grey),
        sent_grey if thorough else None,
    )
    best = _refine_best(found, sent_grey, (_start_from_features(rough) for rough in estimates))
    if best is not None or not thorough:
        return best
    return _refine_best(found, sent_grey, _starts_without_features(found, sent_grey))


def _starts_without_features(
    found: FoundPictureFeatures, sent_grey: Pixels
) -> Iterator[_StartingPoint]:
    """Yield starting points, the likeliest and cheapest first.

    The caller asks for the next one only if no earlier one gave a result that ends the search.
    """
    for homography in whole_frame_homographies(_width_and_height(sent_grey), found.size):
        yield _start_without_matches(homography, FoundBy.WHOLE_FRAME)
    for search in (search_upright, search_all_poses):
        for homography in search(found.grey, sent_grey):
            yield _start_without_matches(homography, FoundBy.SEARCH)


@dataclass(frozen=True, slots=True, eq=False)
class HomographyEstimate:
    """A homography from sent to found, the number of agreeing matches, and all matches."""

    homography: Homography
    inliers: int
    at_sent: Points
    at_found: Points


def _start_from_features(rough: HomographyEstimate) -> _StartingPoint:
    matched = MatchedStart(rough.homography, rough.at_sent, rough.at_found)
    return _StartingPoint(matched, rough.inliers, FoundBy.FEATURES)


def _start_without_matches(homography: Homography, found_by: FoundBy) -> _StartingPoint:
    none: Points = np.empty((0, 2))
    return _StartingPoint(MatchedStart(homography, none, none), 0, found_by)


def _refine_best(
    found: FoundPictureFeatures, sent_grey: Pixels, starts: Iterator[_StartingPoint]
) -> Registration | None:
    """Refine starting points, and return the credible result with the least misfit, or None."""
    best: Registration | None = None
    for start in starts:
        certain = start.inliers >= CERTAIN_INLIERS
        refined = refine(found.grey, sent_grey, start.matched, certain=certain)
        if refined is None or not is_plausible(
            refined.pose.homography, _width_and_height(sent_grey), found.size
        ):
            continue
        candidate = _registration_of(refined, start, _width_and_height(sent_grey), found.size)
        if (best is None or candidate.misfit < best.misfit) and _is_credible(
            found.grey, sent_grey, candidate
        ):
            best = candidate
        if best is not None and (start.inliers >= ENOUGH_INLIERS or _may_end_search(best)):
            break
    return best


def _may_end_search(candidate: Registration) -> bool:
    """Return whether this result is so good that no further starting point is tried.

    A bent result is not good enough, because a bend can hide a bad starting point.
    """
    return not candidate.is_bent and candidate.misfit <= _CERTAIN_MISFIT_MAX


def _registration_of(
    refined: RefinedPose, start: _StartingPoint, sent: Size, found: Size
) -> Registration:
    homography, bent_px = _nearest_homography(refined.pose, sent, found)
    return Registration(
        warp=describe_warp(homography, sent, found, bent_px=bent_px),
        inliers=start.inliers,
        misfit=refined.misfit,
        sent_size=sent,
        found_size=found,
        pose=refined.pose,
        found_by=start.found_by,
        error_px=refined.error_px,
    )


def _nearest_homography(pose: Pose, sent: Size, found: Size) -> tuple[Homography, float]:
    """Return the homography nearest to a bent pose, and its largest error in found pixels."""
    if pose.is_straight:
        return pose.homography, 0.0
    left, top, right, bottom = visible_box(pose.homography, sent, found)
    across, down = (
        np.linspace(left, right - 1, _GRID_POINTS_PER_SIDE),
        np.linspace(top, bottom - 1, _GRID_POINTS_PER_SIDE),
    )
    points = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
    positions = pose.sent_to_found(points)
    return fit_homography(points, positions)


def _is_credible(found_grey: Pixels, sent_grey: Pixels, candidate: Registration) -> bool:
    """Return whether enough points agree, or fine detail agrees, or the blurred pictures agree."""
    if candidate.inliers >= CERTAIN_INLIERS or candidate.misfit <= _MISFIT_MAX:
        return True
    box = visible_box(candidate.homography, candidate.sent_size, candidate.found_size)
    return agrees_when_blurred(
        PicturePairWithVisibleBox(found_grey, sent_grey, box), candidate.pose, candidate.warp.scale
    )


def _width_and_height(grey: Pixels) -> Size:
    return grey.shape[1], grey.shape[0]


ENOUGH_INLIERS: Final = 40  # the search ends with this many inliers
CERTAIN_INLIERS: Final = 25  # this many inliers do not arise by chance
QUICK_INLIERS_MIN: Final = 12  # a quick search needs this many inliers
_INLIERS_MIN: Final = 6  # an estimate with fewer inliers is ignored
# fewer inliers do not determine a homography's eight parameters; then a similarity is fitted
_FULL_HOMOGRAPHY_INLIERS: Final = 60
_RANSAC_TOLERANCE_SHARE: Final = 3.0 / 1200  # as a share of the found picture's longest side
_RANSAC_ITERATIONS_MAX: Final = 10_000
_RANSAC_CONFIDENCE: Final = 0.9999
# each pair is (mirrored, inverted)
_MIRRORED_AND_INVERTED: Final = ((False, False), (True, False), (False, True), (True, True))
# the found picture is also tried at these sizes (its longest side)
_FURTHER_SIDES_PX: Final = (1600, 700)
# size and number of features of the sent picture, for a found one that shows a small detail of it
_DETAIL_SEARCH_SIDE_PX: Final = 2400
_DETAIL_SEARCH_POINTS: Final = 8000
_ESTIMATES_MAX: Final = 3
# a quick search uses only this many points first when it tries the found picture mirrored or
# inverted; unrelated pictures have 8 to 15 matches
_QUICK_SAMPLE_POINTS: Final = 600
_SAMPLE_MATCHES_MIN: Final = 24


def estimates_from_features(
    found: FoundPictureFeatures, sent: Features, sent_grey: Pixels | None
) -> list[HomographyEstimate]:
    """Return homographies from matched features, most inliers first; at most three.

    Args:
        found: the found picture.
        sent: features of the sent one.
        sent_grey: the sent picture's luma. If it is given, and few matches agree, further features
            are computed from it, which takes a second. None means a quick search.
    """
    estimates: list[HomographyEstimate] = []
    for rough in _estimate_all(found, sent, sent_grey):
        estimates.append(rough)
        if rough.inliers >= ENOUGH_INLIERS:
            break
    least = QUICK_INLIERS_MIN if sent_grey is None else _INLIERS_MIN
    enough = [rough for rough in estimates if rough.inliers >= least]
    return sorted(enough, key=lambda rough: -rough.inliers)[:_ESTIMATES_MAX]


def _estimate_all(
    found: FoundPictureFeatures, sent: Features, sent_grey: Pixels | None
) -> Iterator[HomographyEstimate]:
    sample = select_strongest(sent, _QUICK_SAMPLE_POINTS)
    for mirrored, inverted in _MIRRORED_AND_INVERTED:
        view = found.features(FIRST_TRIED_SIDE_PX, mirrored=mirrored, inverted=inverted)
        # in a quick search, rare cases are tried only if a sample of the points suggests them
        if (
            sent_grey is None
            and mirrored | inverted
            and len(match_features(view, sample)[0]) < _SAMPLE_MATCHES_MIN
        ):
            continue
        yield from _estimate_at_size(
            found, FIRST_TRIED_SIDE_PX, sent, mirrored=mirrored, inverted=inverted
        )
    if sent_grey is None:
        return
    dense = extract_features_from_luma(
        sent_grey, side_px=_DETAIL_SEARCH_SIDE_PX, limit=_DETAIL_SEARCH_POINTS
    )
    large = extract_large_shape_features(sent_grey)
    for mirrored, inverted in _MIRRORED_AND_INVERTED:
        for side_px, points in (*((side_px, dense) for side_px in _FURTHER_SIDES_PX), (0, large)):
            yield from _estimate_at_size(
                found, side_px, points, mirrored=mirrored, inverted=inverted
            )


def _estimate_at_size(
    found: FoundPictureFeatures, side_px: int, sent: Features, *, mirrored: bool, inverted: bool
) -> Iterator[HomographyEstimate]:
    view = found.features(side_px, mirrored=mirrored, inverted=inverted)
    at_sent, at_found = match_features(view, sent)
    if len(at_sent) < _INLIERS_MIN:
        return
    tolerance = _RANSAC_TOLERANCE_SHARE * max(found.size)
    estimates = (
        _fit_homography(at_sent, at_found, tolerance)
        if len(at_sent) >= _FULL_HOMOGRAPHY_INLIERS
        else None
    )
    if estimates is None or estimates.inliers < _FULL_HOMOGRAPHY_INLIERS:
        estimates = _fit_similarity(at_sent, at_found, tolerance, mirrored=mirrored)
    if estimates is None or estimates.inliers < _INLIERS_MIN:
        return
    if is_plausible(estimates.homography, sent.size, found.size):
        yield estimates


def _fit_homography(
    at_sent: Points, at_found: Points, tolerance: float
) -> HomographyEstimate | None:
    found: tuple[Any, Any] = cv2.findHomography(
        at_sent,
        at_found,
        cv2.USAC_MAGSAC,
        tolerance,
        maxIters=_RANSAC_ITERATIONS_MAX,
        confidence=_RANSAC_CONFIDENCE,
    )
    homography, agree = found
    if homography is None:
        return None
    return HomographyEstimate(np.asarray(homography), int(agree.sum()), at_sent, at_found)


def _fit_similarity(
    at_sent: Points, at_found: Points, tolerance: float, *, mirrored: bool
) -> HomographyEstimate | None:
    # OpenCV's similarity transforms cannot mirror, so the sent points are mirrored first
    flip = np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])
    found: tuple[Any, Any] = cv2.estimateAffinePartial2D(
        at_sent @ flip[:2, :2],
        at_found,
        method=cv2.RANSAC,
        ransacReprojThreshold=tolerance,
        maxIters=_RANSAC_ITERATIONS_MAX,
        confidence=_RANSAC_CONFIDENCE,
    )
    affine, agree = found
    if affine is None:
        return None
    homography = np.vstack([affine, [0.0, 0.0, 1.0]]) @ flip
    return HomographyEstimate(homography, int(agree.sum()), at_sent, at_found)
