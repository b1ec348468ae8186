"""Tests of the likelihood ratio: averages, limits, order, and refused scores."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.identifiers import RecipientId
from entrenous.watermark.likelihood import (
    CHANCE_MIN,
    LIKELIHOOD_RATIO_MAX,
    likelihood_ratio,
    upper_tail,
)
from entrenous.watermark.verdict import name_by_scores


@given(st.lists(st.floats(0.05, 1.0), min_size=1, max_size=6))
def test_mean_ratio_over_all_signs_is_at_most_1(weights: list[float]) -> None:
    unit = np.array(weights) / np.linalg.norm(weights)
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(unit))))
    ratios = [likelihood_ratio(score) for score in (signs @ unit).tolist()]
    assert math.fsum(ratios) / len(ratios) <= 1.0 + 1e-12


def test_innocent_ratio_reaches_x_at_most_once_in_x() -> None:
    rng = np.random.default_rng(1)
    grid = 0.5 + np.arange(40.0)
    unit = grid / np.linalg.norm(grid)
    signs = rng.integers(0, 2, (6_000, unit.size), np.int8) * 2.0 - 1.0
    ratios = np.array([likelihood_ratio(score) for score in (signs @ unit).tolist()])
    assert ratios.mean() < 1.0 + 4 * ratios.std() / math.sqrt(ratios.size)
    for reached in (2.0, 10.0, 100.0, 1000.0):
        assert np.mean(ratios >= reached) <= 1.0 / reached


@given(st.floats(-1e6, 1e6), st.floats(0.0, 1e6))
def test_a_higher_score_never_has_a_smaller_ratio(score: float, increase: float) -> None:
    low, high = likelihood_ratio(score), likelihood_ratio(score + increase)
    assert 0.5 <= low <= high * (1 + 1e-12) <= LIKELIHOOD_RATIO_MAX * (1 + 1e-12)


def test_ratio_is_never_below_one_half() -> None:
    assert likelihood_ratio(-1e300) == 0.5
    assert likelihood_ratio(0.0) > 0.5


def test_ratio_stops_growing_where_the_chance_reaches_its_floor() -> None:
    assert likelihood_ratio(400.0) == LIKELIHOOD_RATIO_MAX == 1.0 / CHANCE_MIN
    assert likelihood_ratio(1e308) == LIKELIHOOD_RATIO_MAX


@given(st.floats(3.0, 18.0))
def test_ratio_never_exceeds_one_over_the_chance(score: float) -> None:
    assert likelihood_ratio(score) <= 1.0 / upper_tail(score)


@pytest.mark.parametrize("invalid_score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_refused(invalid_score: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        likelihood_ratio(invalid_score)


def test_verdict_has_a_ratio_for_every_copy() -> None:
    ana, ben = RecipientId("ana"), RecipientId("ben")
    verdict = name_by_scores({ana: 9.0, ben: 0.1})
    assert verdict.likelihood_ratio[ana] == likelihood_ratio(9.0) > 1e6
    assert verdict.likelihood_ratio[ben] == likelihood_ratio(0.1) < 1.0


@given(st.floats(-20.0, 40.0))
def test_ratio_equals_the_sum_over_all_strengths(score: float) -> None:
    every = range(1, 301)
    whole = math.fsum(1.0 / t for t in every)
    total = math.fsum(math.exp(min(t * score - t * t / 2, 700.0)) / (t * whole) for t in every)
    assert likelihood_ratio(score) == pytest.approx(
        min(0.5 + 0.5 * total, LIKELIHOOD_RATIO_MAX), rel=1e-12
    )
