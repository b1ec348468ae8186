"""Tests of ``reduce_where_visible``: smooth, textured and flat pictures, and SSIMULACRA2."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from entrenous.watermark.chip_layout import dither_stream_bytes, key_stream_bytes, lay_out_chips
from entrenous.watermark.embed import embed_mark, mark_pattern, prepare_picture, trial_chips
from entrenous.watermark.visibility import reduce_where_visible

Pixels = NDArray[np.uint8]
Plane = NDArray[np.float32]
SMOOTH_SIDE = (slice(40, 360), slice(40, 260))
TEXTURED_SIDE = (slice(40, 360), slice(340, 560))


def half_smooth_picture() -> Pixels:
    """Return a picture with a dark, smooth left side and a coarsely textured right side."""
    grain = np.random.default_rng(1).normal(0, 30, (100, 150)).repeat(4, axis=0).repeat(4, axis=1)
    grain[:, :300] = 0
    return np.clip(70 + grain, 0, 255).astype(np.uint8)[:, :, None].repeat(3, axis=2)


def uniform_masks_and_trial(amplitude: float) -> tuple[list[Plane], Plane]:
    """Return masks with this amplitude at every pixel, and the mark that ``trial_chips`` gives with
    these masks.
    """
    plan = lay_out_chips(600, 400)
    masks = [np.full(band.pixels, amplitude, np.float32) for band in plan.bands]
    return masks, mark_pattern(trial_chips(plan), plan, masks)


def test_invisible_mark_is_not_reduced() -> None:
    masks, trial = uniform_masks_and_trial(0.3)
    for before, after in zip(
        masks, reduce_where_visible(masks, half_smooth_picture(), trial), strict=True
    ):
        assert after is before


def test_smooth_areas_are_reduced_and_texture_is_not() -> None:
    masks, trial = uniform_masks_and_trial(1.2)
    finest = reduce_where_visible(masks, half_smooth_picture(), trial)[0] / masks[0]
    assert finest[SMOOTH_SIDE].max() < 0.85
    assert finest[TEXTURED_SIDE].mean() > 0.95


@pytest.mark.parametrize("grey", [0, 20, 128, 255])
def test_at_least_a_bounded_part_of_the_mark_is_left_everywhere(grey: int) -> None:
    masks, trial = uniform_masks_and_trial(8.0)
    flat = np.full((400, 600, 3), grey, np.uint8)
    for before, after in zip(masks, reduce_where_visible(masks, flat, trial), strict=True):
        assert (after / before).min() >= 3.0**-0.5 - 1e-6
        assert (after <= before).all()


def test_stronger_mark_is_reduced_more() -> None:
    left = [
        float(np.mean(reduce_where_visible(masks, half_smooth_picture(), trial)[0] / masks[0]))
        for masks, trial in (
            uniform_masks_and_trial(amplitude) for amplitude in (0.3, 0.8, 1.0, 1.2)
        )
    ]
    assert left == sorted(left, reverse=True)
    assert left[-1] < left[0]


def test_reduction_does_not_modify_its_arguments() -> None:
    masks, trial = uniform_masks_and_trial(1.2)
    picture = half_smooth_picture()
    picture.setflags(write=False)
    trial.setflags(write=False)
    for mask in masks:
        mask.setflags(write=False)
    reduce_where_visible(masks, picture, trial)


@pytest.mark.parametrize("name", ["rocket", "camera", "cell", "moon"])
def test_marked_smooth_pictures_score_above_82_in_ssimulacra2(name: str, tmp_path: Path) -> None:
    ssimulacra2 = pytest.importorskip("ssimulacra2")  # from the dependency group bench
    picture = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
    picture.thumbnail((600, 600))
    sent = np.asarray(picture)
    rng = np.random.default_rng(1)
    size = picture.size
    copy = embed_mark(
        prepare_picture(sent),
        rng.bytes(key_stream_bytes(*size)),
        rng.bytes(dither_stream_bytes(*size)),
    )
    paths = [str(tmp_path / one) for one in ("sent.png", "copy.png")]
    for path, pixels in zip(paths, (sent, copy), strict=True):
        Image.fromarray(pixels).save(path)
    assert ssimulacra2.compute_ssimulacra2(*paths) > 82.0
