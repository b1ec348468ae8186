"""A first homography, from matched points (USAC with MAGSAC++, Barath et al. 2020)."""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np

from entrenous.craft.align.features import Features, Pixels, features, looked_at_px, matches
from entrenous.craft.align.geometry import Homography, Points, Size, mirroring, plausible

ENOUGH: Final = 40  # inliers: the search may stop here
_LEAST: Final = 12  # inliers: fewer say nothing
_FEW: Final = 60  # inliers: fewer do not carry a homography's eight numbers
_TOLERANCE: Final = 3.0 / 1200  # of the found picture's longest side
_ITERATIONS: Final = 10_000
_CONFIDENCE: Final = 0.9999
_LOOKS: Final = (  # longest side, mirrored, inverted; the usual case first
    (1000, False, False),
    (1000, True, False),
    (1600, False, False),
    (700, False, False),
    (1600, True, False),
    (700, True, False),
    (1000, False, True),
)


@dataclass(frozen=True, slots=True, eq=False)
class Rough:
    """A homography from sent to found, and how many matched points agree with it."""

    homography: Homography
    inliers: int


def from_features(found_rgb: Pixels, sent: Features) -> Rough | None:
    """Look at the found picture in several ways until enough points agree; the most inliers win."""
    best: Rough | None = None
    longest_px = max(found_rgb.shape[:2])
    looks = dict.fromkeys(
        (looked_at_px(longest_px, side_px), mirrored, inverted)
        for side_px, mirrored, inverted in _LOOKS
    )
    for side_px, mirrored, inverted in looks:
        rough = _look(found_rgb, sent, side_px, mirrored=mirrored, inverted=inverted)
        if rough is not None and (best is None or rough.inliers > best.inliers):
            best = rough
        if best is not None and best.inliers >= ENOUGH:
            break
    return best


def _look(
    found_rgb: Pixels, sent: Features, side_px: int, *, mirrored: bool, inverted: bool
) -> Rough | None:
    seen = np.ascontiguousarray(found_rgb[:, ::-1]) if mirrored else found_rgb
    found = features(255 - seen if inverted else seen, side_px=side_px)
    rough = _agreed(*matches(found, sent), sent.size, found.size)
    if rough is None or not mirrored:
        return rough
    return Rough(mirroring(found.size) @ rough.homography, rough.inliers)


def _agreed(at_sent: Points, at_found: Points, sent: Size, found: Size) -> Rough | None:
    if len(at_sent) < _LEAST:
        return None
    tolerance = _TOLERANCE * max(found)
    rough = _homography(at_sent, at_found, tolerance)
    if rough is None or rough.inliers < _FEW:
        rough = _similarity(at_sent, at_found, tolerance)
    if rough is None or rough.inliers < _LEAST or not plausible(rough.homography, sent, found):
        return None
    return rough


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
    return None if homography is None else Rough(np.asarray(homography), int(agree.sum()))


def _similarity(at_sent: Points, at_found: Points, tolerance: float) -> Rough | None:
    found: tuple[Any, Any] = cv2.estimateAffinePartial2D(
        at_sent,
        at_found,
        method=cv2.RANSAC,
        ransacReprojThreshold=tolerance,
        maxIters=_ITERATIONS,
        confidence=_CONFIDENCE,
    )
    affine, agree = found
    if affine is None:
        return None
    return Rough(np.vstack([affine, [0.0, 0.0, 1.0]]), int(agree.sum()))
