"""Tests of marked copies of pictures: PSNR, similarity, flat pictures, keys and dither."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from entrenous.watermark.chip_layout import dither_stream_bytes, key_stream_bytes
from entrenous.watermark.embed import embed_mark, lowest_copy_psnr_db, prepare_picture
from entrenous.watermark.pyramid import luma
from entrenous.watermark.visibility import band_masks

Pixels = NDArray[np.uint8]
WANG_SSIM_OPTIONS: dict[str, Any] = {
    "channel_axis": 2,
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
    "data_range": 255,
}


def psnr_db(copy: Pixels, pixels: Pixels) -> float:
    error = np.mean((copy.astype(np.float64) - pixels) ** 2)
    return 10.0 * math.log10(255.0**2 / error)


def test_marked_copy_of_each_photograph_has_the_intended_psnr(photographs: dict[str, Any]) -> None:
    for sent in photographs.values():
        least = lowest_copy_psnr_db(max(sent.pixels.shape))
        assert least - 0.05 <= psnr_db(sent.copy, sent.pixels) <= 55.0


@pytest.mark.slow
def test_marked_copy_of_a_large_photograph_has_a_higher_psnr(chelsea: Any) -> None:
    large = np.ascontiguousarray(chelsea.pixels.repeat(6, axis=0).repeat(6, axis=1))
    rng = np.random.default_rng(1)
    size = large.shape[1], large.shape[0]
    copy = embed_mark(
        prepare_picture(large),
        rng.bytes(key_stream_bytes(*size)),
        rng.bytes(dither_stream_bytes(*size)),
    )
    assert psnr_db(copy, large) >= lowest_copy_psnr_db(max(size)) - 0.1


def test_lowest_psnr_rises_with_the_size_of_the_picture() -> None:
    assert lowest_copy_psnr_db(600) == pytest.approx(43.8)
    assert lowest_copy_psnr_db(1200) == pytest.approx(44.9)
    assert lowest_copy_psnr_db(100) == 43.2
    assert lowest_copy_psnr_db(12_000) == 46.6


def test_only_luma_changes(chelsea: Any) -> None:
    change = chelsea.copy.astype(int) - chelsea.pixels
    inside = (chelsea.pixels > 12).all(axis=2) & (chelsea.pixels < 243).all(axis=2)
    assert (change[inside] == change[inside][:, :1]).all()
    assert np.abs(change).max() <= 24


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_flat_picture_changes_by_at_most_3_levels(grey: int) -> None:
    flat = np.full((200, 300, 3), grey, np.uint8)
    rng = np.random.default_rng(grey)
    copy = embed_mark(
        prepare_picture(flat), rng.bytes(key_stream_bytes(300, 200)), rng.bytes(60_000)
    )
    assert np.abs(copy.astype(int) - flat).max() <= 3
    assert psnr_db(copy, flat) > 51.0


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket", "flower"])
def test_structural_similarity_stays_high(name: str, photographs: dict[str, Any]) -> None:
    sent = photographs[name]
    assert structural_similarity(sent.copy, sent.pixels, **WANG_SSIM_OPTIONS) > 0.985


@pytest.mark.parametrize("grey", [0, 60, 128, 255])
def test_structural_similarity_of_flat_pictures_stays_high(grey: int) -> None:
    flat = np.full((200, 300, 3), grey, np.uint8)
    rng = np.random.default_rng(grey)
    copy = embed_mark(
        prepare_picture(flat), rng.bytes(key_stream_bytes(300, 200)), rng.bytes(60_000)
    )
    assert structural_similarity(copy, flat, **WANG_SSIM_OPTIONS) > 0.985


def test_pure_black_is_marked_less_than_dark_grey() -> None:
    black, dark = (
        prepare_picture(np.full((200, 300, 3), grey, np.uint8)).masks[0].mean() for grey in (0, 20)
    )
    assert black < 0.6 * dark


def test_a_flat_side_of_an_edge_is_marked_no_stronger_than_a_flat_picture() -> None:
    half = np.zeros((200, 300, 3), np.uint8)
    half[:, 150:] = 110
    mask, alone = (band_masks(luma(one), 1)[0] for one in (half, np.full_like(half, 110)))
    assert np.allclose(mask[20:180, 155:280], alone[20:180, 155:280], rtol=0.01)


def test_the_same_streams_give_the_same_copy(chelsea: Any) -> None:
    again = embed_mark(prepare_picture(chelsea.pixels), chelsea.streams[0], chelsea.dither)
    assert np.array_equal(again, chelsea.copy)


def test_copies_differ_by_key_and_by_dither(chelsea: Any) -> None:
    size = chelsea.pixels.shape[1], chelsea.pixels.shape[0]
    elsewhere = np.random.default_rng(99).bytes(dither_stream_bytes(*size))
    copies = [
        chelsea.copy,
        embed_mark(chelsea.prepared, chelsea.streams[1], chelsea.dither),
        embed_mark(chelsea.prepared, chelsea.streams[0], elsewhere),
    ]
    changed = [np.mean(copies[i] != copies[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert min(changed) > 0.2


def test_embedding_does_not_modify_the_picture(chelsea: Any) -> None:
    before = chelsea.pixels.copy()
    chelsea.pixels.setflags(write=False)
    embed_mark(prepare_picture(chelsea.pixels), chelsea.streams[2], chelsea.dither)
    assert np.array_equal(before, chelsea.pixels)


def test_a_short_dither_is_refused(chelsea: Any) -> None:
    with pytest.raises(ValueError, match="bytes of dither"):
        embed_mark(chelsea.prepared, chelsea.streams[0], chelsea.dither[:-1])
