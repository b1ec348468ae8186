"""Tests of reading clips: codecs, times, selections, frame types, and files that are refused."""

import contextlib
from functools import cache

import cv2
import numpy as np
import pytest

from entrenous.base.audio_video import (
    DamagedClip,
    Frame,
    FramePrediction,
    FrameSelection,
    IncompleteClip,
    NoVideoFound,
)
from entrenous.media.clip_reader import read_clip
from tests.clips import Rgb, encode_clip, hand_held_frames, sound_only_clip


@cache
def clip_frames() -> list[Rgb]:
    return hand_held_frames(seconds=1.0)


def read_frames(data: bytes, selection: FrameSelection | None = None) -> list[Frame]:
    with read_clip(data, selection or FrameSelection()) as clip:
        return list(clip.frames)


@pytest.mark.parametrize(
    ("codec", "container"),
    [("libx264", "mp4"), ("libx264", "mov"), ("libx265", "mp4"), ("libvpx-vp9", "webm"),
     ("libvpx", "webm"), ("libsvtav1", "mp4"), ("mpeg4", "avi")],
)  # fmt: skip
def test_every_codec_is_read(codec: str, container: str) -> None:
    read = read_frames(encode_clip(clip_frames(), codec=codec, container=container))
    assert [round(frame.at_s * 12) for frame in read] == list(range(12))
    grey = cv2.cvtColor(clip_frames()[5], cv2.COLOR_RGB2GRAY).astype(float)
    shown = (np.asarray(read[5]).astype(float) - 16.0) * 255.0 / 219.0
    assert np.abs(shown - grey).mean() < 8.0


def test_frame_times_are_those_of_the_file() -> None:
    times = [0.0, 0.04, 0.2, 0.21, 0.5, 0.9, 1.0, 1.1, 1.2, 1.7, 1.8, 2.0]
    read = read_frames(encode_clip(clip_frames(), times=times))
    assert [frame.at_s for frame in read] == pytest.approx(times, abs=1e-3)


def test_frame_selection_limits_times_steps_and_size() -> None:
    data = encode_clip(clip_frames())
    whole = read_frames(data)
    selected = read_frames(data, FrameSelection(0.25, 0.75, 2))
    assert [frame.at_s for frame in selected] == pytest.approx([4 / 12, 6 / 12, 8 / 12])
    assert selected[0].planes == whole[4].planes
    small = read_frames(data, FrameSelection(side_px=160))
    assert (small[0].width_px, small[0].height_px) == (160, 120)


def test_frames_report_how_they_were_predicted() -> None:
    data = encode_clip(
        clip_frames(), preset="medium", **{"x264-params": "bframes=2:b-adapt=0:scenecut=0"}
    )
    kinds = [frame.coded for frame in read_frames(data)]
    both = [FramePrediction.BOTH_WAYS] * 2
    assert kinds[:7] == [
        FramePrediction.WHOLE,
        *both,
        FramePrediction.FORWARD,
        *both,
        FramePrediction.FORWARD,
    ]
    hidden = read_frames(encode_clip(clip_frames(), codec="libvpx-vp9", container="webm"))
    assert {frame.coded for frame in hidden} == {FramePrediction.UNKNOWN}


def test_file_without_frames_is_refused() -> None:
    for data in (b"", b"hello", sound_only_clip(), sound_only_clip(container="matroska")):
        with pytest.raises(NoVideoFound):
            read_frames(data)


@pytest.mark.parametrize("container", ["mp4", "matroska"])
@pytest.mark.parametrize("kept_share", [0.3, 0.9, 0.999])
def test_truncated_clip_is_refused(container: str, kept_share: float) -> None:
    data = encode_clip(clip_frames(), container=container)
    with pytest.raises(IncompleteClip):
        read_frames(data[: round(kept_share * len(data))])


def test_random_damage_raises_only_our_own_errors() -> None:
    data = encode_clip(clip_frames())
    rng = np.random.default_rng(1)
    for _ in range(12):
        broken = bytearray(data)
        for place in rng.integers(0, len(data), 60):
            broken[place] = int(rng.integers(256))
        with contextlib.suppress(NoVideoFound, IncompleteClip, DamagedClip):
            read_frames(bytes(broken))
