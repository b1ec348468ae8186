"""Tests of evidence from JPEG coefficients: quantisation tables, sign, and number of planes."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from entrenous.watermark.chip_layout import lay_out_chips
from entrenous.watermark.jpeg_evidence import (
    PIXELS_MAX,
    UNIT_QUANTISATION_TABLE,
    coefficient_evidence_per_pixel,
    luma_quantisation_table_for,
)

CHIP_LAYOUT = lay_out_chips(600, 400)
QUANTISATION_TABLE = tuple(range(1, 65))


def test_table_of_a_jpeg_is_used_and_small_pictures_use_the_unit_table() -> None:
    assert (
        luma_quantisation_table_for({0: QUANTISATION_TABLE}, 240_000, CHIP_LAYOUT)
        == QUANTISATION_TABLE
    )
    assert (
        luma_quantisation_table_for(
            {0: QUANTISATION_TABLE, 1: UNIT_QUANTISATION_TABLE}, 10_000, CHIP_LAYOUT
        )
        == QUANTISATION_TABLE
    )
    assert luma_quantisation_table_for({0: QUANTISATION_TABLE}, PIXELS_MAX + 1, CHIP_LAYOUT) is None
    assert luma_quantisation_table_for(None, 120_000, CHIP_LAYOUT) == UNIT_QUANTISATION_TABLE
    assert luma_quantisation_table_for({}, 120_001, CHIP_LAYOUT) is None


def encode_jpeg(grey: np.ndarray, quality: int) -> tuple[np.ndarray, tuple[int, ...]]:
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "JPEG", quality=quality)
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB")), tuple(picture.quantization[0])


@pytest.mark.parametrize(("quality", "correlation_min"), [(85, 0.4), (30, 0.1)])
def test_evidence_has_the_sign_of_the_added_mark(quality: int, correlation_min: float) -> None:
    grey = skimage.data.camera()[:296, :272]
    added = np.random.default_rng(2).normal(0.0, 2.0, grey.shape)
    marked = np.clip(np.rint(grey + added), 0, 255).astype(np.uint8)
    found, table = encode_jpeg(marked, quality)
    sent = np.stack([grey] * 3, axis=2)
    covered = np.ones(grey.shape, np.bool_)
    covered[:, :64] = False
    trial = np.random.default_rng(3).normal(0.0, 2.0, grey.shape).astype(np.float32)
    measured, predicted = np.moveaxis(
        coefficient_evidence_per_pixel(found, sent, covered, table, trial), 2, 0
    )
    assert not measured[:, :64].any()
    inside = np.s_[:, 64:]
    assert np.corrcoef(measured[inside].ravel(), added[inside].ravel())[0, 1] > correlation_min
    assert np.corrcoef(predicted[inside].ravel(), trial[inside].ravel())[0, 1] > correlation_min
    # The response to the added mark is between half and twice the response to the trial mark.
    reached = float((measured[inside] * added[inside]).sum())
    assert 0.5 < reached / float((predicted[inside] * trial[inside]).sum()) < 2.0


def test_evidence_without_a_trial_mark_is_one_plane() -> None:
    grey = skimage.data.camera()[:64, :80]
    found, table = encode_jpeg(grey, 60)
    sent = np.stack([grey] * 3, axis=2)
    assert (
        coefficient_evidence_per_pixel(found, sent, np.ones(grey.shape, np.bool_), table).shape
        == grey.shape
    )
