"""Tests of our PDQ: comparison with Meta's (PyPI pdqhash), quality, bits, and large sides."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pdqhash
import pytest
from PIL import Image

from entrenous.base.picture import Picture, PictureEncoding, PictureFormat
from entrenous.fingerprint.nouns import Fingerprint
from entrenous.fingerprint.pdq import distance, fingerprint

pytestmark = pytest.mark.slow

TEST_VECTORS_FOLDER = Path(__file__).parents[3] / "shared" / "judges" / "pdq"
MakePicture = Callable[[Any], Picture]


def reference_hash(pixels: Any) -> tuple[bytes, int]:
    vector, quality = pdqhash.compute(np.ascontiguousarray(pixels))
    return np.packbits(vector.astype(np.uint8)).tobytes(), int(quality)


def bits_apart(first: bytes, second: bytes) -> int:
    return (int.from_bytes(first, "big") ^ int.from_bytes(second, "big")).bit_count()


def test_hash_equals_the_reference_on_photographs(
    photographs: dict[str, Any], make_picture: MakePicture
) -> None:
    for name, pixels in photographs.items():
        bits, quality = reference_hash(pixels)
        ours = fingerprint(make_picture(pixels))
        assert bits_apart(ours.bits, bits) == 0, name
        assert abs(ours.quality - quality) <= 1, name


@pytest.mark.parametrize(
    ("height", "width"),
    [(5, 5), (63, 65), (64, 64), (64, 200), (127, 129), (128, 128), (257, 70), (511, 403)],
)
def test_hash_equals_the_reference_at_awkward_sizes(
    photographs: dict[str, Any], make_picture: MakePicture, height: int, width: int
) -> None:
    pixels = photographs["astronaut"][:height, :width]
    bits, quality = reference_hash(pixels)
    ours = fingerprint(make_picture(pixels))
    assert bits_apart(ours.bits, bits) == 0
    assert abs(ours.quality - quality) <= 1


@pytest.mark.slow
@pytest.mark.skipif(not TEST_VECTORS_FOLDER.is_dir(), reason="shared/judges/pdq is not here")
def test_hash_equals_the_reference_on_metas_own_pictures(make_picture: MakePicture) -> None:
    files = sorted(TEST_VECTORS_FOLDER.rglob("*.jpg"))
    assert len(files) >= 25
    for file in files:
        pixels = np.asarray(Image.open(file).convert("RGB"))
        bits, quality = reference_hash(pixels)
        ours = fingerprint(make_picture(pixels))
        assert bits_apart(ours.bits, bits) == 0, file.name
        assert abs(ours.quality - quality) <= 1, file.name


def test_a_side_of_less_than_five_pixels_has_no_hash(make_picture: MakePicture) -> None:
    ours = fingerprint(make_picture(np.full((4, 300, 3), 90, dtype=np.uint8)))
    assert (ours.bits, ours.quality) == (bytes(32), 0)


def test_a_plain_picture_has_no_quality(make_picture: MakePicture) -> None:
    assert fingerprint(make_picture(np.full((300, 300, 3), 90, dtype=np.uint8))).quality == 0


def test_half_of_the_bits_are_set(photographs: dict[str, Any], make_picture: MakePicture) -> None:
    for pixels in photographs.values():
        bits = fingerprint(make_picture(pixels)).bits
        assert int.from_bytes(bits, "big").bit_count() == 128


def test_transparent_parts_count_as_white(
    photographs: dict[str, Any], make_picture: MakePicture
) -> None:
    shown = photographs["coffee"].copy()
    hidden = shown.copy()
    shown[:200] = 255
    alpha = np.full(shown.shape[:2], 255, dtype=np.uint8)
    alpha[:200] = 0
    height, width = alpha.shape
    with_alpha = Picture(
        width, height, hidden.tobytes(), PictureEncoding(PictureFormat.PNG), alpha=alpha.tobytes()
    )
    assert fingerprint(with_alpha).bits == fingerprint(make_picture(shown)).bits


def test_distance_counts_bits() -> None:
    first = Fingerprint("pdq", bytes(32), 100)
    second = Fingerprint("pdq", b"\x07" + bytes(30) + b"\x80", 100)
    assert distance(first, first) == 0
    assert distance(first, second) == distance(second, first) == 4


def test_a_side_of_millions_of_pixels_takes_little_memory(make_picture: MakePicture) -> None:
    """A PNG of a few kilobytes can have a side of millions of pixels."""
    strip = np.zeros((5, 2_000_000, 3), dtype=np.uint8)
    strip[:, ::7] = 200
    tracemalloc.start()
    try:
        hashed = fingerprint(make_picture(strip))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(hashed.bits) == 32
    assert peak < 400e6
