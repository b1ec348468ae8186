"""Animation is recognised by the file's structure; still pictures are never reported as
animated.
"""

import io
from typing import Any

import pytest
from PIL import Image

from entrenous.media.file_kind import is_animated
from tests.clips import encode_clip, hand_held_frames

KINDS = ("GIF", "PNG", "WEBP", "AVIF")


def saved(kind: str, pictures: int, **how: Any) -> bytes:
    frames = [Image.new("RGB", (40, 30), (90 * number, 20, 60)) for number in range(pictures)]
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], **how)
    return file.getvalue()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pictures", [2, 3])
def test_several_pictures_are_animated(kind: str, pictures: int) -> None:
    data = saved(kind, pictures)
    assert is_animated(data)
    assert is_animated(data + b"what comes behind its end")


@pytest.mark.parametrize("kind", [*KINDS, "JPEG", "TIFF", "BMP"])
def test_one_picture_is_not_animated(kind: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(file, kind)
    assert not is_animated(file.getvalue())


def test_metadata_or_one_timed_picture_is_not_animated() -> None:
    said = saved("GIF", 1, comment=b"," * 600, duration=100, loop=0)
    assert said.count(b",") > 600
    assert not is_animated(said)
    assert is_animated(saved("GIF", 2, comment=b"," * 600, duration=100, loop=0))
    assert not is_animated(saved("WEBP", 1, minimize_size=True))


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_file_gives_an_answer(kind: str) -> None:
    data = saved(kind, 3)
    answers = [is_animated(data[:kept]) for kept in range(len(data))]
    assert answers == sorted(answers)  # False up to some length, then True


def test_other_files_are_not_animated() -> None:
    for data in (b"", b"GIF", b"only words", encode_clip(hand_held_frames(seconds=0.2))):
        assert not is_animated(data)
