"""The fingerprint hardly depends on the encoding, so re-encoding evades nothing."""

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from entrenous.fingerprint.pdq import distance, fingerprint
from entrenous.media.picture_reader import read_picture

pytestmark = pytest.mark.slow

ORIENTATION = 0x0112  # Exif 2.32, table 4
# The inverse of each orientation, applied to upright samples before storing.
STORED = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: np.swapaxes(upright, 0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.swapaxes(np.rot90(upright, 2), 0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def with_orientation(pixels: Any, number: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = number
    stored = Image.fromarray(np.ascontiguousarray(STORED[number](pixels)))
    return saved(stored, "JPEG", quality=90, exif=exif)


def deep_colour(pixels: Any) -> bytes:
    _, data = cv2.imencode(".png", pixels[..., ::-1].astype(np.uint16) * 257)
    return data.tobytes()


def encodings(pixels: Any) -> dict[str, bytes]:
    image = Image.fromarray(pixels)
    grey = image.convert("L")
    clear = Image.new("L", image.size, 255)
    return {
        "PNG": saved(image, "PNG"),
        "PNG of 256 colours": saved(image.quantize(256), "PNG"),
        "GIF": saved(image, "GIF"),
        "CMYK JPEG": saved(image.convert("CMYK"), "JPEG", quality=90),
        "grey JPEG": saved(grey, "JPEG", quality=90),
        "16 bit": deep_colour(pixels),
        "grey and alpha": saved(Image.merge("LA", (grey, clear)), "PNG"),
        "RGBA": saved(Image.merge("RGBA", (*image.split(), clear)), "PNG"),
        "WebP": saved(image, "WEBP", quality=80),
        "lossless WebP": saved(image, "WEBP", lossless=True),
        "TIFF": saved(image, "TIFF"),
        "BMP": saved(image, "BMP"),
        **{f"orientation {number}": with_orientation(pixels, number) for number in STORED},
    }


@pytest.mark.parametrize("name", ["astronaut", "coffee", "rocket", "china"])
def test_all_encodings_agree_within_eight_bits(photographs: dict[str, Any], name: str) -> None:
    found = {
        how: fingerprint(read_picture(data)) for how, data in encodings(photographs[name]).items()
    }
    assert len(found) == 20
    apart = {how: distance(one, found["PNG"]) for how, one in found.items()}
    assert max(apart.values()) <= 8, apart
