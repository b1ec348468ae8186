"""Tests of traces of clips with delayed streams or with gaps in the sound."""

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


@pytest.mark.nightly
def test_sound_with_two_gaps_names_nobody() -> None:
    """docs/known-attacks.md describes this limit."""
    assert trace_by_sound("two gaps").verdict.named == ()
