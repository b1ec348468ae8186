"""Refine a first homography as far as the pixels allow, including exact crops and resizes, and say
how well it fits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from entrenous.watermark.alignment.elastic import bent, lensed, threaded, wants_bending
from entrenous.watermark.alignment.features import Pixels
from entrenous.watermark.alignment.gauss_newton import (
    Freedom,
    Level,
    error_px,
    level,
    polished,
    similar_freedom,
    upright_freedom,
)
from entrenous.watermark.alignment.misfit import Bench, Pair, bench, misfit
from entrenous.watermark.alignment.transforms import (
    Homography,
    Points,
    Pose,
    Size,
    apply_homography,
    corners,
    inverse,
    middle,
    nearest,
    plausible,
    scale_at,
    seen_box,
    similar,
    slope_at,
)

_SMALL_SIDES_PX: Final = (60, 120)  # a start from a search is a few hundredths of the side off
_SIDES_PX: Final = (250, 500, 1000)
_STEPS: Final = 6
_JUDGED_PX: Final = 1500
_EXACT_BONUS: Final = 1.02  # resampling smooths noise away, so an exact fit looks a little worse
_BLURRED_PX: Final = 75
# unrelated photographs come out at 0.9 or more, in fine detail and in the large
_BLURRED_MISFIT_MAX: Final = 0.4
_HOPEFUL_MISFIT_MAX: Final = 0.8
_EXACT_PX: Final = 0.05  # an exact fit may be this far from the estimate, and so many errors more
_EXACT_SD: Final = 8.0
_SAME_PX: Final = 1e-3
_SIMPLE_BONUS: Final = 1.01
_SLACK: Final = 0.0003
_UNSURE_PX: Final = 0.05  # bench pixels: a homography known less well than this may be too free
_LEAN_MAX: Final = 0.03  # of the diagonal
_PERFECT: Final = 0.002  # misfit: there is nothing left to bend
_LENS_GAIN: Final = 0.995  # a lens or a bend must lower the misfit to this share of it
_BEND_GAIN: Final = 0.985
_MATCHES_MIN: Final = 60  # for a lens through them
_THREAD_MIN: Final = 150  # for a lattice through them
_GRID: Final = 15  # places along each side where a bend is measured
_SPANS: Final = 8
_SPANS_FINE: Final = 16


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """How a picture lies, what misfit is left, and the standard error of a place, in found px."""

    pose: Pose
    misfit: float
    error_px: float


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """A homography and the matched points behind it, N x 2 each; N may be 0."""

    homography: Homography
    at_sent: Points
    at_found: Points


def settle(
    found_grey: Pixels, sent_grey: Pixels, start: Matched, *, certain: bool
) -> Settled | None:
    """Sharpen one start: homography, exact neighbours, lens, bend; the simplest that fits best.

    None when an uncertain start comes to nothing on small copies of the pictures already.
    """
    settling = _Settling(found_grey, sent_grey, start, certain=certain)
    if certain:
        return settling.settled()
    hopeful = settling.hopeful()
    if hopeful is None:
        return None
    start = replace(start, homography=hopeful)
    return _Settling(found_grey, sent_grey, start, certain=False).settled()


def alike_in_the_large(pair: Pair, pose: Pose, scale: float) -> bool:
    """Whether the pictures agree when they are blurred: enough for a calm one, without detail."""
    return misfit(bench(pair, scale=scale, side_px=_BLURRED_PX), pose) <= _BLURRED_MISFIT_MAX


class _Settling:
    """One start's benches, prepared once, and the steps from coarse to fine."""

    def __init__(
        self, found_grey: Pixels, sent_grey: Pixels, start: Matched, *, certain: bool
    ) -> None:
        self._certain = certain
        self._sent: Size = (sent_grey.shape[1], sent_grey.shape[0])
        self._found: Size = (found_grey.shape[1], found_grey.shape[0])
        self._start = start
        box = seen_box(start.homography, self._sent, self._found)
        centre = np.array([(box[0] + box[2] - 1) / 2, (box[1] + box[3] - 1) / 2])
        self._pair = Pair(found_grey, sent_grey, box)
        self._scale = scale_at(start.homography, centre)
        self._levels: dict[int, Level] = {}
        self._judging: Bench | None = None

    def hopeful(self) -> Homography | None:
        """The start, or what small benches make of it, if one of them is worth more."""
        start = self._start.homography
        tried = [Pose(start)]
        for one in (similar(start, self._frame()), start):
            pose = Pose(one)
            for side_px in (*_SMALL_SIDES_PX, _SIDES_PX[0]):
                pose = self._polished(side_px, pose, similar_freedom()) or pose
            tried += [pose, self._polished(_SIDES_PX[0], pose) or pose]
        small = self._level(_SIDES_PX[0]).bench
        large = bench(self._pair, scale=self._scale, side_px=_BLURRED_PX)
        judged = [
            (misfit(small, pose), misfit(large, pose), pose.homography)
            for pose in tried
            if plausible(pose.homography, self._sent, self._found)
        ]
        fine, blurred, best = min(judged, key=lambda one: one[0] + one[1], default=(1, 1, start))
        return best if fine <= _HOPEFUL_MISFIT_MAX or blurred <= _BLURRED_MISFIT_MAX else None

    def settled(self) -> Settled:
        """The simplest that fits nearly as well as the best: exact, simple, straight, then bent."""
        start = Pose(self._start.homography)
        straight, least = self._least([start, *list(self._sharpened(start))[-1:]])
        best, left, simple, error = straight, least, [straight], self._error_px(straight)
        if error > _UNSURE_PX * self._scale:
            simple += self._simple()
            best, left = self._preferred(simple[1:], best, left, _SIMPLE_BONUS)
        exact = self._exact(simple, straight, error)
        best, left = self._preferred(exact, best, left, _EXACT_BONUS)
        if least > _PERFECT and wants_bending(self._level(_SIDES_PX[1]), best):
            best, left = self._curved(straight, best, left)
            if not (best.straight or self._certain):
                best, left = self._preferred(list(self._unbent(best)), best, left, _EXACT_BONUS)
        error = 0.0 if any(best is one for one in exact) else self._error_px(best)
        return Settled(best, min(left, 1.0), error)

    def _exact(self, simple: list[Pose], straight: Pose, error: float) -> list[Pose]:
        """Exact neighbours of the estimates, no farther than an estimate so sure may be off."""
        offered = [
            one for pose in simple for one in snaps(pose.homography, self._sent, self._found)
        ]
        frame, exact = self._frame(), list[Pose]()
        lies = straight.sent_to_found(frame)
        for one in offered:
            at = apply_homography(one, frame)
            near = np.abs(at - lies).max() <= _EXACT_PX + _EXACT_SD * error
            if near and all(
                np.abs(at - kept.sent_to_found(frame)).max() > _SAME_PX for kept in exact
            ):
                exact.append(Pose(one))
        return exact

    def _preferred(
        self, simpler: list[Pose], best: Pose, left: float, bonus: float
    ) -> tuple[Pose, float]:
        """The best of the simpler ones, unless it fits clearly worse."""
        pose, at = self._least(simpler)
        return (pose, at) if at <= bonus * left + _SLACK else (best, left)

    def _sharpened(self, pose: Pose) -> Iterator[Pose]:
        for side_px in _SIDES_PX:
            sharper = self._polished(side_px, pose)
            if sharper is not None and plausible(sharper.homography, self._sent, self._found):
                pose = sharper
                yield pose

    def _simple(self) -> Iterator[Pose]:
        """The start with fewer freedoms, sharpened in these alone: for calm pictures."""
        homography, frame = self._start.homography, self._frame()
        ways = [(similar(homography, frame), similar_freedom())]
        box = upright(apply_homography(homography, frame), skew_max=_LEAN_MAX)
        if box is not None:
            ways.append((between(frame, box), upright_freedom()))
        for start, freedom in ways:
            pose: Pose | None = Pose(start)
            for side_px in _SIDES_PX:
                if pose is not None:
                    pose = self._polished(side_px, pose, freedom)
            if pose is not None and plausible(pose.homography, self._sent, self._found):
                yield pose

    def _polished(self, side_px: int, pose: Pose, freedom: Freedom | None = None) -> Pose | None:
        level, coarser = self._level(side_px), self._coarser(side_px)
        return polished(level, pose, steps=_STEPS, coarser=coarser, freedom=freedom)

    def _coarser(self, side_px: int) -> tuple[Level, ...]:
        """Levels that show clearly larger detail than this one."""
        longest = max(self._level(side_px).bench.size)
        return tuple(self._level(one) for one in _SIDES_PX if 1.5 * one <= longest)

    def _error_px(self, pose: Pose) -> float:
        """In found pixels."""
        finest = _SIDES_PX[-1]
        error = error_px(self._level(finest), pose, self._coarser(finest))
        return error * self._scale / self._shrunk()

    def _misfit(self, pose: Pose) -> float:
        """Of the finest detail and of coarser one, where a calm picture has nothing else."""
        fine, coarse = self._judge(), self._level(_SIDES_PX[1]).bench
        if max(fine.size) < 1.5 * max(coarse.size):
            coarse = self._level(_SIDES_PX[0]).bench
        return 0.5 * (misfit(fine, pose) + misfit(coarse, pose))

    def _shrunk(self) -> float:
        """Bench pixels of the finest level per pixel of the sent picture."""
        bench = self._level(_SIDES_PX[-1]).bench
        return bench.size[0] / bench.size_sent[0]

    def _frame(self) -> Points:
        left, top, right, bottom = np.array(self._pair.seen) - 0.5
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])

    def _curved(self, straight: Pose, best: Pose, left: float) -> tuple[Pose, float]:
        """A lens, or a lattice over that or over the homography, if they fit clearly better."""
        lens = self._lens(straight)
        if lens is not None and (at := self._misfit(lens)) <= _LENS_GAIN * left - _SLACK:
            best, left, straight = lens, at, lens
        if wants_bending(self._level(_SIDES_PX[1]), straight):
            bend, at = self._least(list(self._bends(straight)))
            if at <= _BEND_GAIN * left - _SLACK:
                best, left = bend, at
        return best, left

    def _unbent(self, pose: Pose) -> Iterator[Pose]:
        """The homography nearest to a bend, sharpened: a bend can undo a start that was far off."""
        left, top, right, bottom = self._pair.seen
        across, down = np.linspace(left, right - 1, _GRID), np.linspace(top, bottom - 1, _GRID)
        places = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
        start = Pose(nearest(places, pose.sent_to_found(places))[0])
        for sharper in list(self._sharpened(start))[-1:]:
            yield sharper
            exact = snaps(sharper.homography, self._sent, self._found)
            yield from (Pose(one) for one in exact)

    def _lens(self, straight: Pose) -> Pose | None:
        start = self._start
        pose = lensed(
            straight,
            *(
                (start.at_sent, start.at_found)
                if len(start.at_sent) >= _MATCHES_MIN
                else (np.empty((0, 2)), np.empty((0, 2)))
            ),
            self._sent,
            self._found,
        )
        for side_px in _SIDES_PX:
            if pose is not None:
                pose = self._polished(side_px, pose) or pose
        return pose

    def _bends(self, base: Pose) -> Iterator[Pose]:
        start = self._start
        pose = base
        if len(start.at_sent) >= _THREAD_MIN:
            pose = threaded(base, start.at_sent, start.at_found, self._pair.seen, self._spans(8))
        for side_px, spans in ((250, 8), (500, 8), (500, 16), (1000, 16)):
            pose = bent(self._level(side_px), pose, base, self._spans(spans), steps=_STEPS)
            if (spans == _SPANS and side_px == 500) or side_px == 1000:
                yield pose

    def _spans(self, longest: int) -> tuple[int, int]:
        left, top, right, bottom = self._pair.seen
        width, height = right - left, bottom - top
        share = longest / max(width, height)
        return max(1, round(height * share)), max(1, round(width * share))

    def _least(self, poses: list[Pose]) -> tuple[Pose, float]:
        judged = [(pose, self._misfit(pose)) for pose in poses]
        return min(judged, key=lambda one: one[1], default=(Pose(np.eye(3)), np.inf))

    def _level(self, side_px: int) -> Level:
        if side_px not in self._levels:
            self._levels[side_px] = level(self._bench(side_px))
        return self._levels[side_px]

    def _judge(self) -> Bench:
        if self._judging is None:
            self._judging = self._bench(_JUDGED_PX)
        return self._judging

    def _bench(self, side_px: int) -> Bench:
        return bench(self._pair, scale=self._scale, side_px=side_px)


_SKEW_MAX: Final = 0.003  # of a box's diagonal: beyond, it does not stand upright
_UNIT_TOLERANCE: Final = 0.003  # of the scale: beyond, pixels were resampled
_BORDER: Final = 0.01  # of a side: an edge this near to the border may be the border


def snaps(homography: Homography, sent: Size, found: Size) -> list[Homography]:
    """Exact neighbours of an estimate; the misfit decides whether one of them is better."""
    exact: list[Homography] = []
    frame = upright(apply_homography(inverse(homography), corners(found)))
    if frame is not None:  # the found picture is a box of the sent one, resized
        exact += [between(box, corners(found)) for box in _rounded(frame, sent)]
    placed = upright(apply_homography(homography, corners(sent)))
    if placed is not None:  # the sent picture, resized, is a box of the found one: a screenshot
        exact += [between(corners(sent), box) for box in _rounded(placed, found)]
    return exact + _moved(homography, sent)


def upright(box: Points, *, skew_max: float = _SKEW_MAX) -> Points | None:
    """The nearest box with upright edges, or None when this one leans.

    Args:
        box: four corners, in turn.
        skew_max: how far a corner may be off, as a share of the diagonal.
    """
    diagonal = float(np.linalg.norm(box[2] - box[0]))
    after = np.roll(box, -1, axis=0)
    level = np.argmin(np.abs(after - box), axis=1)  # 1: this edge runs along x; 0: along y
    if not (level[0] == level[2] != level[1] == level[3]):
        return None
    straight = box.copy()
    for edge, axis in enumerate(level):
        ends = [edge, (edge + 1) % 4]
        straight[ends, axis] = box[ends, axis].mean()
    return straight if np.abs(straight - box).max() <= skew_max * diagonal else None


def _rounded(box: Points, into: Size) -> list[Points]:
    """Edges on pixel edges; and once more with those near the border of ``into`` put on it."""
    near = np.rint(box + 0.5) - 0.5
    low, high = np.array([-0.5, -0.5]), np.array(into) - 0.5
    slack = _BORDER * np.array(into)
    bordered = np.where(np.abs(near - low) <= slack, low, near)
    bordered = np.where(np.abs(near - high) <= slack, high, bordered)
    return [near] if np.array_equal(near, bordered) else [near, bordered]


def between(before: Points, after: Points) -> Homography:
    """The homography that carries four points to four others."""
    return np.asarray(
        cv2.getPerspectiveTransform(before.astype(np.float32), after.astype(np.float32)), np.float64
    )


def _moved(homography: Homography, sent: Size) -> list[Homography]:
    """The pixel grid moved by whole pixels, perhaps mirrored or turned by quarters."""
    centre = middle(sent)
    slope = slope_at(homography, centre)
    unit = np.rint(slope)
    if np.abs(slope - unit).max() > _UNIT_TOLERANCE or abs(np.linalg.det(unit)) != 1.0:
        return []
    shift = np.rint(apply_homography(homography, centre[None])[0] - unit @ centre)
    return [np.vstack([np.column_stack([unit, shift]), [0.0, 0.0, 1.0]])]
