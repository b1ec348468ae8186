"""Tests of the cache of decoded sent pictures: repeated reads, evictions, and features."""

from dataclasses import replace

import numpy as np
import pytest

from entrenous.base.picture import Picture, PictureEncoding, PictureFormat
from entrenous.trace import originals as originals_module
from entrenous.trace.originals import OriginalsCache

GREY_PICTURE = Picture(300, 200, bytes(300 * 200 * 3), PictureEncoding(PictureFormat.PNG))


class RecordingReader:
    """A picture reader that records its calls."""

    def __init__(self) -> None:
        self.sources: list[bytes] = []

    def __call__(self, source: bytes) -> Picture:
        self.sources.append(source)
        return replace(GREY_PICTURE, samples=bytes([len(source)]) * len(GREY_PICTURE.samples))


def test_a_file_is_read_once_for_each_size_that_it_was_sent_in() -> None:
    reader = RecordingReader()
    originals = OriginalsCache(reader)
    whole = originals.original_for(b"one", None)
    small = originals.original_for(b"one", 200)
    assert originals.original_for(b"one", None) is whole
    assert originals.original_for(b"one", 200) is small
    assert (whole.picture.width_px, small.picture.width_px) == (300, 200)
    assert originals.original_for(b"other", None) is not whole
    assert reader.sources == [b"one", b"one", b"other"]


def test_least_recently_used_originals_are_evicted_and_too_large_ones_are_not_cached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(originals_module, "_CACHED_PIXELS_MAX", 2 * GREY_PICTURE.pixel_count)
    reader = RecordingReader()
    originals = OriginalsCache(reader)
    for source in (b"1", b"22", b"1", b"333", b"1", b"22"):
        originals.original_for(source, None)
    assert reader.sources == [b"1", b"22", b"333", b"22"]
    monkeypatch.setattr(originals_module, "_CACHED_PIXELS_MAX", GREY_PICTURE.pixel_count - 1)
    originals.original_for(b"333", None)
    originals.original_for(b"333", None)
    assert reader.sources[4:] == [b"333", b"333"]


@pytest.mark.slow
def test_features_and_masks_are_computed_once() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 255, (200, 300, 3), np.uint8)
    one = OriginalsCache(lambda _: replace(GREY_PICTURE, samples=pixels.tobytes())).original_for(
        b"", None
    )
    assert one.features() is one.features()
    assert len(one.features().points) > 0
    assert one.prepared() is one.prepared()
    assert np.array_equal(one.prepared().pixels_rgb, pixels)
