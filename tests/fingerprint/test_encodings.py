"""Test that the hashes of all encodings of a picture are within eight bits of the PNG's hash."""

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from entrenous.fingerprint.pdq import distance, fingerprint
from entrenous.media.picture_reader import read_picture

pytestmark = pytest.mark.slow

ORIENTATION_TAG = 0x0112  # Exif 2.32, table 4
# For each orientation, a function that turns upright samples into the samples to store.
INVERSE_ORIENTATIONS = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: np.swapaxes(upright, 0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.swapaxes(np.rot90(upright, 2), 0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


def encode_picture(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def encode_with_orientation(pixels: Any, number: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = number
    stored = Image.fromarray(np.ascontiguousarray(INVERSE_ORIENTATIONS[number](pixels)))
    return encode_picture(stored, "JPEG", quality=90, exif=exif)


def encode_16_bit_png(pixels: Any) -> bytes:
    _, data = cv2.imencode(".png", pixels[..., ::-1].astype(np.uint16) * 257)
    return data.tobytes()


def encodings(pixels: Any) -> dict[str, bytes]:
    image = Image.fromarray(pixels)
    grey = image.convert("L")
    clear = Image.new("L", image.size, 255)
    return {
        "PNG": encode_picture(image, "PNG"),
        "PNG of 256 colours": encode_picture(image.quantize(256), "PNG"),
        "GIF": encode_picture(image, "GIF"),
        "CMYK JPEG": encode_picture(image.convert("CMYK"), "JPEG", quality=90),
        "grey JPEG": encode_picture(grey, "JPEG", quality=90),
        "16 bit": encode_16_bit_png(pixels),
        "grey and alpha": encode_picture(Image.merge("LA", (grey, clear)), "PNG"),
        "RGBA": encode_picture(Image.merge("RGBA", (*image.split(), clear)), "PNG"),
        "WebP": encode_picture(image, "WEBP", quality=80),
        "lossless WebP": encode_picture(image, "WEBP", lossless=True),
        "TIFF": encode_picture(image, "TIFF"),
        "BMP": encode_picture(image, "BMP"),
        **{
            f"orientation {number}": encode_with_orientation(pixels, number)
            for number in INVERSE_ORIENTATIONS
        },
    }


@pytest.mark.parametrize("name", ["astronaut", "coffee", "rocket", "china"])
def test_all_encodings_agree_within_eight_bits(photographs: dict[str, Any], name: str) -> None:
    found = {
        how: fingerprint(read_picture(data)) for how, data in encodings(photographs[name]).items()
    }
    assert len(found) == 20
    apart = {how: distance(one, found["PNG"]) for how, one in found.items()}
    assert max(apart.values()) <= 8, apart
