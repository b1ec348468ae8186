"""Refine an initial homography to a fraction of a pixel, and measure how well it fits.

A pose is a mapping from the sent to the found picture: a homography, perhaps with a bend or a lens.
A scaled pair is the two pictures at a size at which they are compared (misfit.py). An exact mapping
is one that programs make: a crop or a resize with edges on pixel edges, or a shift by whole pixels.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from entrenous.watermark.alignment.elastic import (
    fit_bend_to_matches,
    fit_bend_to_pixels,
    fit_lens_to_matches,
    needs_bend,
)
from entrenous.watermark.alignment.features import Pixels
from entrenous.watermark.alignment.gauss_newton import (
    Freedom,
    Level,
    optimise_pose,
    position_error_px,
    prepare_level,
    similarity_freedom,
    upright_freedom,
)
from entrenous.watermark.alignment.misfit import (
    PicturePairWithVisibleBox,
    ScaledPair,
    make_scaled_pair,
    misfit,
)
from entrenous.watermark.alignment.template_search import whole_frame_homographies
from entrenous.watermark.alignment.transforms import (
    Homography,
    Points,
    Pose,
    Size,
    apply_homography,
    centre_of,
    fit_homography,
    invert_homography,
    is_plausible,
    jacobian_at,
    nearest_similarity,
    picture_corners,
    scale_at,
    visible_box,
)

# starting points found by search are off by a few hundredths of the side; they are improved first
_SMALL_SIDES_PX: Final = (60, 120)
_REFINEMENT_SIDES_PX: Final = (250, 500, 1000)
_OPTIMISER_STEPS: Final = 6
_FINEST_SIDE_PX: Final = 1500
# an exact mapping may have a misfit this many times larger, because inexact ones smooth noise
_EXACT_MISFIT_FACTOR_MAX: Final = 1.02
_BLURRED_SIDE_PX: Final = 75
# unrelated photographs have a misfit of 0.9 or more, in fine detail and blurred
_BLURRED_MISFIT_MAX: Final = 0.4
_HOPEFUL_MISFIT_MAX: Final = 0.8
# an exact mapping may differ from the estimate by this many pixels, plus this many standard errors
_EXACT_TOLERANCE_PX: Final = 0.05
_EXACT_TOLERANCE_STANDARD_ERRORS: Final = 8.0
_SAME_POSITION_PX: Final = 1e-3
# a found picture may be the whole sent one if no corner is farther off than this share of a side
_WHOLE_FRAME_TOLERANCE_SHARE: Final = 0.01
_SIMPLE_MISFIT_FACTOR_MAX: Final = 1.01
_MISFIT_SLACK: Final = 0.0003
# with a larger standard error, in pixels of the sent picture, fewer parameters are tried
_UNCERTAIN_ERROR_PX: Final = 0.05
# a box is made upright if no corner then moves by more than this share of the diagonal
_BOX_SKEW_SHARE_MAX: Final = 0.03
_PERFECT_MISFIT_MAX: Final = 0.002  # with a smaller misfit, no bend is tried
_LENS_MISFIT_FACTOR_MAX: Final = 0.995  # a lens must lower the misfit to this share
_BEND_MISFIT_FACTOR_MAX: Final = 0.985
_LENS_MATCHES_MIN: Final = 60  # fitting a lens needs this many matches
_BEND_MATCHES_MIN: Final = 150  # fitting a bend to matches needs this many of them
# a bend is measured at a grid with this many points along each side
_GRID_POINTS_PER_SIDE: Final = 15
_BEND_SPANS: Final = 8
_THREADS: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class RefinedPose:
    """The refined pose, its misfit, and the standard error of a position in found pixels."""

    pose: Pose
    misfit: float
    error_px: float


@dataclass(frozen=True, slots=True, eq=False)
class MatchedStart:
    """A homography, and the matched points from which it was fitted, N x 2 each; N may be 0. Some
    of the matches may be wrong.
    """

    homography: Homography
    at_sent: Points
    at_found: Points


def refine(
    found_grey: Pixels, sent_grey: Pixels, start: MatchedStart, *, certain: bool
) -> RefinedPose | None:
    """Refine one starting point, and return the simplest pose that fits well.

    Poses with and without a bend or a lens are tried, and exact mappings near them.

    Returns: None if the starting point is not ``certain`` and does not fit at small sizes.
    """
    settling = _Refinement(found_grey, sent_grey, start, certain=certain)
    if certain:
        return settling.refine()
    promising = settling.improved_start()
    if promising is None:
        return None
    start = replace(start, homography=promising)
    return _Refinement(found_grey, sent_grey, start, certain=False).refine()


def agrees_when_blurred(pair: PicturePairWithVisibleBox, pose: Pose, scale: float) -> bool:
    """Return whether the blurred pictures agree, which is enough if there is no fine detail."""
    blurred = make_scaled_pair(pair, scale=scale, side_px=_BLURRED_SIDE_PX)
    return misfit(blurred, pose) <= _BLURRED_MISFIT_MAX


class _Refinement:
    """One starting point with both pictures at several sizes, refined from coarse to fine."""

    def __init__(
        self, found_grey: Pixels, sent_grey: Pixels, start: MatchedStart, *, certain: bool
    ) -> None:
        self._certain = certain
        self._sent: Size = (sent_grey.shape[1], sent_grey.shape[0])
        self._found: Size = (found_grey.shape[1], found_grey.shape[0])
        self._start = start
        box = visible_box(start.homography, self._sent, self._found)
        centre = np.array([(box[0] + box[2] - 1) / 2, (box[1] + box[3] - 1) / 2])
        self._pair = PicturePairWithVisibleBox(found_grey, sent_grey, box)
        self._scale = scale_at(start.homography, centre)
        self._levels: dict[int, Level] = {}
        self._judging: ScaledPair | None = None

    def improved_start(self) -> Homography | None:
        """Return the best of the starting point and its improvements at small sizes.

        Returns: None if none of them is good.
        """
        start = self._start.homography
        tried = [Pose(start)]
        for one in (nearest_similarity(start, self._visible_corners()), start):
            pose = Pose(one)
            for side_px in (*_SMALL_SIDES_PX, _REFINEMENT_SIDES_PX[0]):
                pose = self._optimise_at_size(side_px, pose, similarity_freedom()) or pose
            tried += [pose, self._optimise_at_size(_REFINEMENT_SIDES_PX[0], pose) or pose]
        small = self._comparison_level(_REFINEMENT_SIDES_PX[0]).scaled
        large = make_scaled_pair(self._pair, scale=self._scale, side_px=_BLURRED_SIDE_PX)
        scored = [
            (misfit(small, pose), misfit(large, pose), pose.homography)
            for pose in tried
            if is_plausible(pose.homography, self._sent, self._found)
        ]
        fine, blurred, best = min(scored, key=lambda one: one[0] + one[1], default=(1, 1, start))
        return best if fine <= _HOPEFUL_MISFIT_MAX or blurred <= _BLURRED_MISFIT_MAX else None

    def refine(self) -> RefinedPose:
        """Return the simplest pose that fits nearly as well as the best one.

        Exact poses, and poses without bend and lens, count as simpler.
        """
        start = Pose(self._start.homography)
        straight, least = self._best_by_misfit(
            [start, *list(self._refine_step_by_step(start))[-1:]]
        )
        best, best_misfit, simple, error = straight, least, [straight], self._error_px(straight)
        if error > _UNCERTAIN_ERROR_PX * self._scale:
            simple += self._with_fewer_parameters()
            best, best_misfit = self._simplest_good_enough(
                simple[1:], best, best_misfit, _SIMPLE_MISFIT_FACTOR_MAX
            )
        exact = self._pixel_aligned_poses_near(simple, straight, error)
        best, best_misfit = self._simplest_good_enough(
            exact, best, best_misfit, _EXACT_MISFIT_FACTOR_MAX
        )
        whole = self._whole_frame_poses_near(best)
        best, best_misfit = self._simplest_good_enough(whole, best, best_misfit, 1.0)
        exact += whole
        if least > _PERFECT_MISFIT_MAX and needs_bend(
            self._comparison_level(_REFINEMENT_SIDES_PX[1]), best
        ):
            best, best_misfit = self._with_distortion(straight, best, best_misfit)
            if not (best.is_straight or self._certain):
                best, best_misfit = self._simplest_good_enough(
                    list(self._nearby_homographies(best)),
                    best,
                    best_misfit,
                    _EXACT_MISFIT_FACTOR_MAX,
                )
        error = 0.0 if any(best is one for one in exact) else self._error_px(best)
        return RefinedPose(best, min(best_misfit, 1.0), error)

    def _pixel_aligned_poses_near(
        self, simple: list[Pose], straight: Pose, error: float
    ) -> list[Pose]:
        """Return pixel-aligned poses (of an exact crop, scaling or turn) near the estimates.

        Each lies within the uncertainty of ``straight``, the estimate without bend and lens.
        """
        neighbours = [
            one
            for pose in simple
            for one in pixel_aligned_candidates(pose.homography, self._sent, self._found)
        ]
        frame, exact = self._visible_corners(), list[Pose]()
        positions = straight.sent_to_found(frame)
        for one in neighbours:
            at = apply_homography(one, frame)
            near = (
                np.abs(at - positions).max()
                <= _EXACT_TOLERANCE_PX + _EXACT_TOLERANCE_STANDARD_ERRORS * error
            )
            if near and all(
                np.abs(at - kept.sent_to_found(frame)).max() > _SAME_POSITION_PX for kept in exact
            ):
                exact.append(Pose(one))
        return exact

    def _whole_frame_poses_near(self, pose: Pose) -> list[Pose]:
        """Return poses near this one that scale the whole sent picture to the whole found one.

        In a smooth picture, an estimate may be wrong by more than its standard error.
        """
        frame, exact = picture_corners(self._sent), list[Pose]()
        for one in whole_frame_homographies(self._sent, self._found):
            apart = np.abs(apply_homography(one, frame) - pose.sent_to_found(frame)).max()
            if _SAME_POSITION_PX < apart <= _WHOLE_FRAME_TOLERANCE_SHARE * max(self._found):
                exact.append(Pose(one))
        return exact

    def _simplest_good_enough(
        self, simpler: list[Pose], best: Pose, best_misfit: float, bonus: float
    ) -> tuple[Pose, float]:
        """Return the best of the simpler poses, or ``best`` if ``best`` fits clearly better."""
        pose, at = self._best_by_misfit(simpler)
        return (pose, at) if at <= bonus * best_misfit + _MISFIT_SLACK else (best, best_misfit)

    def _refine_step_by_step(self, pose: Pose) -> Iterator[Pose]:
        for side_px in _REFINEMENT_SIDES_PX:
            sharper = self._optimise_at_size(side_px, pose)
            if sharper is not None and is_plausible(sharper.homography, self._sent, self._found):
                pose = sharper
                yield pose

    def _with_fewer_parameters(self) -> Iterator[Pose]:
        """Yield the starting point optimised with fewer parameters, for smooth pictures."""
        homography, frame = self._start.homography, self._visible_corners()
        variants = [(nearest_similarity(homography, frame), similarity_freedom())]
        box = nearest_upright_box(apply_homography(homography, frame), skew_max=_BOX_SKEW_SHARE_MAX)
        if box is not None:
            variants.append((homography_between(frame, box), upright_freedom()))
        with ThreadPoolExecutor(_THREADS) as threads:
            for pose in threads.map(self._optimise_at_all_sizes, variants):
                if pose is not None and is_plausible(pose.homography, self._sent, self._found):
                    yield pose

    def _optimise_at_all_sizes(self, variant: tuple[Homography, Freedom]) -> Pose | None:
        start, freedom = variant
        pose: Pose | None = Pose(start)
        for side_px in _REFINEMENT_SIDES_PX:
            if pose is not None:
                pose = self._optimise_at_size(side_px, pose, freedom)
        return pose

    def _optimise_at_size(
        self, side_px: int, pose: Pose, freedom: Freedom | None = None
    ) -> Pose | None:
        level, coarser = self._comparison_level(side_px), self._coarser_levels(side_px)
        return optimise_pose(level, pose, steps=_OPTIMISER_STEPS, coarser=coarser, freedom=freedom)

    def _coarser_levels(self, side_px: int) -> tuple[Level, ...]:
        """Return the levels whose detail is clearly coarser than at this size."""
        longest = max(self._comparison_level(side_px).scaled.size)
        return tuple(
            self._comparison_level(one) for one in _REFINEMENT_SIDES_PX if 1.5 * one <= longest
        )

    def _error_px(self, pose: Pose) -> float:
        finest = _REFINEMENT_SIDES_PX[-1]
        error = position_error_px(
            self._comparison_level(finest), pose, self._coarser_levels(finest)
        )
        return error * self._scale / self._finest_scale()

    def _misfit(self, pose: Pose) -> float:
        """Return the mean of the misfits at the finest size and at a coarser one.

        In smooth pictures, only the coarser one distinguishes between alignments.
        """
        fine, coarse = self._finest_pair(), self._comparison_level(_REFINEMENT_SIDES_PX[1]).scaled
        if max(fine.size) < 1.5 * max(coarse.size):
            coarse = self._comparison_level(_REFINEMENT_SIDES_PX[0]).scaled
        return 0.5 * (misfit(fine, pose) + misfit(coarse, pose))

    def _finest_scale(self) -> float:
        """Return how many pixels the finest refinement size has per pixel of the sent picture."""
        scaled = self._comparison_level(_REFINEMENT_SIDES_PX[-1]).scaled
        return scaled.size[0] / scaled.size_sent[0]

    def _visible_corners(self) -> Points:
        left, top, right, bottom = np.array(self._pair.seen) - 0.5
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])

    def _with_distortion(
        self, straight: Pose, best: Pose, best_misfit: float
    ) -> tuple[Pose, float]:
        """Return a pose with a lens, a bend or both if that fits clearly better, else ``best``."""
        with ThreadPoolExecutor(1) as executor:
            # The bends are fitted to the straight pose at the same time as the lens: usually no
            # lens fits better, and then these bends are used.
            fitting = executor.submit(self._fit_needed_bends, straight)
            lens = self._fit_lens(straight)
            at = np.inf if lens is None else self._misfit(lens)
            bends = fitting.result()
        if lens is not None and at <= _LENS_MISFIT_FACTOR_MAX * best_misfit - _MISFIT_SLACK:
            best, best_misfit, bends = lens, at, self._fit_needed_bends(lens)
        bend, at = self._best_by_misfit(bends)
        if at <= _BEND_MISFIT_FACTOR_MAX * best_misfit - _MISFIT_SLACK:
            best, best_misfit = bend, at
        return best, best_misfit

    def _fit_needed_bends(self, straight: Pose) -> list[Pose]:
        """Return bent poses that start from this one; none if it fits without a bend."""
        if not needs_bend(self._comparison_level(_REFINEMENT_SIDES_PX[1]), straight):
            return []
        return list(self._fit_bends(straight))

    def _nearby_homographies(self, pose: Pose) -> Iterator[Pose]:
        """Yield homographies near a bent pose.

        The bend may have corrected a bad starting point. So the homography nearest to the bent pose
        is refined again, and exact mappings near it are added.
        """
        left, top, right, bottom = self._pair.seen
        across, down = (
            np.linspace(left, right - 1, _GRID_POINTS_PER_SIDE),
            np.linspace(top, bottom - 1, _GRID_POINTS_PER_SIDE),
        )
        places = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
        start = Pose(fit_homography(places, pose.sent_to_found(places))[0])
        for sharper in list(self._refine_step_by_step(start))[-1:]:
            yield sharper
            exact = pixel_aligned_candidates(sharper.homography, self._sent, self._found)
            yield from (Pose(one) for one in exact)

    def _fit_lens(self, straight: Pose) -> Pose | None:
        start = self._start
        pose = fit_lens_to_matches(
            straight,
            *(
                (start.at_sent, start.at_found)
                if len(start.at_sent) >= _LENS_MATCHES_MIN
                else (np.empty((0, 2)), np.empty((0, 2)))
            ),
            self._sent,
            self._found,
        )
        for side_px in _REFINEMENT_SIDES_PX:
            if pose is not None:
                pose = self._optimise_at_size(side_px, pose) or pose
        return pose

    def _fit_bends(self, base: Pose) -> Iterator[Pose]:
        start = self._start
        pose = base
        if len(start.at_sent) >= _BEND_MATCHES_MIN:
            pose = fit_bend_to_matches(
                base, start.at_sent, start.at_found, self._pair.seen, self._lattice_spans(8)
            )
        for side_px, spans in ((250, 8), (500, 8), (500, 16), (1000, 16)):
            pose = fit_bend_to_pixels(
                self._comparison_level(side_px),
                pose,
                base,
                self._lattice_spans(spans),
                steps=_OPTIMISER_STEPS,
            )
            if (spans == _BEND_SPANS and side_px == 500) or side_px == 1000:
                yield pose

    def _lattice_spans(self, longest: int) -> tuple[int, int]:
        left, top, right, bottom = self._pair.seen
        width, height = right - left, bottom - top
        share = longest / max(width, height)
        return max(1, round(height * share)), max(1, round(width * share))

    def _best_by_misfit(self, poses: list[Pose]) -> tuple[Pose, float]:
        self._finest_pair()  # prepared before threads share it
        with ThreadPoolExecutor(_THREADS) as threads:
            scored = list(zip(poses, threads.map(self._misfit, poses), strict=True))
        return min(scored, key=lambda one: one[1], default=(Pose(np.eye(3)), np.inf))

    def _comparison_level(self, side_px: int) -> Level:
        if side_px not in self._levels:
            self._levels[side_px] = prepare_level(self._pair_at_size(side_px))
        return self._levels[side_px]

    def _finest_pair(self) -> ScaledPair:
        if self._judging is None:
            self._judging = self._pair_at_size(_FINEST_SIDE_PX)
        return self._judging

    def _pair_at_size(self, side_px: int) -> ScaledPair:
        return make_scaled_pair(self._pair, scale=self._scale, side_px=side_px)


_SKEW_MAX: Final = 0.003  # a box with a skew of more than this share of its diagonal is not upright
# if the scale differs from 1 by more than this, pixels were resampled
_SCALE_TOLERANCE: Final = 0.003
# an edge that is closer to the border than this share of a side may be the border
_SNAP_TO_BORDER_SHARE_MAX: Final = 0.01


def pixel_aligned_candidates(homography: Homography, sent: Size, found: Size) -> list[Homography]:
    """Return exact mappings near an estimate; the misfit decides whether one of them is better."""
    exact: list[Homography] = []
    frame = nearest_upright_box(
        apply_homography(invert_homography(homography), picture_corners(found))
    )
    if frame is not None:  # perhaps the found picture is a box of the sent one that was resized
        exact += [
            homography_between(box, picture_corners(found)) for box in _round_box_edges(frame, sent)
        ]
    placed = nearest_upright_box(apply_homography(homography, picture_corners(sent)))
    # perhaps a box of the found picture is the resized sent one, as in a screenshot
    if placed is not None:
        exact += [
            homography_between(picture_corners(sent), box)
            for box in _round_box_edges(placed, found)
        ]
    return exact + _whole_pixel_shifts(homography, sent)


def nearest_upright_box(box: Points, *, skew_max: float = _SKEW_MAX) -> Points | None:
    """Return the nearest box with upright edges, or None if this box is tilted.

    Args:
        box: its four corners, in order.
        skew_max: tolerance for a corner, as a share of the diagonal.
    """
    diagonal = float(np.linalg.norm(box[2] - box[0]))
    after = np.roll(box, -1, axis=0)
    level = np.argmin(np.abs(after - box), axis=1)  # 1 if the edge is along x, 0 if it is along y
    if not (level[0] == level[2] != level[1] == level[3]):
        return None
    straight = box.copy()
    for edge, axis in enumerate(level):
        ends = [edge, (edge + 1) % 4]
        straight[ends, axis] = box[ends, axis].mean()
    return straight if np.abs(straight - box).max() <= skew_max * diagonal else None


def _round_box_edges(box: Points, into: Size) -> list[Points]:
    """Return the box with its edges rounded to pixel edges.

    If some edges are close to the picture's border, also return a box with those on the border.
    """
    near = np.rint(box + 0.5) - 0.5
    low, high = np.array([-0.5, -0.5]), np.array(into) - 0.5
    slack = _SNAP_TO_BORDER_SHARE_MAX * np.array(into)
    bordered = np.where(np.abs(near - low) <= slack, low, near)
    bordered = np.where(np.abs(near - high) <= slack, high, bordered)
    return [near] if np.array_equal(near, bordered) else [near, bordered]


def homography_between(before: Points, after: Points) -> Homography:
    return np.asarray(
        cv2.getPerspectiveTransform(before.astype(np.float32), after.astype(np.float32)), np.float64
    )


def _whole_pixel_shifts(homography: Homography, sent: Size) -> list[Homography]:
    """Return the nearest shift by whole pixels, perhaps with a mirroring or quarter turns.

    The list is empty if no such shift is near.
    """
    centre = centre_of(sent)
    slope = jacobian_at(homography, centre)
    unit = np.rint(slope)
    if np.abs(slope - unit).max() > _SCALE_TOLERANCE or abs(np.linalg.det(unit)) != 1.0:
        return []
    shift = np.rint(apply_homography(homography, centre[None])[0] - unit @ centre)
    return [np.vstack([np.column_stack([unit, shift]), [0.0, 0.0, 1.0]])]
