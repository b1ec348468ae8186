"""A first homography, from matched points (USAC with MAGSAC++, Barath et al. 2020)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np

from entrenous.craft.align.features import (
    Features,
    Pixels,
    blurred_points_of,
    matches,
    points_of,
    strongest,
)
from entrenous.craft.align.geometry import Homography, Points, plausible
from entrenous.craft.align.look import FIRST_SIDE_PX, Looks

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


@dataclass(frozen=True, slots=True, eq=False)
class Rough:
    """A homography from sent to found, how many matched points agree, and all that were matched."""

    homography: Homography
    inliers: int
    at_sent: Points
    at_found: Points


def from_features(found: Looks, sent: Features, sent_grey: Pixels | None) -> list[Rough]:
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


def _looked(found: Looks, sent: Features, sent_grey: Pixels | None) -> Iterator[Rough]:
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
    found: Looks, side_px: int, sent: Features, *, mirrored: bool, inverted: bool
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
