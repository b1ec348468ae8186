"""Tests of the bound on a chance: small sums of signs, known values, and refused scores."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.watermark.likelihood import CHANCE_MIN, chance_that_any_scores, upper_tail


def normal_tail(score: float) -> float:
    return 0.5 * math.erfc(score / math.sqrt(2.0))


@given(st.floats(-400, 400))
def test_bound_is_a_probability_above_the_normal_tail(score: float) -> None:
    assert normal_tail(score) <= upper_tail(score) <= 1.0
    assert upper_tail(score) >= CHANCE_MIN > 0.0


@given(st.floats(-400, 400), st.floats(0, 50))
def test_a_higher_score_is_never_likelier(score: float, increase: float) -> None:
    assert upper_tail(score + increase) <= upper_tail(score)


@settings(max_examples=60)
@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=10))
def test_bound_holds_exactly_for_every_small_sum_of_signs(weights: list[float]) -> None:
    unit = np.array(weights) / np.linalg.norm(weights)
    signs = np.array(list(product((-1.0, 1.0), repeat=len(unit))))
    sums = np.sort(signs @ unit)
    for rank, reached in enumerate(sums):
        assert (len(sums) - rank) / len(sums) <= upper_tail(float(reached) - 1e-9) + 1e-12


def test_tail_bound_has_the_expected_values() -> None:
    assert upper_tail(6.0) == pytest.approx(3.17866 * 9.865876450376946e-10, rel=1e-12, abs=0)
    assert upper_tail(1.0) == pytest.approx(3.17866 * 0.15865525393145707)
    assert upper_tail(0.5) == pytest.approx(math.exp(-0.125))
    assert upper_tail(18.0) > CHANCE_MIN
    assert upper_tail(37.0) == CHANCE_MIN
    assert upper_tail(300.0) == CHANCE_MIN


@pytest.mark.parametrize("invalid_score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_refused(invalid_score: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        upper_tail(invalid_score)


@given(st.integers(1, 100_000), st.floats(0, 1))
def test_chance_is_a_probability_and_at_most_the_bonferroni_bound(
    compared: int, tail: float
) -> None:
    assert (
        0.0
        <= chance_that_any_scores(compared, tail)
        <= min(1.0, compared * tail) * (1 + 1e-12) + 1e-300
    )
