"""Tests of bends, lenses and poses: inverses, splines, resizing, and warps forth and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from entrenous.watermark.alignment.image_registration import Registration, register
from entrenous.watermark.alignment.resample import warp_to_found, warp_to_sent
from entrenous.watermark.alignment.transforms import Bend, Lens, Pose, b_spline_weights, resizing

PICTURE_SIZE = (400, 300)
PICTURE_BOX = (-0.5, -0.5, 399.5, 299.5)
GRID_POINTS = np.stack(np.meshgrid(np.linspace(0, 399, 9), np.linspace(0, 299, 7)), -1).reshape(
    -1, 2
)


def random_bend(seed: int, spans: int = 4, size_px: float = 4.0) -> Bend:
    rng = np.random.default_rng(seed)
    return Bend(rng.normal(size=(spans + 3, spans + 3, 2)) * size_px, PICTURE_BOX)


@given(st.integers(1, 20), st.lists(st.floats(-50, 450), min_size=1, max_size=20))
def test_spline_weights_sum_to_one(spans: int, positions: list[float]) -> None:
    shares = b_spline_weights(np.array(positions), -0.5, 399.5, spans)
    assert shares.shape == (len(positions), spans + 3)
    assert np.allclose(shares.sum(axis=1), 1.0)
    assert (shares >= 0.0).all()


def test_one_span_represents_a_cubic_exactly() -> None:
    x = np.linspace(0, 399, 50)
    cubic = 3.0 - 0.02 * x + 1e-4 * x**2 - 2e-7 * x**3
    basis = b_spline_weights(x, -0.5, 399.5, 1)
    assert np.abs(basis @ np.linalg.lstsq(basis, cubic, rcond=None)[0] - cubic).max() < 1e-9


@given(st.integers(0, 50))
def test_bend_is_inverted(seed: int) -> None:
    bend = random_bend(seed)
    assert (
        np.abs(bend.undistort(GRID_POINTS + bend.displacement_at(GRID_POINTS)) - GRID_POINTS).max()
        < 1e-3
    )


@given(st.floats(-0.12, 0.12), st.floats(-0.05, 0.05))
def test_lens_is_inverted(k1: float, k2: float) -> None:
    lens = Lens((199.5, 149.5), 250.0, k1, k2)
    assert np.abs(lens.undistort(lens.distort(GRID_POINTS)) - GRID_POINTS).max() < 1e-3


def complete_pose(seed: int = 3) -> Pose:
    lean = np.array([[0.9, -0.2, 60], [0.25, 0.95, 5], [1e-4, -5e-5, 1]])
    return Pose(lean, random_bend(seed), Lens((220.0, 190.0), 300.0, 0.05, -0.01))


def test_pose_maps_there_and_back() -> None:
    pose = complete_pose()
    assert np.abs(pose.found_to_sent(pose.sent_to_found(GRID_POINTS)) - GRID_POINTS).max() < 2e-3


def test_dense_field_equals_the_pointwise_mapping() -> None:
    pose = complete_pose()
    field = pose.map_grid(np.arange(400), np.arange(300))
    positions = GRID_POINTS.round().astype(int)
    assert (
        np.abs(
            field[positions[:, 1], positions[:, 0]] - pose.sent_to_found(positions.astype(float))
        ).max()
        < 1e-2
    )


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_pose_can_be_resized(factor: float) -> None:
    pose = complete_pose()
    sent = resizing(PICTURE_SIZE, (round(400 * factor), round(300 * factor)))
    found = np.diag([1.6 * factor, 1.6 * factor, 1.0])
    inward = pose.resized(sent, found)
    moved = (sent @ np.column_stack([GRID_POINTS, np.ones(len(GRID_POINTS))]).T)[:2].T
    wanted = (
        found @ np.column_stack([pose.sent_to_found(GRID_POINTS), np.ones(len(GRID_POINTS))]).T
    )[:2].T
    assert np.abs(inward.sent_to_found(moved) - wanted).max() < 1e-6


def smooth_plane(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return a plane that is a sum of long sine waves."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    return (100 + 50 * np.sin(x / 19.0) + 40 * np.cos(y / 23.0 + x / 41.0)).astype(np.float32)


@pytest.mark.slow
def test_warping_there_and_back_changes_nothing(cat: NDArray[np.uint8]) -> None:
    exact = register(cat, cat)
    assert exact is not None
    height, width = cat.shape[:2]
    lens = Lens(((width - 1) / 2, (height - 1) / 2), 270.0, 0.06, -0.02)
    pose = Pose(
        np.array([[0.93, 0.05, 9], [-0.04, 0.95, 14], [2e-5, 1e-5, 1]]), random_bend(8), lens
    )
    bent = Registration(exact.warp, 0, 0.0, exact.sent_size, exact.found_size, pose)
    plane = smooth_plane((height, width))
    under, inside = warp_to_found(plane, bent)
    over, covered = warp_to_sent(np.where(inside, under, 0).astype(np.float32), bent)
    core = covered & (warp_to_sent(inside.astype(np.float32), bent)[0] > 0.999)
    core[:3], core[-3:], core[:, :3], core[:, -3:] = False, False, False, False
    assert core.mean() > 0.8
    assert np.abs(over - plane)[core].max() < 1.0
    assert np.abs(over - plane)[core].mean() < 0.05
