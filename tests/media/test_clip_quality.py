"""Tests of choosing x264's rate factor for a copy, and of the measured error of a copy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.media.clip_reader import read_clip
from entrenous.media.clip_writer import TRIED_CRFS, choose_rate_factor, mean_squared_copy_error
from tests.clips import decode_frames, encode_clip, hand_held_frames


def test_mean_squared_error_matches_the_decoded_pixels() -> None:
    source = encode_clip(hand_held_frames(seconds=0.7))
    with read_clip(source) as clip:
        copy = encode_clip(decode_frames(source), crf="24")
        estimated = mean_squared_copy_error(copy, clip.frames)
    pairs = zip(decode_frames(copy), decode_frames(source), strict=True)
    shown = float(np.mean([np.mean((a.astype(float) - b) ** 2) for a, b in pairs]))
    assert 0.9 < estimated / shown < 1.25  # the estimate ignores the smoothing of chroma


def test_rate_factor_is_interpolated_between_tried_ones() -> None:
    target = 255.0**2 / 10.0**4.23
    assert choose_rate_factor((1.3 * target, target)) == TRIED_CRFS[1]
    between = choose_rate_factor((1.25 * target, target / 1.25))
    assert between == pytest.approx(sum(TRIED_CRFS) / 2, abs=0.1)


@given(st.floats(0.0, 1e4), st.floats(0.0, 1e4))
def test_rate_factor_stays_within_bounds(coarse: float, fine: float) -> None:
    assert 10.0 <= choose_rate_factor((coarse, fine)) <= 19.0
