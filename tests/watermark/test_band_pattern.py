"""Tests of the mark pattern and the pyramids: adjoints, linearity and reconstruction."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from entrenous.watermark.chip_layout import lay_out_chips
from entrenous.watermark.embed import (
    band_pattern,
    band_pattern_adjoint,
    mark_pattern,
    mark_pattern_adjoint,
)
from entrenous.watermark.pyramid import (
    detail_pyramid,
    detail_pyramid_adjoint,
    gaussian_pyramid,
    sum_pyramid,
    sum_pyramid_adjoint,
)

sides = st.integers(5, 90)
seeds = st.integers(0, 2**32 - 1)


def random_array(seed: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def inner_product(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    return float(np.dot(left.ravel().astype(np.float64), right.ravel().astype(np.float64)))


def is_close(left: float, right: float, size: int) -> bool:
    return abs(left - right) <= 1e-4 * np.sqrt(size) + 1e-4 * abs(left)


@settings(max_examples=40)
@given(sides, sides, seeds)
def test_band_pattern_has_an_exact_adjoint(rows: int, columns: int, seed: int) -> None:
    cells = random_array(seed, (rows + 1) // 2, (columns + 1) // 2)
    mask, evidence = (
        np.abs(random_array(seed + 1, rows, columns)),
        random_array(seed + 2, rows, columns),
    )
    forth = inner_product(band_pattern(cells, mask), evidence)
    back = inner_product(cells, band_pattern_adjoint(evidence, mask, cells.shape))
    assert is_close(forth, back, rows * columns)


@settings(max_examples=40)
@given(sides, sides, seeds, st.integers(1, 4))
def test_pyramids_have_exact_adjoints(rows: int, columns: int, seed: int, levels: int) -> None:
    plane = random_array(seed, rows, columns)
    details = detail_pyramid(plane, levels)
    others = [random_array(seed + k, *detail.shape) for k, detail in enumerate(details)]
    forth = sum(inner_product(one, other) for one, other in zip(details, others, strict=True))
    assert is_close(forth, inner_product(plane, detail_pyramid_adjoint(others)), rows * columns)
    back = sum_pyramid_adjoint(plane, levels)
    whole = sum(inner_product(one, other) for one, other in zip(back, others, strict=True))
    assert is_close(inner_product(sum_pyramid(others), plane), whole, 4 * rows * columns)


@pytest.mark.parametrize("size", [(200, 131), (64, 333)])
def test_pattern_has_an_exact_adjoint(size: tuple[int, int]) -> None:
    plan = lay_out_chips(*size)
    masks = [np.abs(random_array(k, *band.pixels)) for k, band in enumerate(plan.bands)]
    signs, evidence = random_array(7, plan.chip_count), random_array(8, *plan.working_size)
    forth = inner_product(mark_pattern(signs, plan, masks), evidence)
    back = inner_product(signs, np.concatenate(mark_pattern_adjoint(evidence, plan, masks)))
    assert is_close(forth, back, plan.chip_count)


def test_pattern_is_linear() -> None:
    plan = lay_out_chips(150, 100)
    masks = [np.ones(band.pixels, np.float32) for band in plan.bands]
    one, other = random_array(1, plan.chip_count), random_array(2, plan.chip_count)
    both = mark_pattern(2 * one - other, plan, masks)
    apart = 2 * mark_pattern(one, plan, masks) - mark_pattern(other, plan, masks)
    assert np.abs(both - apart).max() < 1e-4


def test_detail_pyramid_can_be_reconstructed() -> None:
    plane = random_array(5, 61, 84)
    levels = detail_pyramid(plane, 3)
    lows = gaussian_pyramid(plane, 4)[3]
    up = cv2.pyrUp(lows, dstsize=levels[2].shape[::-1])
    assert np.abs(sum_pyramid([*levels[:2], levels[2] + up]) - plane).max() < 1e-5
