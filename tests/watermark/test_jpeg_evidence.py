"""When a leak's JPEG coefficients are used, and the sign of their evidence."""

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

PLAN = lay_out_chips(600, 400)
TABLE = tuple(range(1, 65))


def test_coded_leak_uses_its_table_and_a_small_one_works_without() -> None:
    assert luma_quantisation_table_for({0: TABLE}, 240_000, PLAN) == TABLE
    assert (
        luma_quantisation_table_for({0: TABLE, 1: UNIT_QUANTISATION_TABLE}, 10_000, PLAN) == TABLE
    )
    assert luma_quantisation_table_for({0: TABLE}, PIXELS_MAX + 1, PLAN) is None
    assert luma_quantisation_table_for(None, 120_000, PLAN) == UNIT_QUANTISATION_TABLE
    assert luma_quantisation_table_for({}, 120_001, PLAN) is None


def coded(grey: np.ndarray, quality: int) -> tuple[np.ndarray, tuple[int, ...]]:
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "JPEG", quality=quality)
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB")), tuple(picture.quantization[0])


@pytest.mark.parametrize(("quality", "alike"), [(85, 0.4), (30, 0.1)])
def test_evidence_has_the_sign_of_the_added_mark(quality: int, alike: float) -> None:
    grey = skimage.data.camera()[:296, :272]
    added = np.random.default_rng(2).normal(0.0, 2.0, grey.shape)
    marked = np.clip(np.rint(grey + added), 0, 255).astype(np.uint8)
    found, table = coded(marked, quality)
    sent = np.stack([grey] * 3, axis=2)
    covered = np.ones(grey.shape, np.bool_)
    covered[:, :64] = False
    trial = np.random.default_rng(3).normal(0.0, 2.0, grey.shape).astype(np.float32)
    measured, predicted = np.moveaxis(
        coefficient_evidence_per_pixel(found, sent, covered, table, trial), 2, 0
    )
    assert not measured[:, :64].any()
    inside = np.s_[:, 64:]
    assert np.corrcoef(measured[inside].ravel(), added[inside].ravel())[0, 1] > alike
    assert np.corrcoef(predicted[inside].ravel(), trial[inside].ravel())[0, 1] > alike
    # the trial's predicted response is about the measured one
    reached = float((measured[inside] * added[inside]).sum())
    assert 0.5 < reached / float((predicted[inside] * trial[inside]).sum()) < 2.0


def test_without_a_trial_there_is_one_plane() -> None:
    grey = skimage.data.camera()[:64, :80]
    found, table = coded(grey, 60)
    sent = np.stack([grey] * 3, axis=2)
    assert (
        coefficient_evidence_per_pixel(found, sent, np.ones(grey.shape, np.bool_), table).shape
        == grey.shape
    )
