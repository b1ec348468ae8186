"""Tests of traces of clips with delayed streams, gaps in the sound, or other frames around the
copy.
"""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.sounds.attacks import coded
from entrenous.device.device import Device
from entrenous.send.copies.mark_clip import mark_clip_copies
from entrenous.trace.clip import trace_clip
from entrenous.trace.sound import trace_sound
from entrenous.watermark.verdict import Trace
from tests.clips import decode_frames, encode_clip, hand_held_frames
from tests.timelines import RATE_HZ, delay_streams, flash_and_beep
from tests.trace.test_clip import RECIPIENTS, offline_device
from tests.trace.test_trace_file import decode_sound

pytestmark = pytest.mark.slow

STREAM_DELAYS = {
    "sound late": {"sound_s": 1.0},
    "picture late": {"picture_s": 1.0},
    "one gap": {"lost_packets": range(187, 234)},  # 47 of 375 packets, or 1 s of 8 s
    "two gaps": {"lost_packets": [*range(125, 155), *range(250, 280)]},  # 0.64 s each
}


@cache
def mark_delayed_clip(name: str) -> tuple[Device, bytes]:
    """Mark a clip of eight seconds; return the device, and Caro's copy."""
    device = offline_device()
    source = delay_streams(flash_and_beep(8.0), **STREAM_DELAYS[name])
    copies = {copy.to: copy.data for _, copy in mark_clip_copies(source, RECIPIENTS, device)}
    return device, copies["caro"]


def trace_by_sound(name: str) -> Trace:
    device, copy = mark_delayed_clip(name)
    samples: NDArray[np.float32] = decode_sound(copy)[:, 0]
    return trace_sound(coded(samples, RATE_HZ, "libopus", "ogg", 24_000), device)


@pytest.mark.parametrize(
    "name",
    [
        "picture late",
        *(
            pytest.param(name, marks=pytest.mark.nightly)
            for name in STREAM_DELAYS
            if name != "picture late"
        ),
    ],
)
def test_frames_of_a_clip_with_irregular_timing_name_its_copy(name: str) -> None:
    device, copy = mark_delayed_clip(name)
    assert trace_clip(copy, device).verdict.named == ("caro",)


@pytest.mark.parametrize(
    "name",
    ["picture late", "one gap", pytest.param("sound late", marks=pytest.mark.nightly)],
)
def test_recoded_sound_of_a_clip_with_irregular_timing_names_its_copy(name: str) -> None:
    assert trace_by_sound(name).verdict.named == ("caro",)


@pytest.fixture(scope="module")
def marked_clip_of_one_second() -> tuple[Device, bytes]:
    """Mark a clip of one second; return the device, and Caro's copy."""
    device, source = offline_device(), encode_clip(hand_held_frames("coffee", seconds=1.0))
    copies = {copy.to: copy.data for _, copy in mark_clip_copies(source, RECIPIENTS, device)}
    return device, copies["caro"]


def test_clip_without_frames_in_its_middle_is_traced_by_its_start(
    marked_clip_of_one_second: tuple[Device, bytes],
) -> None:
    device, copy = marked_clip_of_one_second
    frames = decode_frames(copy)
    times = [*(number / 12 for number in range(len(frames))), 60.0]
    leak = encode_clip([*frames, frames[-1]], times=times)
    assert trace_clip(leak, device).verdict.named == ("caro",)


def test_the_part_is_within_the_sent_clip(
    marked_clip_of_one_second: tuple[Device, bytes],
) -> None:
    device, copy = marked_clip_of_one_second
    other = hand_held_frames("astronaut", seconds=0.5)
    trace = trace_clip(encode_clip([*other[:3], *decode_frames(copy), *other[3:]]), device)
    assert trace.verdict.named == ("caro",)
    assert trace.span is not None
    assert trace.span.start_s == pytest.approx(0.0, abs=0.1)
    assert trace.span.length_s == pytest.approx(1.0, abs=0.1)


@pytest.mark.nightly
def test_sound_with_two_gaps_names_nobody() -> None:
    """docs/known-attacks.md describes this limit."""
    assert trace_by_sound("two gaps").verdict.named == ()
