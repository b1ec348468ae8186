"""Tests of PDQ's downsampling along one axis: averaged groups of pixels, and spans of weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.fingerprint.pdq import BLOCKS_PER_SIDE, downsampling_matrix, downsampling_spans


@given(
    length=st.integers(5, 3000),
    factor=st.sampled_from([1, 2, 4, 8]),
    from_end=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_averaged_pixels_weigh_as_much_as_their_originals(
    length: int, factor: int, seed: int, *, from_end: bool
) -> None:
    """Only equal pixels are averaged, so the averages give the same blocks as the pixels."""
    left = -(-length // factor)
    means = np.random.default_rng(seed).uniform(0, 255, left)
    every = np.repeat(means, factor)
    every = every[-length:] if from_end else every[:length]
    axis = downsampling_matrix(length, factor, from_end=from_end)
    assert axis.shape == (BLOCKS_PER_SIDE, left)
    assert axis @ means == pytest.approx(downsampling_matrix(length) @ every, abs=1e-2)


@pytest.mark.slow
@given(length=st.integers(5, 3000), factor=st.sampled_from([1, 2, 4, 8]), from_end=st.booleans())
def test_spans_contain_every_weight(length: int, factor: int, *, from_end: bool) -> None:
    axis = downsampling_matrix(length, factor, from_end=from_end)
    for row, (first, stop) in zip(
        axis, downsampling_spans(length, factor, from_end=from_end), strict=True
    ):
        assert row[first:stop].sum() == pytest.approx(1.0, abs=1e-5)
        assert not row[:first].any()
        assert not row[stop:].any()
