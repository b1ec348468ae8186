"""Which picture of an animated PNG is read: the one that viewers show first."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from entrenous.base.picture import IncompletePicture, Picture, PictureDecodingFailed
from entrenous.media.file_kind import is_animated
from entrenous.media.picture_reader import read_picture
from entrenous.media.png_animation import default_image, has_separate_default_image
from tests.media.animated_png import (
    END,
    SIGNATURE,
    animation,
    chunk,
    frame_data,
    frame_start,
    header,
    image_data,
    png_with_separate_default_image,
)

SIZE = (160, 120)


@pytest.fixture(scope="module")
def one(photo: Image.Image) -> Any:
    return np.asarray(photo)


@pytest.fixture(scope="module")
def other(one: Any) -> Any:
    return np.ascontiguousarray(255 - one[::-1])


def is_equal(picture: Picture, pixels: Any) -> bool:
    return np.array_equal(np.asarray(picture), pixels)


@pytest.mark.parametrize("blend", [0, 1])
def test_the_default_image_is_not_read_if_it_is_not_part_of_the_animation(
    one: Any, other: Any, blend: int
) -> None:
    data = png_with_separate_default_image(one, other, blend=blend)
    assert is_equal(read_picture(data), other)
    assert has_separate_default_image(data)
    assert is_animated(data)
    assert is_equal(read_picture(default_image(data)), one)


def test_transparent_first_frame_is_not_laid_on_the_default_image(one: Any, other: Any) -> None:
    alpha = np.full((120, 160, 1), 9, np.uint8)
    data = png_with_separate_default_image(
        np.dstack([one, alpha]), np.dstack([other, alpha]), blend=1
    )
    picture = read_picture(data)
    assert is_equal(picture, other)
    assert picture.alpha == bytes([9]) * 160 * 120


def test_smaller_first_frame_is_read_without_the_space_around_it(one: Any, other: Any) -> None:
    part = np.ascontiguousarray(other[:50, :70])
    assert is_equal(read_picture(png_with_separate_default_image(one, part, offset=(90, 70))), part)
    for offset in ((91, 70), (90, 71)):
        with pytest.raises(PictureDecodingFailed):
            read_picture(png_with_separate_default_image(one, part, offset=offset))


def test_default_image_that_begins_the_animation_is_read(one: Any, other: Any) -> None:
    data = SIGNATURE + header(one) + animation(2) + frame_start(0, SIZE) + image_data(one)
    data += frame_start(1, SIZE) + frame_data(2, other) + END
    assert is_equal(read_picture(data), one)
    assert not has_separate_default_image(data)
    assert is_animated(data)


@pytest.mark.parametrize("announced", [True, False])
def test_frame_with_a_false_size_does_not_change_how_idat_is_read(
    one: Any, *, announced: bool
) -> None:
    """Pillow would read only the first row, and viewers without animations the whole picture."""
    start = animation(1) if announced else b""
    data = SIGNATURE + header(one) + start + frame_start(0, (160, 1)) + image_data(one) + END
    assert is_equal(read_picture(data), one)


def test_chunks_of_an_animation_that_is_not_announced_are_ignored(one: Any, other: Any) -> None:
    data = SIGNATURE + header(one) + image_data(one) + frame_start(0, SIZE) + frame_data(1, other)
    assert is_equal(read_picture(data + END), one)
    assert not is_animated(data + END)


def test_repeated_or_misplaced_announcement_counts_as_an_animation(one: Any, other: Any) -> None:
    frame = frame_start(0, SIZE) + frame_data(1, other) + END
    for middle in (
        2 * animation(1) + image_data(one),
        image_data(one) + animation(1),
        animation(0) + image_data(one),
    ):
        data = SIGNATURE + header(one) + middle + frame
        assert has_separate_default_image(data)
        assert is_equal(read_picture(data), other)


def broken_files(one: Any, other: Any) -> dict[str, bytes]:
    start = SIGNATURE + header(one) + animation(1) + image_data(one)
    frame, data = frame_start(0, SIZE), frame_data(1, other)
    return {
        "no frame": start + END,
        "frame without data": start + frame + END,
        "data without frame": start + data + END,
        "two frames before the data": start + frame + frame + data + END,
        "frame too short": start + chunk(b"fcTL", bytes(25)) + data + END,
        "empty frame": start + chunk(b"fcTL", bytes(26)) + data + END,
        "empty data": start + frame + chunk(b"fdAT", b"") + END,
        "wrong checksum of the frame": start + frame[:-1] + b"x" + data + END,
        "wrong checksum of the data": start + frame + data[:-1] + b"x" + END,
        "frame of another size": start + frame_start(0, (160, 119)) + data[:-2000] + END,
        "header not first": SIGNATURE
        + (animation(1) + header(one) + image_data(one) + frame + data + END),
    }


def test_broken_animation_is_refused(one: Any, other: Any) -> None:
    for name, data in broken_files(one, other).items():
        with pytest.raises((PictureDecodingFailed, IncompletePicture)):
            pytest.fail(f"{name}: {read_picture(data)}")
