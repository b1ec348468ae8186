"""Files as phones, browsers and services write them."""

import io
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

from bench.attacks.kinds import Rgb, Save


def load(data: bytes) -> Rgb:
    """A file that this bench wrote itself, as samples."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def jpeg(quality: int) -> Save:
    """JPEG with halved colour (4:2:0), as most services write it."""
    return lambda rgb: _pillow(rgb, "JPEG", quality=quality, subsampling=2)


def webp(quality: int) -> Save:
    """Lossy WebP."""
    return lambda rgb: _pillow(rgb, "WEBP", quality=quality, method=3)


def avif(quality: int) -> Save:
    """AVIF at a speed that a service would choose."""
    return lambda rgb: _pillow(rgb, "AVIF", quality=quality, speed=8, max_threads=1)


def png(rgb: Rgb) -> bytes:
    """Lossless, as screenshots are saved."""
    return _pillow(rgb, "PNG", compress_level=1)


def heic(quality: int) -> Save:
    """HEIC, as phones keep pictures."""

    def write(rgb: Rgb) -> bytes:
        file = io.BytesIO()
        pillow_heif.from_pillow(Image.fromarray(rgb)).save(file, quality=quality)
        return file.getvalue()

    return write


def _pillow(rgb: Rgb, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, kind, **options)
    return file.getvalue()
