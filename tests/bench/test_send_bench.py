"""Tests of the sending benchmark: the figures of a small run, and the generated photograph."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bench.send

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]


def test_every_documented_figure_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(7).integers(0, 255, (64, 64, 3), np.uint8)).save(
        file, "JPEG"
    )
    figures = bench.send.measure(bench.send.Settings(2, 0.1, 3, file.getvalue()))
    assert figures["schema"] == bench.send.SCHEMA
    assert (figures["copies"], figures["copy_mb"], figures["people"], figures["devices"]) == (
        2,
        0.1,
        3,
        3,
    )
    for name in ("crypto_s", "sealing_s", "leave_s", "photo_mb"):
        assert figures[name] >= 0, name
    assert 0 < figures["rss_mb"] <= 400


def test_generated_photograph_has_the_requested_size() -> None:
    picture = Image.open(io.BytesIO(bench.send.photograph(0.25)))
    assert picture.width * picture.height == pytest.approx(250_000, rel=0.02)
