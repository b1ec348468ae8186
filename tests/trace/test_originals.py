"""Sent pictures that several leaks are compared with are decoded once."""

from dataclasses import replace

import numpy as np
import pytest

from entrenous.base.picture import Picture, PictureEncoding, PictureFormat
from entrenous.trace import originals as rooms
from entrenous.trace.originals import OriginalsCache

GREY = Picture(300, 200, bytes(300 * 200 * 3), PictureEncoding(PictureFormat.PNG))


class Reader:
    """A picture reader that records its calls."""

    def __init__(self) -> None:
        self.read: list[bytes] = []

    def __call__(self, source: bytes) -> Picture:
        self.read.append(source)
        return replace(GREY, samples=bytes([len(source)]) * len(GREY.samples))


def test_a_file_is_read_once_for_each_size_that_it_was_sent_in() -> None:
    reader = Reader()
    originals = OriginalsCache(reader)
    whole = originals.original_for(b"one", None)
    small = originals.original_for(b"one", 200)
    assert originals.original_for(b"one", None) is whole
    assert originals.original_for(b"one", 200) is small
    assert (whole.picture.width_px, small.picture.width_px) == (300, 200)
    assert originals.original_for(b"other", None) is not whole
    assert reader.read == [b"one", b"one", b"other"]


def test_oldest_originals_are_evicted_and_a_too_large_one_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rooms, "_CACHED_PIXELS_MAX", 2 * GREY.pixel_count)
    reader = Reader()
    originals = OriginalsCache(reader)
    for source in (b"1", b"22", b"1", b"333", b"1", b"22"):
        originals.original_for(source, None)
    assert reader.read == [b"1", b"22", b"333", b"22"]
    monkeypatch.setattr(rooms, "_CACHED_PIXELS_MAX", GREY.pixel_count - 1)
    originals.original_for(b"333", None)
    originals.original_for(b"333", None)
    assert reader.read[4:] == [b"333", b"333"]


@pytest.mark.slow
def test_features_and_masks_are_computed_once() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 255, (200, 300, 3), np.uint8)
    one = OriginalsCache(lambda _: replace(GREY, samples=pixels.tobytes())).original_for(b"", None)
    assert one.features() is one.features()
    assert len(one.features().points) > 0
    assert one.prepared() is one.prepared()
    assert np.array_equal(one.prepared().pixels_rgb, pixels)
