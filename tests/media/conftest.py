"""Fixtures: a photograph, and files of it in every picture format that Entrenous reads."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image
from pillow_heif import from_pillow

EncodeImage = Callable[..., bytes]


def _encode_image(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    if kind == "HEIF":
        from_pillow(image).save(out, **options)
    else:
        image.save(out, kind, **options)
    return out.getvalue()


@pytest.fixture(scope="session")
def encode_image() -> EncodeImage:
    """Return a function; ``encode_image(image, "JPEG", quality=90)`` returns a file."""
    return _encode_image


@pytest.fixture(scope="session")
def astronaut() -> NDArray[np.uint8]:
    """Return an RGB photo of 512 x 512 pixels (NASA, public domain)."""
    return np.asarray(skimage.data.astronaut(), dtype=np.uint8)


@pytest.fixture(scope="session")
def photo(astronaut: NDArray[np.uint8]) -> Image.Image:
    """Return a photo of 160 x 120 pixels, not square, so that rotations are noticed."""
    return Image.fromarray(astronaut[0:240, 100:420]).resize((160, 120))


@pytest.fixture(scope="session")
def picture_files(photo: Image.Image) -> dict[str, bytes]:
    """Return files of ``photo`` in each format, some in several encodings, by name."""
    return {
        "jpeg": _encode_image(photo, "JPEG", quality=88),
        "jpeg-progressive": _encode_image(photo, "JPEG", quality=88, progressive=True),
        "jpeg-cmyk": _encode_image(photo.convert("CMYK"), "JPEG", quality=88),
        "jpeg-grey": _encode_image(photo.convert("L"), "JPEG", quality=88),
        "png": _encode_image(photo, "PNG"),
        "png-palette": _encode_image(photo.quantize(64), "PNG"),
        "webp": _encode_image(photo, "WEBP", quality=90),
        "webp-lossless": _encode_image(photo, "WEBP", lossless=True),
        "heic": _encode_image(photo, "HEIF", quality=90),
        "avif": _encode_image(photo, "AVIF", quality=90),
        "gif": _encode_image(photo, "GIF"),
        "tiff": _encode_image(photo, "TIFF"),
        "tiff-lzw": _encode_image(photo, "TIFF", compression="tiff_lzw"),
        "bmp": _encode_image(photo, "BMP"),
    }
