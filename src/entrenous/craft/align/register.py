"""Find out how a found picture lies on a sent one.

Features give a first homography, a search over turn and scale where there are few. Each is then
sharpened over all pixels (``sharpen/``), and the smaller misfit of fine detail chooses. No key,
stream or score is known here, so trying much costs nothing in honesty. docs/spec/mark.md, 6.1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from entrenous.craft.align.bend import Pose
from entrenous.craft.align.features import Features, Pixels, grey_of, points_of
from entrenous.craft.align.geometry import (
    Homography,
    Points,
    Size,
    described,
    nearest,
    plausible,
    seen_box,
)
from entrenous.craft.align.look import Looks, looks
from entrenous.craft.align.rough import CERTAIN, ENOUGH, Rough, from_features
from entrenous.craft.align.search import searched, whole_frame
from entrenous.craft.align.sharpen.misfit import Pair
from entrenous.craft.align.sharpen.settle import Matched, Settled, alike_in_the_large, settle
from entrenous.craft.align.upright import upright
from entrenous.model.verdict import Warp

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
    found: Pixels | Looks,
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
    found, sent_grey = looks(found), grey_of(sent_rgb)
    said = from_features(
        found, sent_features or points_of(sent_grey), sent_grey if thorough else None
    )
    best = _best(found, sent_grey, (_by_features(rough) for rough in said))
    if best is not None or not thorough:
        return best
    return _best(found, sent_grey, _without_features(found, sent_grey))


def _without_features(found: Looks, sent_grey: Pixels) -> Iterator[_Start]:
    """From the likeliest to the most laborious; each is only tried when the ones before failed."""
    for homography in whole_frame(_size(sent_grey), found.size):
        yield _without(homography, FoundBy.WHOLE_FRAME)
    for search in (upright, searched):
        for homography in search(found.grey, sent_grey):
            yield _without(homography, FoundBy.SEARCH)


def _by_features(rough: Rough) -> _Start:
    matched = Matched(rough.homography, rough.at_sent, rough.at_found)
    return _Start(matched, rough.inliers, FoundBy.FEATURES)


def _without(homography: Homography, found_by: FoundBy) -> _Start:
    none: Points = np.empty((0, 2))
    return _Start(Matched(homography, none, none), 0, found_by)


def _best(found: Looks, sent_grey: Pixels, starts: Iterator[_Start]) -> Registration | None:
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
