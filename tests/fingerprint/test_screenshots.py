"""Tests of finding pictures on pages: screenshots, collages, and usual layouts."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.fingerprint.borders import luma_thumbnail
from entrenous.fingerprint.screenshots import BOXES_MAX, find_picture_boxes, usual_layout_boxes

pytestmark = pytest.mark.slow


def noise_plane(height: int, width: int) -> Any:
    return np.random.default_rng(height).uniform(0, 255, (height, width)).astype(np.float32)


def box_error_px(found: Any, wanted: Any) -> int:
    """Return the largest error of a side, in pixels, of the found box nearest to ``wanted``.

    If no box was found, return 999.
    """
    return min((int(np.abs(np.subtract(box, wanted)).max()) for box in found), default=999)


def test_picture_on_a_jpeg_page_with_words_is_found(photographs: dict[str, Any]) -> None:
    for name, level in (("astronaut", 250), ("cat", 20), ("flower", 250), ("coins", 250)):
        shown = cv2.resize(photographs[name], (300, 200), interpolation=cv2.INTER_AREA)
        page = np.full((500, 340, 3), level, dtype=np.uint8)
        page[130:330, 20:320] = shown
        ink = (255 - level,) * 3
        for row in (40, 80, 380, 420, 470):
            cv2.putText(page, "some words here", (30, row), cv2.FONT_HERSHEY_SIMPLEX, 0.8, ink, 2)
        _, data = cv2.imencode(".jpg", page, [cv2.IMWRITE_JPEG_QUALITY, 70])
        grey = luma_thumbnail(cv2.imdecode(data, cv2.IMREAD_COLOR))
        assert box_error_px(find_picture_boxes(grey), (130, 330, 20, 320)) <= 1, name


def test_cells_of_an_uneven_collage_are_found(photographs: dict[str, Any]) -> None:
    page = np.zeros((400, 500, 3), dtype=np.uint8)
    cells = {
        "astronaut": (0, 400, 0, 300),
        "cat": (0, 150, 300, 500),
        "china": (150, 400, 300, 500),
    }
    for name, (top, bottom, left, right) in cells.items():
        page[top:bottom, left:right] = cv2.resize(photographs[name], (right - left, bottom - top))
    found = find_picture_boxes(luma_thumbnail(page))
    for name, cell in cells.items():
        assert box_error_px(found, cell) <= 1, name


@given(
    top=st.integers(0, 60),
    left=st.integers(0, 60),
    height=st.integers(40, 90),
    width=st.integers(40, 90),
    level=st.sampled_from([0, 255]),
)
def test_noise_on_a_plain_page_is_found(
    top: int, left: int, height: int, width: int, level: int
) -> None:
    page = np.full((160, 160), level, dtype=np.float32)
    noise = np.random.default_rng(height * width).uniform(0, 255, (height, width))
    page[top : top + height, left : left + width] = 40 + 0.7 * cv2.blur(noise, (9, 9))
    assert box_error_px(find_picture_boxes(page), (top, top + height, left, left + width)) <= 1


@pytest.mark.parametrize("level", [18, 250])
def test_picture_full_of_lines_is_found_on_a_page(level: int) -> None:
    page = np.full((512, 249), level, dtype=np.float32)
    page[200:335, 17:234] = noise_plane(135, 217)
    page[40:48:2, 30:60] = page[360:368:2, 60:150] = 255 - level  # lines of text
    assert box_error_px(find_picture_boxes(page), (200, 335, 17, 234)) <= 1


def test_picture_with_a_sky_as_light_as_the_page_is_found() -> None:
    """Except for one grey patch, the sky (245) is nearly as light as the page (250)."""
    page = np.full((512, 249), 250, dtype=np.float32)
    page[216:373, 6:242] = np.clip(noise_plane(157, 236), 0, 180)
    page[216:290, 6:242] = 245
    page[217:290, 170:240] = 215
    page[400:408:2, 60:150] = 5
    assert box_error_px(find_picture_boxes(page), (216, 373, 6, 242)) <= 1


@given(height=st.integers(1, 64), width=st.integers(1, 64), seed=st.integers(0, 2**32 - 1))
def test_boxes_lie_inside_any_picture(height: int, width: int, seed: int) -> None:
    grey = np.random.default_rng(seed).uniform(0, 255, (height, width)).astype(np.float32)
    found = find_picture_boxes(grey)
    assert len(found) <= BOXES_MAX
    assert (0, height, 0, width) not in found
    for top, bottom, left, right in found:
        assert 0 <= top < bottom <= height
        assert 0 <= left < right <= width


def test_a_plain_page_has_no_boxes() -> None:
    assert find_picture_boxes(np.full((300, 200), 77.0, dtype=np.float32)) == []


def test_usual_boxes_of_a_square_are_found() -> None:
    found = usual_layout_boxes(noise_plane(120, 120))
    assert (0, 60, 60, 120) in found  # a quarter of the page
    assert (40, 80, 0, 120) in found  # a third of the page
    assert (26, 94, 0, 120) in found  # a 16 : 9 picture between two bars


@pytest.mark.parametrize("seam", [3, 12])
@pytest.mark.parametrize("outer_seam", [True, False])
@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (1, 2), (3, 1)])
def test_equal_tiles_between_light_seams_are_found(
    *, seam: int, outer_seam: bool, rows: int, columns: int
) -> None:
    """Two thirds of each edge of a tile are as white as the seam."""
    edge, high, wide = seam * outer_seam, 360 // rows, 480 // columns
    down, across = (n * (side + seam) - seam for n, side in ((rows, high), (columns, wide)))
    page = np.full((down + 2 * edge, across + 2 * edge), 255, dtype=np.float32)
    wanted = []
    for place in range(rows * columns):
        top = edge + place // columns * (high + seam)
        left = edge + place % columns * (wide + seam)
        cell = noise_plane(high, wide)
        cell[:20, : 2 * wide // 3], cell[-20:, wide // 3 :] = 255, 255
        cell[: 2 * high // 3, :20], cell[high // 3 :, -20:] = 255, 255
        page[top : top + high, left : left + wide] = cell
        wanted.append((top, top + high, left, left + wide))
    found = usual_layout_boxes(page)
    assert all(box_error_px(found, box) <= 1 for box in wanted)


@given(
    height=st.integers(1, 600),
    width=st.integers(1, 600),
    white_lines=st.lists(st.integers(0, 599), max_size=40),
    seed=st.integers(0, 99),
)
def test_usual_boxes_lie_in_the_picture(
    height: int, width: int, white_lines: list[int], seed: int
) -> None:
    grey = np.random.default_rng(seed).uniform(0, 255, (height, width)).astype(np.float32)
    grey[[one for one in white_lines if one < height]] = 255
    grey[:, [one for one in white_lines if one < width]] = 255
    found = usual_layout_boxes(grey)
    assert len(found) <= 37
    for top, bottom, left, right in found:
        assert 0 <= top < bottom <= height
        assert 0 <= left < right <= width
