"""Sharpen how a picture lies, over all pixels and with all their weights (Gauss and Newton).

A tenth of a pixel of misregistration halves the score of a clean leak, so matched points alone
are not enough.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.bend import Lens, Pose
from entrenous.craft.align.geometry import Homography, Points, Size, carried, corners, inverse
from entrenous.craft.align.sharpen.flow import (
    Equations,
    Template,
    detail_of,
    equations,
    merged,
    template,
)
from entrenous.craft.align.sharpen.misfit import Bench, Grey, laid_over, seen_over

_STRAY_MAX: Final = 0.02  # of the longest side: further, it has lost its way
_SETTLED_PX: Final = 0.004  # bench pixels: a step below this is the last
_STEP_PX_MAX: Final = 4.0  # what a Gauss-Newton step can be trusted with
_RIDGE: Final = 0.1  # 1 / px^2: keeps steps short where calm pictures say little
_SWELL_MAX: Final = 0.6  # more than any lens that leaves a picture recognisable


Freedom = NDArray[np.float64]
"""8 x k: a homography's numbers (x: one, x, y; y: one, x, y; both: x, y) from k free ones."""


def upright_freedom() -> Freedom:
    """Moves and resizes of a picture that stays upright."""
    return np.asarray(np.eye(8)[:, [0, 1, 3, 5]], np.float64)


def similar_freedom() -> Freedom:
    """Moves, resizes and turns that keep the proportions."""
    free = np.zeros((8, 4))
    free[0, 0] = free[3, 1] = free[1, 2] = free[5, 2] = free[4, 3] = 1.0
    free[2, 3] = -1.0
    return free


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """A bench prepared for many steps: the sent picture's template and the found one's detail."""

    bench: Bench
    sent: Template
    found: Grey

    def flow(self, pose: Pose) -> Equations:
        """How blocks still want to move, in bench pixels; ``pose`` speaks of bench pixels too."""
        size = self.bench.size
        return equations(
            self.sent, laid_over(self.found, pose, size), seen_over(self.found, pose, size)
        )


def level(on: Bench) -> Level:
    """Prepare a bench."""
    return Level(on, template(on.sent), detail_of(on.found))


def polished(
    on: Level,
    pose: Pose,
    *,
    steps: int,
    coarser: tuple[Level, ...] = (),
    freedom: Freedom | None = None,
) -> Pose | None:
    """The homography (and lens, if there is one) near this one that fits best.

    None when it runs away. ``coarser`` levels have their say too, which matters where a picture is
    calm. With a ``freedom``, only its steps are taken: calm pictures do not say enough for eight
    numbers.
    """
    inward = on.bench.inward(pose)
    frame = corners(on.bench.size)
    for _ in range(steps):
        outward = on.bench.outward(inward)
        flow = merged(
            [(one.flow(one.bench.inward(outward)), one.bench.size) for one in (on, *coarser)]
        )
        stepped = stepped_on(flow, inward, on.bench.size, freedom=freedom)
        if stepped is None:
            return None
        inward, step = stepped
        if np.abs(carried(step, frame) - frame).max() < _SETTLED_PX:
            break
    outward = on.bench.outward(inward)
    frame = corners(on.bench.size_found)
    strayed = np.abs(outward.sent_to_found(pose.found_to_sent(frame)) - frame).max()
    return outward if strayed <= _STRAY_MAX * max(on.bench.size_found) else None


def error_px(on: Level, pose: Pose, coarser: tuple[Level, ...] = ()) -> float:
    """The standard error of a place, in bench pixels: what the rest's size lets eight numbers know.

    A bend knows less where the pictures say little; it is left out.
    """
    levels = (on, *coarser)
    flow = merged([(one.flow(one.bench.inward(pose)), one.bench.size) for one in levels])
    size = on.bench.size
    across, down = _projective(flow.centres, (np.array(size) - 1.0) / 2.0, max(size) / 2.0)
    try:
        spread = np.linalg.inv(_normal(flow, across, down))
    except np.linalg.LinAlgError:
        return float(max(size))
    square = (across @ spread * across).sum(axis=1) + (down @ spread * down).sum(axis=1)
    return float(np.sqrt(max(0.0, square.mean())))


def stepped_on(
    flow: Equations,
    pose: Pose,
    size: Size,
    *,
    step_px_max: float = _STEP_PX_MAX,
    freedom: Freedom | None = None,
) -> tuple[Pose, Homography] | None:
    """One step of the homography and the lens, as all blocks together ask for, and its size."""
    middle, reach = (np.array(size) - 1.0) / 2.0, max(size) / 2.0
    across, down = _projective(flow.centres, middle, reach)
    if pose.lens is not None:
        swell = _swelling(pose.homography, pose.lens, flow.centres)
        across, down = np.hstack([across, swell[..., 0]]), np.hstack([down, swell[..., 1]])
    if freedom is not None:
        across, down = across @ freedom, down @ freedom
    solved = _solved(flow, across, down)
    if solved is None or not np.isfinite(solved).all():
        return None
    solved = solved if freedom is None else freedom @ solved
    solved = solved * min(1.0, step_px_max / max(float(np.abs(solved[:8]).max()), 1e-9))
    a = solved[:8] / reach
    small = np.array([[1 + a[1], a[2], a[0]], [a[4], 1 + a[5], a[3]], [-a[6], -a[7], 1.0]])
    inward = np.array(
        [[1 / reach, 0, -middle[0] / reach], [0, 1 / reach, -middle[1] / reach], [0, 0, 1]]
    )
    step = np.asarray(inverse(inward) @ small @ inward, np.float64)
    homography = pose.homography @ step
    lens = None if pose.lens is None else _swelled(pose.lens, solved[8:])
    return replace(pose, homography=homography / homography[2, 2], lens=lens), step


def _projective(
    at: Points, middle: NDArray[np.float64], reach: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Displacement in x and in y per unit of a homography's eight numbers."""
    x, y = ((at - middle) / reach).T
    none, one = np.zeros_like(x), np.ones_like(x)
    across = np.stack([one, x, y, none, none, none, x * x, x * y], axis=1)
    down = np.stack([none, none, none, one, x, y, x * y, y * y], axis=1)
    return across, down


def _swelling(homography: Homography, lens: Lens, at: Points) -> NDArray[np.float64]:
    """The same per unit of k1 and k2, carried back to the sent side: N x 2 (k) x 2 (x and y)."""
    seen = carried(homography, at)
    away = seen - np.array(lens.centre)
    square = (away**2).sum(axis=1, keepdims=True) / lens.reach**2
    back = inverse(homography)
    # the lens itself is nearly the identity, so its slope is left out of the way back
    reach = np.maximum(1.0, np.abs(away * square).max(axis=1, keepdims=True))
    return np.stack(
        [(carried(back, seen + away * square**power / reach) - at) * reach for power in (1, 2)],
        axis=1,
    )


def _swelled(lens: Lens, more: NDArray[np.float64]) -> Lens:
    k1, k2 = np.clip([lens.k1 + more[0], lens.k2 + more[1]], -_SWELL_MAX, _SWELL_MAX)
    return replace(lens, k1=float(k1), k2=float(k2))


def _solved(
    flow: Equations, across: NDArray[np.float64], down: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    pull = across.T @ flow.pull[:, 0] + down.T @ flow.pull[:, 1]
    try:
        return np.asarray(np.linalg.solve(_normal(flow, across, down), pull), np.float64)
    except np.linalg.LinAlgError:
        return None


def _normal(
    flow: Equations, across: NDArray[np.float64], down: NDArray[np.float64]
) -> NDArray[np.float64]:
    xx, xy, yy = flow.information.T
    mixed = (across * xy[:, None]).T @ down
    normal = (across * xx[:, None]).T @ across + (down * yy[:, None]).T @ down + mixed + mixed.T
    normal[np.diag_indices_from(normal)] += _RIDGE
    return np.asarray(normal, np.float64)
