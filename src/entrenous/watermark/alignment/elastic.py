"""Fit distortions that a homography does not describe: a lens, a wave, curled paper.

A bend is a smooth field of displacements. It is given by a lattice of control points, with several
spans (intervals between control points) in each direction. A scaled pair is the two pictures at a
size at which they are compared (misfit.py).
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from entrenous.watermark.alignment.gauss_newton import (
    BLOCK_PX,
    DisplacementEquations,
    Level,
    gauss_newton_step,
)
from entrenous.watermark.alignment.transforms import (
    Bend,
    Lens,
    Points,
    Pose,
    Size,
    apply_homography,
    b_spline_weights,
    invert_homography,
)

# tolerance for matches in each step, as a share of the longest side
_MATCH_TOLERANCE_SHARES: Final = (0.05, 0.03, 0.02, 0.01, 0.005, 0.003, 0.002, 0.002)
_STEP_PX_MAX: Final = 4.0
_SETTLED_PX: Final = 0.01
_CHEQUERBOARD_SQUARE_BLOCKS: Final = 4  # side of a chequerboard square, in blocks
# spans along each side of the trial bend, which shows whether the pair needs a bend
_TEST_BEND_SPANS: Final = 6
# a bend is significant if it predicts better than noise by this many standard deviations
_SIGNIFICANT_DEVIATIONS: Final = 5.0
# a smaller displacement, in pixels of the scaled pair along either axis, does not matter
_DISPLACEMENT_MIN_PX: Final = 0.07
_RIDGE: Final = 1e-6
# Typical deviation of neighbouring control points from a straight line, as a share of the longest
# side. It is divided by n^1.5 for n spans. For one and the same bend it would be divided by n^2,
# because the control points are n times as close. But with more spans a bend can have shorter
# waves, which are more curved, though rarer.
_BEND_DEVIATION_SHARE: Final = 0.3
_BEND_DEVIATION_EXPONENT: Final = 1.5
Box = tuple[float, float, float, float]


def fit_lens_to_matches(
    pose: Pose, at_sent: Points, at_found: Points, sent: Size, found: Size
) -> Pose | None:
    """Fit a homography and a lens to matched points, most of which are right.

    Returns: None if the equations have no finite solution. Without points, the lens has no effect.
    """
    lens = Lens(((found[0] - 1) / 2, (found[1] - 1) / 2), float(np.hypot(*found)) / 2)
    pose = Pose(pose.homography, None, lens)
    if len(at_sent) == 0:
        return pose
    for reach in _MATCH_TOLERANCE_SHARES:
        offsets = (
            apply_homography(invert_homography(pose.homography), _undistort_points(pose, at_found))
            - at_sent
        )
        near = reach * max(sent)
        trust = near**2 / ((offsets**2).sum(axis=1) + near**2) ** 2
        flow = DisplacementEquations(
            at_sent, trust[:, None] * np.array([1.0, 0.0, 1.0]), trust[:, None] * offsets
        )
        stepped = gauss_newton_step(flow, pose, sent, step_px_max=np.inf)
        if stepped is None:
            return None
        pose = stepped[0]
    return pose


def fit_bend_to_matches(
    base: Pose,
    at_sent: Points,
    at_found: Points,
    visible_box: tuple[int, int, int, int],
    spans: tuple[int, int],
) -> Pose:
    """Fit a bend with ``spans`` (rows, columns) to matched points, most of which are right."""
    box = (visible_box[0] - 0.5, visible_box[1] - 0.5, visible_box[2] - 0.5, visible_box[3] - 0.5)
    longest = max(box[2] - box[0], box[3] - box[1])
    lattice = anchor = _resampled_lattice(base.bend, box, spans)
    stiff = _stiffness_matrix(lattice, longest, spans)
    straight = apply_homography(
        invert_homography(base.homography), _undistort_points(base, at_found)
    )
    for reach in _MATCH_TOLERANCE_SHARES:
        offsets = straight - at_sent - Bend(lattice, box).displacement_at(at_sent)
        near = reach * longest
        trust = near**2 / ((offsets**2).sum(axis=1) + near**2) ** 2
        flow = DisplacementEquations(
            at_sent, trust[:, None] * np.array([1.0, 0.0, 1.0]), trust[:, None] * offsets
        )
        lattice = lattice + _lattice_step(flow, box, lattice - anchor, stiff, np.inf)[0]
    return Pose(base.homography, Bend(lattice, box), base.lens)


def _undistort_points(pose: Pose, at_found: Points) -> Points:
    return at_found if pose.lens is None else pose.lens.undistort(at_found)


def fit_bend_to_pixels(
    level: Level, pose: Pose, base: Pose, spans: tuple[int, int], *, steps: int
) -> Pose:
    """Fit a bend with ``spans`` (rows, columns) to the pixels, starting from the bend of ``pose``.

    The result is regularised towards the bend of ``base``, which has the same homography and lens.
    """
    at_scaled, rest = level.scaled.to_scaled(pose), level.scaled.to_scaled(base)
    box = (-0.5, -0.5, level.scaled.size[0] - 0.5, level.scaled.size[1] - 0.5)
    lattice, anchor = (_resampled_lattice(one.bend, box, spans) for one in (at_scaled, rest))
    stiff = _stiffness_matrix(lattice, max(level.scaled.size), spans)
    for _ in range(steps):
        flow = level.equations_at(Pose(at_scaled.homography, Bend(lattice, box), at_scaled.lens))
        step, moved = _lattice_step(flow, box, lattice - anchor, stiff)
        lattice = lattice + step
        if moved < _SETTLED_PX:
            break
    return level.scaled.from_scaled(Pose(at_scaled.homography, Bend(lattice, box), at_scaled.lens))


def _lattice_step(
    flow: DisplacementEquations,
    box: Box,
    offsets: NDArray[np.float64],
    stiff: NDArray[np.float64],
    step_px_max: float = _STEP_PX_MAX,
) -> tuple[NDArray[np.float64], float]:
    """Return the change of the lattice, limited so that it displaces no block by more than
    ``step_px_max``, and the largest displacement of a block without this limit.
    """
    rows, columns = offsets.shape[:2]
    along_x = b_spline_weights(flow.centres[:, 0], box[0], box[2], columns - 3)
    along_y = b_spline_weights(flow.centres[:, 1], box[1], box[3], rows - 3)
    basis = csr_array((along_y[:, :, None] * along_x[:, None, :]).reshape(len(along_x), -1))
    points = rows * columns
    xx, xy, yy = (
        (basis.T @ basis.multiply(part[:, None])).toarray() for part in flow.information.T
    )
    normal = np.block([[xx + stiff, xy], [xy, yy + stiff]])
    flat = offsets.reshape(points, 2)
    pull = np.concatenate([basis.T @ flow.pull[:, k] - stiff @ flat[:, k] for k in range(2)])
    from scipy.linalg import solve  # noqa: PLC0415 - slow to load, and needed for bends only

    step = solve(normal, pull, assume_a="pos").reshape(2, points).T
    moved = float(np.abs(basis @ step).max(initial=0.0))
    return step.reshape(rows, columns, 2) * min(1.0, step_px_max / max(moved, 1e-9)), moved


def needs_bend(level: Level, pose: Pose) -> bool:
    """Return whether neighbouring blocks are still displaced together, significantly and by a
    distance that matters.

    Blocks are divided like a chequerboard. A bend is fitted to the displacements in the squares of
    one colour, and predicts those in the squares of the other colour. How much better this
    prediction is than noise is measured in standard deviations. Small displacements do not count:
    shrinking two pictures with different pixel grids moves their detail too, by up to 0.055
    pixels of the scaled pair.
    """
    flow = level.equations_at(level.scaled.to_scaled(pose))
    width, height = level.scaled.size
    box = (-0.5, -0.5, width - 0.5, height - 0.5)
    squares = np.floor(flow.centres / (_CHEQUERBOARD_SQUARE_BLOCKS * BLOCK_PX)).sum(axis=1) % 2 == 0
    flat = np.zeros((_TEST_BEND_SPANS + 3, _TEST_BEND_SPANS + 3, 2))
    stiff = _stiffness_matrix(flat, max(level.scaled.size), (_TEST_BEND_SPANS, _TEST_BEND_SPANS))
    gain = noise = information_sum = 0.0
    for predicting in (squares, ~squares):
        part = DisplacementEquations(
            flow.centres, flow.information * predicting[:, None], flow.pull * predicting[:, None]
        )
        step, _ = _lattice_step(part, box, flat, stiff, np.inf)
        moved = Bend(step, box).displacement_at(flow.centres[~predicting])
        xx, xy, yy = flow.information[~predicting].T
        square = xx * moved[:, 0] ** 2 + 2 * xy * moved.prod(axis=1) + yy * moved[:, 1] ** 2
        gain += float((2.0 * (flow.pull[~predicting] * moved).sum(axis=1) - square).sum())
        noise += 4.0 * float(square.sum())
        information_sum += float((xx + yy).sum()) / 2
    moved_px = math.sqrt(noise / 4.0 / max(information_sum, 1e-9))
    return gain > _SIGNIFICANT_DEVIATIONS * math.sqrt(noise) and moved_px > _DISPLACEMENT_MIN_PX


def _stiffness_matrix(
    lattice: NDArray[np.float64], longest: float, spans: tuple[int, int]
) -> NDArray[np.float64]:
    slack: float = _BEND_DEVIATION_SHARE * longest / max(spans) ** _BEND_DEVIATION_EXPONENT
    return np.asarray(_bending_energy_matrix(*lattice.shape[:2]) / slack**2, np.float64)


def _bending_energy_matrix(rows: int, columns: int) -> NDArray[np.float64]:
    """Return the matrix of a lattice's bending energy, as for a thin plate.

    The energy is the sum of squared second differences along rows, along columns and mixed.
    """
    second = [np.diff(np.eye(count), n=2, axis=0) for count in (rows, columns)]
    first = [np.diff(np.eye(count), axis=0) for count in (rows, columns)]
    plate = (
        np.kron(second[0].T @ second[0], np.eye(columns))
        + np.kron(np.eye(rows), second[1].T @ second[1])
        + 2.0 * np.kron(first[0].T @ first[0], first[1].T @ first[1])
    )
    return np.asarray(plate + _RIDGE * np.eye(rows * columns), np.float64)


def _resampled_lattice(bend: Bend | None, box: Box, spans: tuple[int, int]) -> NDArray[np.float64]:
    """Fit the same deformation with a different number of spans, by least squares.

    The fit is exact if the new numbers of spans are multiples of the old ones.
    """
    rows, columns = spans
    if bend is None:
        return np.zeros((rows + 3, columns + 3, 2))
    x = np.linspace(box[0], box[2], 8 * columns + 1)
    y = np.linspace(box[1], box[3], 8 * rows + 1)
    left = np.linalg.pinv(b_spline_weights(y, box[1], box[3], rows))
    right = np.linalg.pinv(b_spline_weights(x, box[0], box[2], columns))
    lattice = np.einsum(
        "iy,yxk,jx->ijk", left, bend.displacement_grid(x, y).astype(np.float64), right
    )
    return np.asarray(lattice, np.float64)
