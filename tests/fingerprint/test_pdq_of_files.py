"""Compare our PDQ hashes with Meta's (PyPI pdqhash) for JPEG files decoded in three ways."""

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

PHOTO_NAMES = ("astronaut", "coffee", "rocket", "retina")
JPEG_QUALITIES = (30, 75, 88, 95)
JPEG_OPTIONS = [(name, quality, subsampling) for name in PHOTO_NAMES for quality, subsampling in
         zip(JPEG_QUALITIES, (2, 1, 2, 0), strict=True)]  # fmt: skip


def encode_jpeg(name: str, quality: int, subsampling: int) -> bytes:
    file = io.BytesIO()
    pixels = Image.fromarray(getattr(skimage.data, name)())
    pixels.save(file, "JPEG", quality=quality, subsampling=subsampling)
    return file.getvalue()


def reference_hash(data: bytes) -> tuple[bytes, int]:
    """Return Meta's hash and quality of the file as Pillow decodes it."""
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    bits, quality = pdqhash.compute(pixels)
    return np.packbits(bits).tobytes(), int(quality)


def bits_from_reference(data: bytes, **options: Any) -> int:
    ours = fingerprint(read_picture(data, **options))
    bits, quality = reference_hash(data)
    assert abs(ours.quality - quality) <= 1
    return (int.from_bytes(ours.bits, "big") ^ int.from_bytes(bits, "big")).bit_count()


@pytest.mark.parametrize("jpeg_options", JPEG_OPTIONS)
def test_hash_of_a_registered_file_equals_the_reference(jpeg_options: tuple[str, int, int]) -> None:
    """A device decodes files completely and in colour."""
    assert bits_from_reference(encode_jpeg(*jpeg_options)) == 0


@pytest.mark.slow
def test_luma_and_shrunk_decoding_change_few_bits() -> None:
    """A gate decodes only luma of a JPEG, and decodes a large JPEG at a reduced size."""
    files = [encode_jpeg(*jpeg_options) for jpeg_options in JPEG_OPTIONS]
    whole = [bits_from_reference(data, luma=True) for data in files]
    shrunk = [
        bits_from_reference(data, luma=True, at_least_px=WHOLE_COMPARISON_SIDE_PX_MIN)
        for data in files
    ]
    assert np.median(whole) <= 2
    assert max(whole) <= 4
    assert np.median(shrunk) <= 2
    assert max(shrunk) <= 16
