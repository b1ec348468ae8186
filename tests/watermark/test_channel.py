"""Tests of channel filters: adjoints, blur, sharpening, unchanged pictures, uncovered areas."""

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.watermark.channel import ChannelFilter, fit_channel_filter

CAT_PLANE = skimage.data.chelsea()[:, :, 1].astype(np.float32)
FULL_MASK = np.ones(CAT_PLANE.shape, np.bool_)


def random_plane(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@settings(max_examples=20)
@given(st.integers(3, 60), st.integers(3, 60), st.integers(0, 1000))
def test_a_filter_is_its_own_adjoint(rows: int, columns: int, seed: int) -> None:
    passed = ChannelFilter(np.abs(random_plane(seed, rows, columns)))
    one, other = random_plane(seed + 1, rows, columns), random_plane(seed + 2, rows, columns)
    forth = float((passed.filtered(one) * other).sum())
    back = float((one * passed.filtered(other)).sum())
    assert forth == pytest.approx(back, abs=1e-3 * np.sqrt(rows * columns))


def high_pass(plane: np.ndarray) -> np.ndarray:
    return np.asarray(plane - cv2.GaussianBlur(plane, (0, 0), 6.0))


def residual_detail(leak: np.ndarray, expected: np.ndarray) -> float:
    inner = np.s_[20:-20, 20:-20]
    return float(high_pass(leak - expected)[inner].std())


@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_blur_is_estimated(sigma: float) -> None:
    leak = cv2.GaussianBlur(CAT_PLANE, (0, 0), sigma)
    passed = fit_channel_filter(leak, CAT_PLANE, FULL_MASK)
    assert residual_detail(leak, passed.filtered(CAT_PLANE)) < 0.15 * residual_detail(
        leak, CAT_PLANE
    )


def test_sharpening_is_estimated() -> None:
    leak = cv2.addWeighted(CAT_PLANE, 1.8, cv2.GaussianBlur(CAT_PLANE, (0, 0), 1.5), -0.8, 0.0)
    passed = fit_channel_filter(leak, CAT_PLANE, FULL_MASK)
    assert residual_detail(leak, passed.filtered(CAT_PLANE)) < 0.15 * residual_detail(
        leak, CAT_PLANE
    )


def test_unchanged_picture_gives_no_filter() -> None:
    assert (
        fit_channel_filter(
            CAT_PLANE + random_plane(1, *CAT_PLANE.shape), CAT_PLANE, FULL_MASK
        ).gains
        is None
    )


def test_uncovered_areas_do_not_influence_the_filter() -> None:
    covered = FULL_MASK.copy()
    covered[:, 200:] = False
    leak = np.where(covered, CAT_PLANE, cv2.GaussianBlur(CAT_PLANE, (0, 0), 4.0)).astype(np.float32)
    passed = fit_channel_filter(leak, CAT_PLANE, covered)
    assert passed.gains is None or np.abs(passed.gains - 1.0).max() < 0.2
