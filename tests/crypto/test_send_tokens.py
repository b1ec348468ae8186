"""Tests of deriving send tokens from a seed and an index."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.secret import Secret
from entrenous.crypto.key_derivation import derive_send_token

SEED = Secret(bytes(range(32)))


@given(st.sets(st.integers(0, 2**64 - 1), min_size=2, max_size=20))
def test_tokens_are_distinct_and_deterministic(indices: set[int]) -> None:
    tokens = {derive_send_token(SEED, index).reveal() for index in indices}
    assert len(tokens) == len(indices)
    assert tokens == {derive_send_token(SEED, index).reveal() for index in indices}
    assert all(len(token) == 32 for token in tokens)


def test_another_seed_has_other_tokens() -> None:
    assert derive_send_token(SEED, 0) != derive_send_token(Secret(bytes(32)), 0)


def test_invalid_seed_or_index_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        derive_send_token(Secret(bytes(31)), 0)
    for index in (-1, 2**64):
        with pytest.raises(OverflowError):
            derive_send_token(SEED, index)
