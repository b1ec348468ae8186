"""Tests of the frames of a video: sampling, hashes, and flat or repeated frames."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.audio_video import Frame, FrameSampler
from entrenous.base.picture import Picture
from entrenous.fingerprint.nouns import REGISTERED_FRAMES_MAX, UPLOAD_FRAMES_MAX, VideoTooFlat
from entrenous.fingerprint.pdq import fingerprint
from entrenous.fingerprint.video_hash import (
    SAME_SCENE_BITS_MAX,
    blocks_of_luma,
    differing_bits,
    frames_to_register,
    frames_to_scan,
    make_video_fingerprint,
    select_frames,
)

MakeFrames = Callable[[Any, float], list[Frame]]
PLANES_2X2 = bytes(6)


def frame_at(at_s: float) -> Frame:
    return Frame(at_s, 2, 2, PLANES_2X2)


@pytest.mark.slow
@given(st.floats(0.1, 400.0), st.floats(0.5, 5.0))
def test_there_is_one_frame_for_each_interval(fps: float, interval_s: float) -> None:
    frames = [frame_at(number / fps) for number in range(min(2000, int(20 * fps)))]
    times = [frame.at_s for frame in select_frames(frames, FrameSampler(interval_s), 2000)]
    assert times[:1] == [frame.at_s for frame in frames[:1]]
    stretches = [int((at_s + 1e-6) // interval_s) for at_s in times]
    assert stretches == sorted(set(stretches))
    assert set(stretches) == {int((frame.at_s + 1e-6) // interval_s) for frame in frames}


def test_sampling_is_independent_of_frame_rate_and_gaps() -> None:
    every = map(frame_at, np.arange(0.0, 6.0, 1 / 30))
    even = [frame.at_s for frame in select_frames(every, FrameSampler(0.5), 99)]
    assert even == pytest.approx(np.arange(0.0, 6.0, 0.5))
    uneven = [0.0, 0.1, 3.2, 3.3, 3.4, 3.6, 9.0]
    some = select_frames(map(frame_at, uneven), FrameSampler(0.5), 99)
    assert [frame.at_s for frame in some] == [0.0, 3.2, 3.6, 9.0]


def test_number_of_frames_of_an_hour_is_limited() -> None:
    hour = [frame_at(number / 10) for number in range(36_000)]
    assert len(list(frames_to_register(hour, 3600.0))) == REGISTERED_FRAMES_MAX
    assert len(list(frames_to_scan(hour, 3600.0))) == UPLOAD_FRAMES_MAX
    assert [frame.at_s for frame in frames_to_register(hour, 3600.0)][-1] == 3597.0
    quick = [frame_at(number / 8) for number in range(2000)]
    # A length of 0 means that the file announces no length.
    assert [frame.at_s for frame in frames_to_register(quick, 0.0)][-1] == 149.875


@pytest.mark.slow
def test_a_frame_has_nearly_the_hash_of_the_picture(
    photographs: dict[str, Any], make_picture: Callable[[Any], Picture], make_frames: MakeFrames
) -> None:
    for name, pixels in photographs.items():
        even = pixels[: pixels.shape[0] & ~1, : pixels.shape[1] & ~1]
        still = fingerprint(make_picture(even))
        try:
            (frame,) = make_video_fingerprint(make_frames([even], 1.0)).frames
        except VideoTooFlat:
            assert still.quality < 52, name
            continue
        assert differing_bits(frame.bits, still.bits) <= 6, name
        assert abs(frame.quality - still.quality) <= 3, name


def test_limited_range_luma_is_scaled_to_0_to_255() -> None:
    assert blocks_of_luma(np.full((90, 160), 16, np.uint8)) == pytest.approx(0.0)
    assert blocks_of_luma(np.full((90, 160), 235, np.uint8)) == pytest.approx(255.0, abs=1e-3)
    assert (blocks_of_luma(np.full((4, 160), 90, np.uint8)) == 0.0).all()


@pytest.mark.slow
def test_adjacent_frames_differ_and_times_increase(scene: Any, make_frames: MakeFrames) -> None:
    registered = make_video_fingerprint(make_frames(scene, 12.0))
    assert 16 <= len(registered.frames) <= 64
    for one, next_one in pairwise(registered.frames):
        assert one.at_ms < next_one.at_ms
        assert one.at_ms % 125 < 90
        assert differing_bits(one.bits, next_one.bits) > SAME_SCENE_BITS_MAX


def test_a_still_scene_is_one_frame(scene: Any, make_frames: MakeFrames) -> None:
    assert len(make_video_fingerprint(make_frames([scene[0]] * 60, 12.0)).frames) == 1


@pytest.mark.slow
def test_flat_frames_are_left_out_and_a_flat_video_is_refused(
    scene: Any, make_frames: MakeFrames
) -> None:
    flat = [np.full_like(scene[0], level) for level in (0, 90, 255)] * 12
    with pytest.raises(VideoTooFlat):
        make_video_fingerprint(make_frames(flat, 12.0))
    with pytest.raises(VideoTooFlat):
        make_video_fingerprint([])
    mixed = make_video_fingerprint(make_frames([*flat, *scene[:24]], 12.0))
    assert min(frame.at_ms for frame in mixed.frames) >= 3000
