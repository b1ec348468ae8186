"""Plain frames are taken away, pictures without one are left alone."""

from typing import Any

import cv2
import numpy as np
import pytest

from entrenous.craft.fingerprint.border import inside, without_border


def framed(pixels: Any, *, sides: tuple[int, int, int, int], level: int) -> Any:
    colour = (level, level, level)
    return cv2.copyMakeBorder(pixels, *sides, cv2.BORDER_CONSTANT, value=colour)


def as_jpeg(pixels: Any, quality: int) -> Any:
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("sides", [(40, 40, 40, 40), (90, 90, 0, 0), (0, 0, 15, 80)])
def test_a_frame_is_found_through_jpeg(
    photographs: dict[str, Any], level: int, sides: tuple[int, int, int, int]
) -> None:
    for name in ("astronaut", "cat", "coffee", "rocket"):
        pixels = photographs[name]
        inner = without_border(as_jpeg(framed(pixels, sides=sides, level=level), 50))
        assert inner is not None
        assert abs(inner.shape[0] - pixels.shape[0]) <= 6, name
        assert abs(inner.shape[1] - pixels.shape[1]) <= 6, name


def test_a_letterbox_inside_a_frame(photographs: dict[str, Any]) -> None:
    pixels = photographs["coffee"]
    boxed = framed(pixels, sides=(60, 60, 0, 0), level=0)
    inner = without_border(framed(boxed, sides=(30, 30, 30, 30), level=255))
    assert inner is not None
    assert abs(inner.shape[0] - pixels.shape[0]) <= 4
    assert abs(inner.shape[1] - pixels.shape[1]) <= 4


def test_pictures_without_a_frame(photographs: dict[str, Any]) -> None:
    for name in ("astronaut", "cat", "coffee", "rocket", "china", "flower"):
        assert without_border(photographs[name]) is None, name


def test_a_plain_picture_is_all_there_is() -> None:
    assert inside(np.full((50, 80), 9.0, dtype=np.float32)) == (0, 50, 0, 80)


def test_a_stamp_in_a_large_frame_is_left_alone() -> None:
    grey = np.zeros((100, 100), dtype=np.float32)
    grey[45:55, 45:55] = 255
    assert inside(grey) == (0, 100, 0, 100)
