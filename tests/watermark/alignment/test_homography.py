"""Tests of homographies: resizing, descriptions, plausibility, pixel-aligned candidates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.watermark.alignment.refine import pixel_aligned_candidates
from entrenous.watermark.alignment.transforms import (
    apply_homography,
    describe_warp,
    invert_homography,
    is_plausible,
    mirroring,
    picture_corners,
    resizing,
    visible_share,
)

PICTURE_SIZE = (400, 300)


def rotation_about_centre(degrees: float) -> np.ndarray:
    """Return a rotation about the centre, counter-clockwise to a viewer."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    middle = np.array([199.5, 149.5])
    slope = np.array([[c, s], [-s, c]])
    return np.vstack([np.column_stack([slope, middle - slope @ middle]), [0, 0, 1]])


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 5000))
def test_resizing_keeps_edges_on_edges(w: int, h: int, new_w: int, new_h: int) -> None:
    moved = apply_homography(resizing((w, h), (new_w, new_h)), picture_corners((w, h)))
    assert np.allclose(moved, picture_corners((new_w, new_h)), atol=1e-6)


@given(degrees=st.floats(-179, 180), flipped=st.booleans())
def test_rotation_and_mirror_are_described(*, degrees: float, flipped: bool) -> None:
    homography = rotation_about_centre(degrees) @ (
        mirroring(PICTURE_SIZE) if flipped else np.eye(3)
    )
    warp = describe_warp(homography, PICTURE_SIZE, PICTURE_SIZE)
    assert warp.turned_deg == pytest.approx(degrees, abs=0.01)
    assert warp.mirrored is flipped
    assert warp.scale == pytest.approx(1.0)


def test_a_half_turn_is_plus_180() -> None:
    assert describe_warp(rotation_about_centre(180), PICTURE_SIZE, PICTURE_SIZE).turned_deg == 180.0


def test_visible_share_of_a_half_and_a_whole_picture() -> None:
    right_half = np.array([[1.0, 0, -200], [0, 1, 0], [0, 0, 1]])
    assert visible_share(right_half, PICTURE_SIZE, (200, 300)) == pytest.approx(0.5)
    assert visible_share(np.eye(3), PICTURE_SIZE, (1000, 1000)) == 1.0


@pytest.mark.parametrize(
    "homography",
    [
        np.zeros((3, 3)),
        np.diag([1.0, 0.1, 1.0]),  # extreme stretch
        np.diag([100.0, 100.0, 1.0]),
        np.array([[1.0, 0, 0], [0, 1, 0], [0.01, 0, -1]]),  # folds the picture where x = 100
        np.array([[1.0, 0, 5000], [0, 1, 0], [0, 0, 1]]),  # nothing visible
        np.full((3, 3), np.nan),
    ],
)
def test_degenerate_homographies_are_implausible(homography: np.ndarray) -> None:
    assert not is_plausible(homography, PICTURE_SIZE, PICTURE_SIZE)


@pytest.mark.parametrize(
    "true_homography",
    [np.eye(3), mirroring(PICTURE_SIZE), rotation_about_centre(12.0), rotation_about_centre(90.0)],
)
def test_ordinary_homographies_are_plausible(true_homography: np.ndarray) -> None:
    assert is_plausible(true_homography, PICTURE_SIZE, (500, 500))


def candidate_error_px(
    homography: np.ndarray, true_homography: np.ndarray, found: tuple[int, int]
) -> float:
    offered = pixel_aligned_candidates(homography, PICTURE_SIZE, found)
    assert offered
    return min(
        float(
            np.abs(
                apply_homography(one @ invert_homography(true_homography), picture_corners(found))
                - picture_corners(found)
            ).max()
        )
        for one in offered
    )


crop_boxes = st.tuples(
    st.integers(0, 90), st.integers(0, 90), st.integers(150, 300), st.integers(120, 200)
)


@given(
    box=crop_boxes,
    resized_size=st.tuples(st.integers(100, 500), st.integers(100, 400)),
    flipped=st.booleans(),
    pixel_shift=st.floats(-0.3, 0.3),
)
def test_a_resized_whole_pixel_crop_is_found_exactly(
    *,
    box: tuple[int, int, int, int],
    resized_size: tuple[int, int],
    flipped: bool,
    pixel_shift: float,
) -> None:
    left, top, width, height = box
    cut = np.array([[1.0, 0, -left], [0, 1, -top], [0, 0, 1]])
    true_homography = resizing((width, height), resized_size) @ cut
    true_homography = mirroring(resized_size) @ true_homography if flipped else true_homography
    nudge = np.array([[1.0, 0, pixel_shift], [0, 1, -pixel_shift], [0, 0, 1]])
    assert candidate_error_px(true_homography @ nudge, true_homography, resized_size) < 0.01


def test_a_picture_inside_a_screenshot_is_found_exactly() -> None:
    true_homography = np.array([[1.0, 0, 30], [0, 1, 80], [0, 0, 1]]) @ resizing(
        PICTURE_SIZE, (360, 270)
    )
    nudge = np.array([[1.0, 0, 0.2], [0, 1, -0.3], [0, 0, 1]])
    assert candidate_error_px(nudge @ true_homography, true_homography, (420, 700)) < 0.01


@pytest.mark.parametrize("degrees", [0.0, 90.0, 180.0, -90.0])
def test_whole_pixel_moves_are_found_with_quarter_turns(degrees: float) -> None:
    true_homography = (
        np.rint(
            np.array([[1.0, 0, 37], [0, 1, -21], [0, 0, 1]]) @ rotation_about_centre(degrees) * 2
        )
        / 2
    )
    true_homography = np.rint(true_homography)
    nudge = np.array([[1.0, 0, 0.3], [0, 1, -0.2], [0, 0, 1]])
    assert candidate_error_px(nudge @ true_homography, true_homography, (333, 280)) < 0.01


def test_tilted_picture_has_no_pixel_aligned_candidate() -> None:
    assert pixel_aligned_candidates(rotation_about_centre(7.0), PICTURE_SIZE, PICTURE_SIZE) == []
