"""Tests of flat areas of pictures: how they are found, and how they change masks and marks."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from entrenous.watermark.chip_layout import dither_stream_bytes, key_stream_bytes, lay_out_chips
from entrenous.watermark.detector import copy_scores
from entrenous.watermark.embed import embed_mark, prepare_picture
from entrenous.watermark.visibility import flat_area_mask, zero_in_flat_areas
from tests.watermark.detect import detect_mark

Pixels = NDArray[np.uint8]
COPY_COUNT = 24
PAPER_COLOUR = (255, 255, 255)
BUBBLE_COLOUR = (217, 253, 211)


def draw_chat(scale: int) -> Pixels:
    """Draw a screenshot of a chat: text in tinted bubbles on white."""
    picture = Image.new("RGB", (360 * scale, 600 * scale), PAPER_COLOUR)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(14 * scale)
    for row, left in enumerate((20, 110, 20, 90, 20)):
        box = [scale * at for at in (left, 30 + 110 * row, left + 220, 110 + 110 * row)]
        draw.rounded_rectangle(box, 12 * scale, fill=BUBBLE_COLOUR)
        words = "Here is the one from the beach.\nOnly for you, please.\nSleep well!"
        draw.multiline_text((box[0] + 12 * scale, box[1] + 8 * scale), words, (17, 27, 33), font)
    return np.asarray(picture)


def key_streams(pixels: Pixels) -> list[bytes]:
    rng = np.random.default_rng(5)
    return [rng.bytes(key_stream_bytes(*picture_size(pixels))) for _ in range(COPY_COUNT)]


def mark_copy(pixels: Pixels, copy_number: int) -> Pixels:
    dither = np.random.default_rng(6).bytes(dither_stream_bytes(*picture_size(pixels)))
    return embed_mark(prepare_picture(pixels), key_streams(pixels)[copy_number], dither)


@pytest.mark.parametrize("scale", [1, 2, 4])  # at scale 4, a smaller mark is made and enlarged
def test_flat_areas_of_a_chat_screenshot_are_unchanged(scale: int) -> None:
    pixels = draw_chat(scale)
    plain = flat_area_mask(pixels) == 255
    assert plain.mean() > 0.5
    change = np.abs(mark_copy(pixels, 0).astype(int) - pixels).max(axis=2)
    assert change[plain].max() <= 1  # enlarging a mark may change a few pixels by 1
    assert change[plain].mean() < 0.0005
    assert change[~plain].mean() > 0.5


@pytest.mark.slow
def test_recoded_chat_screenshot_names_its_copy() -> None:
    pixels = draw_chat(2)
    file = io.BytesIO()
    Image.fromarray(mark_copy(pixels, copy_number=7)).save(file, "JPEG", quality=50)
    leak = np.asarray(Image.open(file).convert("RGB"))
    evidence = detect_mark(leak, np.ones(leak.shape[:2], np.bool_), prepare_picture(pixels))
    found = copy_scores(evidence, key_streams(pixels))
    assert found.argmax() == 7
    assert found[7] > 20.0
    assert np.delete(found, 7).max() < 5.0


def test_a_photograph_without_a_flat_place_keeps_its_masks(photographs: dict[str, Any]) -> None:
    for name in ("chelsea", "coffee", "rocket", "flower"):
        pixels = photographs[name].pixels
        masks = [
            np.ones(band.pixels, np.float32) for band in lay_out_chips(*picture_size(pixels)).bands
        ]
        kept = zero_in_flat_areas(masks, pixels, pixels.shape[:2])
        assert all(after is before for after, before in zip(kept, masks, strict=True))


def test_areas_far_from_flat_ones_keep_their_mask() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (400, 600, 3), np.uint8)
    pixels[:, :200] = 90
    masks = [np.ones(band.pixels, np.float32) for band in lay_out_chips(600, 400).bands]
    for level, mask in enumerate(zero_in_flat_areas(masks, pixels, (400, 600))):
        edge = -(-200 // 2**level)
        assert (mask[:, : edge - 7] == 0).all()
        assert (mask[:, edge + 2 :] == 1).all()


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_copies_of_a_flat_picture_differ(grey: int) -> None:
    blank = np.full((200, 300, 3), grey, np.uint8)
    assert (mark_copy(blank, 1) != mark_copy(blank, 2)).any()


@pytest.mark.slow
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 3), st.integers(0, 12), st.integers(0)
)
def test_flat_means_that_all_surrounding_samples_are_equal(
    high: int, wide: int, values: int, dots: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    pixels = np.full((high, wide, 3), 7, np.uint8)
    for _ in range(dots):
        at = rng.integers(high), rng.integers(wide), rng.integers(3)
        pixels[at] += rng.integers(values)
    wanted = np.pad(pixels.astype(float), ((7, 7), (7, 7), (0, 0)), constant_values=np.nan)
    windows = sliding_window_view(wanted, (15, 15), axis=(0, 1)).reshape(high, wide, 3, -1)
    equal = (np.nanmax(windows, axis=3) == np.nanmin(windows, axis=3)).all(axis=2)
    assert np.array_equal(flat_area_mask(pixels) == 255, equal)


def test_flat_area_mask_has_no_seams_between_strips() -> None:
    pixels = np.full((700, 40, 3), 7, np.uint8)
    pixels[::25, 20, 1] = 8
    tall, wide = flat_area_mask(pixels), flat_area_mask(np.ascontiguousarray(pixels.swapaxes(0, 1)))
    assert np.array_equal(tall, wide.T)
    assert 0 < tall.mean() < 255


def picture_size(pixels: Pixels) -> tuple[int, int]:
    return pixels.shape[1], pixels.shape[0]
