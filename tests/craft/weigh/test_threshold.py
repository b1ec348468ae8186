"""The score that names: the least one, whatever the number of copies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.craft.weigh.tail import best_of, upper_tail
from entrenous.craft.weigh.threshold import naming_score
from entrenous.spec import ALPHA


@given(st.integers(1, 10**9))
def test_it_names_and_a_little_less_does_not(compared: int) -> None:
    score = naming_score(compared)
    assert best_of(compared, upper_tail(score)) <= ALPHA
    assert best_of(compared, upper_tail(score - 1e-6)) > ALPHA


def test_nobody_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="no score"):
        naming_score(0)
