"""Tests of the layout of chips in bands, and of the chips of a key stream."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.picture import TooSmallToMark
from entrenous.watermark.chip_layout import (
    chips_needed,
    chips_of_stream,
    dither_stream_bytes,
    key_stream_bytes,
    lay_out_chips,
)

sides = st.integers(64, 6000)


@pytest.mark.parametrize(
    ("width", "height", "bands", "count"),
    [(600, 400, 4, 79_700), (2000, 1500, 6, 639_875), (4000, 3000, 6, 639_875), (64, 64, 1, 1024)],
)
def test_layout_is_that_of_the_specification(
    width: int, height: int, bands: int, count: int
) -> None:
    assert len(lay_out_chips(width, height).bands) == bands
    assert chips_needed(width, height) == count


def test_quotient_is_rounded_before_the_side_is() -> None:
    """In exact arithmetic, the shorter side would be 487.5, which is rounded to 488."""
    assert lay_out_chips(4640, 1131).working_size == (487, 2000)  # rows, columns


@given(sides, sides)
def test_bands_halve_and_follow_each_other_without_a_gap(width: int, height: int) -> None:
    plan = lay_out_chips(width, height)
    assert max(plan.working_size) <= 2000
    assert plan.bands[0].start == 0
    assert plan.chip_count == sum(band.cells[0] * band.cells[1] for band in plan.bands)
    for fine, coarse in zip(plan.bands, plan.bands[1:], strict=False):
        assert coarse.start == fine.stop
        assert coarse.cells == tuple((side + 1) // 2 for side in fine.cells)
    assert max(plan.bands[0].cells) <= 800
    assert max(plan.bands[-1].cells) >= 24
    assert 2 * max(plan.bands[0].cells) <= max(plan.working_size)


@given(sides, sides)
def test_rotated_picture_has_the_same_number_of_chips(width: int, height: int) -> None:
    assert chips_needed(width, height) == chips_needed(height, width)


def test_too_small_picture_is_refused_with_the_smallest_size() -> None:
    with pytest.raises(TooSmallToMark, match="64 pixels"):
        lay_out_chips(2000, 63)


def test_streams_have_the_required_length() -> None:
    assert key_stream_bytes(600, 400) == 9963
    assert dither_stream_bytes(600, 400) == 240_000


def test_bits_become_signs_from_the_most_significant_bit_on() -> None:
    assert chips_of_stream(bytes([0b1010_0000]), 4).tolist() == [1, -1, 1, -1]


def test_a_short_stream_is_refused() -> None:
    with pytest.raises(ValueError, match="2 bytes"):
        chips_of_stream(b"x", 9)


def test_uniform_bytes_give_fair_signs() -> None:
    signs = chips_of_stream(np.random.default_rng(3).bytes(50_000), 400_000)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(float(signs.mean())) < 4 / np.sqrt(400_000)
