"""Tests of ``lowest_naming_score``: many copies, the smallest chance, and no copies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.limits import FALSE_NAMING_CHANCE_MAX
from entrenous.watermark.likelihood import CHANCE_MIN, chance_that_any_scores, upper_tail
from entrenous.watermark.verdict import lowest_naming_score


@given(st.integers(1, 10**9))
def test_naming_score_names_a_copy_and_a_slightly_lower_score_does_not(compared: int) -> None:
    score = lowest_naming_score(compared)
    assert chance_that_any_scores(compared, upper_tail(score)) <= FALSE_NAMING_CHANCE_MAX
    assert chance_that_any_scores(compared, upper_tail(score - 1e-6)) > FALSE_NAMING_CHANCE_MAX


def test_naming_score_exists_for_the_smallest_possible_chance() -> None:
    assert 0.0 < lowest_naming_score(1, alpha=CHANCE_MIN) <= 64.0
    with pytest.raises(ValueError, match="no score"):
        lowest_naming_score(1, alpha=CHANCE_MIN / 2.0)


def test_zero_compared_copies_are_refused() -> None:
    with pytest.raises(ValueError, match="no score"):
        lowest_naming_score(0)
