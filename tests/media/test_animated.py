"""Tests of ``is_animated``: files with one or several frames, truncated files, other files."""

import io
from typing import Any

import pytest
from PIL import Image

from entrenous.media.file_kind import is_animated
from tests.clips import encode_clip, hand_held_frames

ANIMATED_FORMATS = ("GIF", "PNG", "WEBP", "AVIF")


def encode_frames(kind: str, frame_count: int, **options: Any) -> bytes:
    frames = [Image.new("RGB", (40, 30), (90 * number, 20, 60)) for number in range(frame_count)]
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ANIMATED_FORMATS)
@pytest.mark.parametrize("frame_count", [2, 3])
def test_file_with_several_frames_is_animated(kind: str, frame_count: int) -> None:
    data = encode_frames(kind, frame_count)
    assert is_animated(data)
    assert is_animated(data + b"what comes behind its end")


@pytest.mark.parametrize("kind", [*ANIMATED_FORMATS, "JPEG", "TIFF", "BMP"])
def test_file_with_one_frame_is_not_animated(kind: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(file, kind)
    assert not is_animated(file.getvalue())


def test_separator_bytes_in_a_comment_are_not_counted_as_frames() -> None:
    said = encode_frames("GIF", 1, comment=b"," * 600, duration=100, loop=0)
    assert said.count(b",") > 600
    assert not is_animated(said)
    assert is_animated(encode_frames("GIF", 2, comment=b"," * 600, duration=100, loop=0))
    assert not is_animated(encode_frames("WEBP", 1, minimize_size=True))


@pytest.mark.parametrize("kind", ANIMATED_FORMATS)
def test_truncated_file_is_animated_only_from_some_length_on(kind: str) -> None:
    data = encode_frames(kind, 3)
    answers = [is_animated(data[:kept]) for kept in range(len(data))]
    assert answers == sorted(answers)  # False up to some length, then True


def test_other_files_are_not_animated() -> None:
    for data in (b"", b"GIF", b"only words", encode_clip(hand_held_frames(seconds=0.2))):
        assert not is_animated(data)
