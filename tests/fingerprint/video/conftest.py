"""Fixtures: frames of small clips."""

from collections.abc import Callable, Iterable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from entrenous.base.audio_video import Frame
from tests.clips import hand_held_frames

Rgb = NDArray[np.uint8]
MakeFrames = Callable[[Iterable[Rgb], float], list[Frame]]


def encode_frame(pixels: Rgb, at_s: float) -> Frame:
    """Return a frame as FFmpeg decodes it: 4:2:0, limited range (ITU-R BT.601)."""
    height, width = pixels.shape[:2]
    planes = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2YUV_I420)
    return Frame(at_s, width, height, planes.tobytes())


@pytest.fixture(scope="session")
def make_frames() -> MakeFrames:
    def encode_frames(pictures: Iterable[Rgb], fps: float) -> list[Frame]:
        return [encode_frame(pixels, number / fps) for number, pixels in enumerate(pictures)]

    return encode_frames


@pytest.fixture(scope="session")
def scene() -> list[Rgb]:
    """Return the frames of three shots, eight seconds at 12 frames per second."""
    return [
        *hand_held_frames("astronaut", seconds=3.0),
        *hand_held_frames("coffee", seconds=3.0),
        *hand_held_frames("cat", seconds=2.0),
    ]


@pytest.fixture(scope="session")
def another_scene() -> list[Rgb]:
    return [
        *hand_held_frames("rocket", seconds=3.0),
        *hand_held_frames("hubble_deep_field", seconds=3.0),
    ]
