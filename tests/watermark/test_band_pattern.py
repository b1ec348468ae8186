"""The pattern is linear in the chips, and evidence flows back through its exact adjoint."""

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


def drawn(seed: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def inner(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    return float(np.dot(left.ravel().astype(np.float64), right.ravel().astype(np.float64)))


def close(left: float, right: float, size: int) -> bool:
    return abs(left - right) <= 1e-4 * np.sqrt(size) + 1e-4 * abs(left)


@settings(max_examples=40)
@given(sides, sides, seeds)
def test_band_pattern_has_an_exact_adjoint(rows: int, columns: int, seed: int) -> None:
    cells = drawn(seed, (rows + 1) // 2, (columns + 1) // 2)
    mask, evidence = np.abs(drawn(seed + 1, rows, columns)), drawn(seed + 2, rows, columns)
    forth = inner(band_pattern(cells, mask), evidence)
    back = inner(cells, band_pattern_adjoint(evidence, mask, cells.shape))
    assert close(forth, back, rows * columns)


@settings(max_examples=40)
@given(sides, sides, seeds, st.integers(1, 4))
def test_pyramids_have_exact_adjoints(rows: int, columns: int, seed: int, levels: int) -> None:
    plane = drawn(seed, rows, columns)
    details = detail_pyramid(plane, levels)
    others = [drawn(seed + k, *detail.shape) for k, detail in enumerate(details)]
    forth = sum(inner(one, other) for one, other in zip(details, others, strict=True))
    assert close(forth, inner(plane, detail_pyramid_adjoint(others)), rows * columns)
    back = sum_pyramid_adjoint(plane, levels)
    whole = sum(inner(one, other) for one, other in zip(back, others, strict=True))
    assert close(inner(sum_pyramid(others), plane), whole, 4 * rows * columns)


@pytest.mark.parametrize("size", [(200, 131), (64, 333)])
def test_pattern_has_an_exact_adjoint(size: tuple[int, int]) -> None:
    plan = lay_out_chips(*size)
    masks = [np.abs(drawn(k, *band.pixels)) for k, band in enumerate(plan.bands)]
    signs, evidence = drawn(7, plan.chip_count), drawn(8, *plan.working_size)
    forth = inner(mark_pattern(signs, plan, masks), evidence)
    back = inner(signs, np.concatenate(mark_pattern_adjoint(evidence, plan, masks)))
    assert close(forth, back, plan.chip_count)


def test_pattern_is_linear() -> None:
    plan = lay_out_chips(150, 100)
    masks = [np.ones(band.pixels, np.float32) for band in plan.bands]
    one, other = drawn(1, plan.chip_count), drawn(2, plan.chip_count)
    both = mark_pattern(2 * one - other, plan, masks)
    apart = 2 * mark_pattern(one, plan, masks) - mark_pattern(other, plan, masks)
    assert np.abs(both - apart).max() < 1e-4


def test_detail_pyramid_loses_nothing() -> None:
    plane = drawn(5, 61, 84)
    levels = detail_pyramid(plane, 3)
    lows = gaussian_pyramid(plane, 4)[3]
    up = cv2.pyrUp(lows, dstsize=levels[2].shape[::-1])
    assert np.abs(sum_pyramid([*levels[:2], levels[2] + up]) - plane).max() < 1e-5
