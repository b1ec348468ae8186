"""Our PDQ against Meta's (PyPI pdqhash) for JPEG files, with every way of decoding."""

import io
from typing import Any

import numpy as np
import pdqhash
import pytest
import skimage.data
from PIL import Image

from entrenous.base.limits import WHOLE_COMPARISON_SIDE_PX_MIN
from entrenous.fingerprint.pdq import fingerprint
from entrenous.media.picture_reader import read_picture

PHOTOS = ("astronaut", "coffee", "rocket", "retina")
QUALITIES = (30, 75, 88, 95)
FILES = [(name, quality, subsampling) for name in PHOTOS for quality, subsampling in
         zip(QUALITIES, (2, 1, 2, 0), strict=True)]  # fmt: skip


def saved(name: str, quality: int, subsampling: int) -> bytes:
    file = io.BytesIO()
    pixels = Image.fromarray(getattr(skimage.data, name)())
    pixels.save(file, "JPEG", quality=quality, subsampling=subsampling)
    return file.getvalue()


def reference(data: bytes) -> tuple[bytes, int]:
    """Return Meta's hash and quality of the file as Pillow decodes it."""
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    bits, quality = pdqhash.compute(pixels)
    return np.packbits(bits).tobytes(), int(quality)


def apart(data: bytes, **how: Any) -> int:
    ours = fingerprint(read_picture(data, **how))
    bits, quality = reference(data)
    assert abs(ours.quality - quality) <= 1
    return (int.from_bytes(ours.bits, "big") ^ int.from_bytes(bits, "big")).bit_count()


@pytest.mark.parametrize("file", FILES)
def test_hash_of_a_registered_file_equals_the_reference(file: tuple[str, int, int]) -> None:
    """A device decodes files completely and in colour."""
    assert apart(saved(*file)) == 0


@pytest.mark.slow
def test_luma_and_shrunk_decoding_change_few_bits() -> None:
    """A gate reads only luma, at full size if that is small, else shrunk."""
    files = [saved(*file) for file in FILES]
    whole = [apart(data, luma=True) for data in files]
    shrunk = [apart(data, luma=True, at_least_px=WHOLE_COMPARISON_SIDE_PX_MIN) for data in files]
    assert np.median(whole) <= 2
    assert max(whole) <= 4
    assert np.median(shrunk) <= 2
    assert max(shrunk) <= 16
