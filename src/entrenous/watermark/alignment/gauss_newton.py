"""Refine an alignment over all pixels (Gauss-Newton), from the displacement of small blocks.

A scaled pair is the two pictures at a size at which they are compared (misfit.py).
"""

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.watermark.alignment.misfit import Grey, ScaledPair, coverage_of, warp_onto
from entrenous.watermark.alignment.transforms import (
    Homography,
    Lens,
    Points,
    Pose,
    Size,
    apply_homography,
    invert_homography,
    picture_corners,
)

BLOCK_PX: Final = 8
# detail is compared between the blurs with these two standard deviations in pixels
_FINE_SIGMA: Final = 1.0
_COARSE_SIGMA: Final = 3.0
_WINDOW_PX: Final = 31
# squared grey levels; even a perfect fit has rounding errors of this variance
_VARIANCE_MIN: Final = 0.3
_CONTRAST_PRIOR: Final = 1.0  # squared grey levels that are added to the local contrast
_GAIN_MAX: Final = 3.0
_IGNORED_BORDER_PX: Final = 6
_CORRELATED_PIXELS: Final = 12.0  # the finer blur correlates this many neighbouring pixels


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """The sent picture's detail, its gradient, and its local power."""

    detail: Grey
    along_x: Grey
    along_y: Grey
    power: Grey


@dataclass(frozen=True, slots=True, eq=False)
class DisplacementEquations:
    """A linear system for each block's displacement: information x displacement = pull.

    ``information`` has the elements xx, xy and yy of a symmetric 2 x 2 matrix, in 1 / px^2: the
    inverse of the displacement's variance. ``pull`` has x and y. ``centres`` (N, 2) are in pixels.
    """

    centres: NDArray[np.float64]
    information: NDArray[np.float64]
    pull: NDArray[np.float64]


def make_template(sent: Grey) -> Template:
    """Prepare the sent picture, at the size at which pictures are compared."""
    detail = band_pass(sent)
    slope = (
        cv2.Scharr(detail, cv2.CV_32F, 1, 0, scale=1 / 32),
        cv2.Scharr(detail, cv2.CV_32F, 0, 1, scale=1 / 32),
    )
    return Template(
        detail, np.asarray(slope[0]), np.asarray(slope[1]), _local_mean(detail * detail)
    )


def band_pass(grey: Grey) -> Grey:
    """Return the band of detail in which displacements are measured."""
    fine = cv2.GaussianBlur(grey, (0, 0), _FINE_SIGMA)
    return np.asarray(fine - cv2.GaussianBlur(grey, (0, 0), _COARSE_SIGMA), np.float32)


def displacement_equations(sent: Template, warped: Grey, inside: Grey) -> DisplacementEquations:
    """Return equations for the displacement of each block.

    Args:
        sent: the sent picture.
        warped: the found picture's detail, warped onto the sent picture.
        inside: 1 where ``warped`` shows the found picture, and 0 elsewhere.
    """
    gain = _local_mean(warped * sent.detail) / (sent.power + _CONTRAST_PRIOR)
    gain = np.clip(gain, -_GAIN_MAX, _GAIN_MAX).astype(np.float32)
    residual = (warped - gain * sent.detail).astype(np.float32)
    inside = _without_border(inside)
    spread = np.maximum(_local_mean(residual * residual * inside), 0.0)
    weight = (inside / (spread + _VARIANCE_MIN)).astype(np.float32)
    across, down = gain * sent.along_x, gain * sent.along_y
    weighted_across, weighted_down = weight * across, weight * down
    sums = [weighted_across * across, weighted_across * down, weighted_down * down]
    pulls = [weighted_across * -residual, weighted_down * -residual]
    blocks = [_block_sums(np.asarray(plane, np.float32)) for plane in (*sums, *pulls)]
    return DisplacementEquations(
        _block_centres(warped.shape, blocks[0].shape),
        np.stack(blocks[:3], axis=-1).reshape(-1, 3) / _CORRELATED_PIXELS,
        np.stack(blocks[3:], axis=-1).reshape(-1, 2) / _CORRELATED_PIXELS,
    )


def merge_equations(levels: list[tuple[DisplacementEquations, Size]]) -> DisplacementEquations:
    """Merge equations from several sizes of the same pictures, in pixels of the first size."""
    top = levels[0][1]
    parts = []
    for flow, size in levels:
        ratio = max(size) / max(top)
        centres = (flow.centres + 0.5) * (np.array(top) / np.array(size)) - 0.5
        parts.append((centres, flow.information * ratio**2, flow.pull * ratio))
    return DisplacementEquations(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _without_border(inside: Grey) -> Grey:
    """Return the mask without its outermost pixels.

    There the blur includes pixels that only one of the two pictures has.
    """
    framed = np.zeros_like(inside)
    inner = slice(_IGNORED_BORDER_PX, -_IGNORED_BORDER_PX)
    framed[inner, inner] = inside[inner, inner]
    kernel = np.ones((2 * _IGNORED_BORDER_PX + 1, 2 * _IGNORED_BORDER_PX + 1), np.uint8)
    return np.asarray(cv2.erode(framed, kernel), np.float32)


def _block_sums(plane: Grey) -> NDArray[np.float64]:
    rows, columns = (max(1, round(side / BLOCK_PX)) for side in plane.shape)
    mean = cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA)
    scaled = np.asarray(mean, np.float64) * (plane.size / (rows * columns))
    return np.asarray(scaled, np.float64)


def _block_centres(shape: tuple[int, ...], blocks: tuple[int, ...]) -> NDArray[np.float64]:
    y = (np.arange(blocks[0]) + 0.5) * shape[0] / blocks[0] - 0.5
    x = (np.arange(blocks[1]) + 0.5) * shape[1] / blocks[1] - 0.5
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def _local_mean(plane: Grey) -> Grey:
    return np.asarray(cv2.blur(plane, (_WINDOW_PX, _WINDOW_PX)), np.float32)


# if a corner moves by a larger share of the longest side, the optimisation has diverged
_CHANGE_SHARE_MAX: Final = 0.02
_SETTLED_PX: Final = 0.004  # a step below this many pixels is the last one
_STEP_PX_MAX: Final = 4.0  # the largest Gauss-Newton step that is reliable
_RIDGE: Final = 0.1  # in 1 / px^2; keeps steps short in smooth pictures
_LENS_COEFFICIENT_MAX: Final = (
    0.6  # with a larger lens coefficient, no picture would be recognisable
)


Freedom = NDArray[np.float64]
"""A matrix (8, k) that computes a homography's eight parameters from k free ones.

The parameters are the coefficients of 1, x and y in x' and in y', then those of x and y in the
denominator.
"""


def upright_freedom() -> Freedom:
    """Return the freedom for translation, and for scaling along each axis."""
    return np.asarray(np.eye(8)[:, [0, 1, 3, 5]], np.float64)


def similarity_freedom() -> Freedom:
    """Return the freedom for translation, uniform scaling and rotation."""
    free = np.zeros((8, 4))
    free[0, 0] = free[3, 1] = free[1, 2] = free[5, 2] = free[4, 3] = 1.0
    free[2, 3] = -1.0
    return free


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """A pair prepared for many steps: the sent picture's template and the found one's detail."""

    scaled: ScaledPair
    sent: Template
    found: Grey

    def equations_at(self, pose: Pose) -> DisplacementEquations:
        """Return equations for the blocks' displacements under a pose, in pixels of this level."""
        size = self.scaled.size
        return displacement_equations(
            self.sent, warp_onto(self.found, pose, size), coverage_of(self.found, pose, size)
        )


def prepare_level(scaled: ScaledPair) -> Level:
    return Level(scaled, make_template(scaled.sent), band_pass(scaled.found))


def optimise_pose(
    level: Level,
    pose: Pose,
    *,
    steps: int,
    coarser: tuple[Level, ...] = (),
    freedom: Freedom | None = None,
) -> Pose | None:
    """Optimise the homography, and the lens if there is one, starting from ``pose``.

    The ``coarser`` levels contribute too, which matters in smooth pictures. ``freedom`` restricts
    the steps, because smooth pictures do not determine eight parameters.

    Returns: None if the optimisation diverges.
    """
    at_scaled = level.scaled.to_scaled(pose)
    frame = picture_corners(level.scaled.size)
    for _ in range(steps):
        full_size = level.scaled.from_scaled(at_scaled)
        flow = merge_equations(
            [
                (one.equations_at(one.scaled.to_scaled(full_size)), one.scaled.size)
                for one in (level, *coarser)
            ]
        )
        stepped = gauss_newton_step(flow, at_scaled, level.scaled.size, freedom=freedom)
        if stepped is None:
            return None
        at_scaled, step = stepped
        if np.abs(apply_homography(step, frame) - frame).max() < _SETTLED_PX:
            break
    full_size = level.scaled.from_scaled(at_scaled)
    frame = picture_corners(level.scaled.size_found)
    change = np.abs(full_size.sent_to_found(pose.found_to_sent(frame)) - frame).max()
    return full_size if change <= _CHANGE_SHARE_MAX * max(level.scaled.size_found) else None


def position_error_px(on: Level, pose: Pose, coarser: tuple[Level, ...] = ()) -> float:
    """Return the standard error of a position in pixels of the level ``on``.

    It is computed from the residuals of a fit with 8 parameters. It does not include the additional
    uncertainty of a bend in smooth areas.
    """
    levels = (on, *coarser)
    flow = merge_equations(
        [(one.equations_at(one.scaled.to_scaled(pose)), one.scaled.size) for one in levels]
    )
    size = on.scaled.size
    across, down = _projective_displacements(
        flow.centres, (np.array(size) - 1.0) / 2.0, max(size) / 2.0
    )
    try:
        spread = np.linalg.inv(_normal_matrix(flow, across, down))
    except np.linalg.LinAlgError:
        return float(max(size))
    square = (across @ spread * across).sum(axis=1) + (down @ spread * down).sum(axis=1)
    return float(np.sqrt(max(0.0, square.mean())))


def gauss_newton_step(
    flow: DisplacementEquations,
    pose: Pose,
    size: Size,
    *,
    step_px_max: float = _STEP_PX_MAX,
    freedom: Freedom | None = None,
) -> tuple[Pose, Homography] | None:
    """Take one Gauss-Newton step with the equations of all blocks.

    Returns:
        The new pose (homography and lens), and the step itself as a homography; None if the
        equations have no finite solution.
    """
    middle, reach = (np.array(size) - 1.0) / 2.0, max(size) / 2.0
    across, down = _projective_displacements(flow.centres, middle, reach)
    if pose.lens is not None:
        lens_terms = _lens_displacement(pose.homography, pose.lens, flow.centres)
        across, down = (
            np.hstack([across, lens_terms[..., 0]]),
            np.hstack([down, lens_terms[..., 1]]),
        )
    if freedom is not None:
        across, down = across @ freedom, down @ freedom
    solution = _solve_for_parameters(flow, across, down)
    if solution is None or not np.isfinite(solution).all():
        return None
    solution = solution if freedom is None else freedom @ solution
    solution = solution * min(1.0, step_px_max / max(float(np.abs(solution[:8]).max()), 1e-9))
    a = solution[:8] / reach
    small = np.array([[1 + a[1], a[2], a[0]], [a[4], 1 + a[5], a[3]], [-a[6], -a[7], 1.0]])
    at_scaled = np.array(
        [[1 / reach, 0, -middle[0] / reach], [0, 1 / reach, -middle[1] / reach], [0, 0, 1]]
    )
    step = np.asarray(invert_homography(at_scaled) @ small @ at_scaled, np.float64)
    homography = pose.homography @ step
    lens = None if pose.lens is None else _lens_step(pose.lens, solution[8:])
    return replace(pose, homography=homography / homography[2, 2], lens=lens), step


def _projective_displacements(
    at: Points, middle: NDArray[np.float64], reach: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the displacements in x and y per unit of each of a homography's eight parameters."""
    x, y = ((at - middle) / reach).T
    none, one = np.zeros_like(x), np.ones_like(x)
    across = np.stack([one, x, y, none, none, none, x * x, x * y], axis=1)
    down = np.stack([none, none, none, one, x, y, x * y, y * y], axis=1)
    return across, down


def _lens_displacement(homography: Homography, lens: Lens, at: Points) -> NDArray[np.float64]:
    """Return the displacement per unit of k1 and k2, mapped to the sent picture.

    The result is N x 2 (k1 and k2) x 2 (x and y).
    """
    seen = apply_homography(homography, at)
    from_centre = seen - np.array(lens.centre)
    square = (from_centre**2).sum(axis=1, keepdims=True) / lens.reach**2
    back = invert_homography(homography)
    # the lens is nearly the identity, so the inverse neglects its slope
    reach = np.maximum(1.0, np.abs(from_centre * square).max(axis=1, keepdims=True))
    return np.stack(
        [
            (apply_homography(back, seen + from_centre * square**power / reach) - at) * reach
            for power in (1, 2)
        ],
        axis=1,
    )


def _lens_step(lens: Lens, more: NDArray[np.float64]) -> Lens:
    k1, k2 = np.clip(
        [lens.k1 + more[0], lens.k2 + more[1]], -_LENS_COEFFICIENT_MAX, _LENS_COEFFICIENT_MAX
    )
    return replace(lens, k1=float(k1), k2=float(k2))


def _solve_for_parameters(
    flow: DisplacementEquations, across: NDArray[np.float64], down: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    pull = across.T @ flow.pull[:, 0] + down.T @ flow.pull[:, 1]
    try:
        return np.asarray(np.linalg.solve(_normal_matrix(flow, across, down), pull), np.float64)
    except np.linalg.LinAlgError:
        return None


def _normal_matrix(
    flow: DisplacementEquations, across: NDArray[np.float64], down: NDArray[np.float64]
) -> NDArray[np.float64]:
    xx, xy, yy = flow.information.T
    mixed = (across * xy[:, None]).T @ down
    normal = (across * xx[:, None]).T @ across + (down * yy[:, None]).T @ down + mixed + mixed.T
    normal[np.diag_indices_from(normal)] += _RIDGE
    return np.asarray(normal, np.float64)
