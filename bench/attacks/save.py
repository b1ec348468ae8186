"""Write picture files as phones, browsers and services do."""

import io
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

from bench.attacks.kinds import Rgb, Save


def load(data: bytes) -> Rgb:
    """Return the samples of a file that the benchmark itself wrote."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def jpeg(quality: int) -> Save:
    """Return a writer of JPEG with halved colour resolution (4:2:0), as most services write it."""
    return lambda rgb: _pillow(rgb, "JPEG", quality=quality, subsampling=2)


def webp(quality: int) -> Save:
    """Return a writer of lossy WebP."""
    return lambda rgb: _pillow(rgb, "WEBP", quality=quality, method=3)


def avif(quality: int) -> Save:
    """Return a writer of AVIF, at a speed that a service would choose."""
    return lambda rgb: _pillow(rgb, "AVIF", quality=quality, speed=8, max_threads=1)


def png(rgb: Rgb) -> bytes:
    """Write a lossless PNG file, as screenshots are saved."""
    return _pillow(rgb, "PNG", compress_level=1)


def heic(quality: int) -> Save:
    """Return a writer of HEIC, in which phones store pictures."""

    def write(rgb: Rgb) -> bytes:
        file = io.BytesIO()
        pillow_heif.from_pillow(Image.fromarray(rgb)).save(file, quality=quality)
        return file.getvalue()

    return write


def _pillow(rgb: Rgb, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, kind, **options)
    return file.getvalue()
