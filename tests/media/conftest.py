"""One real photograph in every format and encoding that Entrenous reads."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image
from pillow_heif import from_pillow

Write = Callable[..., bytes]


def _write(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    if kind == "HEIF":
        from_pillow(image).save(out, **options)
    else:
        image.save(out, kind, **options)
    return out.getvalue()


@pytest.fixture(scope="session")
def write() -> Write:
    """Return a function such as ``write(image, "JPEG", quality=90)`` that encodes an image."""
    return _write


@pytest.fixture(scope="session")
def astronaut() -> NDArray[np.uint8]:
    """Return an RGB photo of 512 x 512 pixels (NASA, public domain)."""
    return np.asarray(skimage.data.astronaut(), dtype=np.uint8)


@pytest.fixture(scope="session")
def photo(astronaut: NDArray[np.uint8]) -> Image.Image:
    """Return a photo of 160 x 120 pixels, not square, so that rotations are noticed."""
    return Image.fromarray(astronaut[0:240, 100:420]).resize((160, 120))


@pytest.fixture(scope="session")
def files(photo: Image.Image) -> dict[str, bytes]:
    """Return ``photo`` as a file of each format and relevant compression, by name."""
    return {
        "jpeg": _write(photo, "JPEG", quality=88),
        "jpeg-progressive": _write(photo, "JPEG", quality=88, progressive=True),
        "jpeg-cmyk": _write(photo.convert("CMYK"), "JPEG", quality=88),
        "jpeg-grey": _write(photo.convert("L"), "JPEG", quality=88),
        "png": _write(photo, "PNG"),
        "png-palette": _write(photo.quantize(64), "PNG"),
        "webp": _write(photo, "WEBP", quality=90),
        "webp-lossless": _write(photo, "WEBP", lossless=True),
        "heic": _write(photo, "HEIF", quality=90),
        "avif": _write(photo, "AVIF", quality=90),
        "gif": _write(photo, "GIF"),
        "tiff": _write(photo, "TIFF"),
        "tiff-lzw": _write(photo, "TIFF", compression="tiff_lzw"),
        "bmp": _write(photo, "BMP"),
    }
