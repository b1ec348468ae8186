"""Real photographs, marked once for all tests in this folder."""

import io
from dataclasses import dataclass

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_image

from entrenous.watermark.chip_layout import dither_stream_bytes, key_stream_bytes
from entrenous.watermark.embed import PreparedPicture, embed_mark, prepare_picture

Pixels = NDArray[np.uint8]
CANDIDATES = 24


@dataclass(frozen=True)
class Sent:
    """One photograph, the streams of its copies and the first copy."""

    pixels: Pixels
    prepared: PreparedPicture
    streams: list[bytes]
    dither: bytes
    copy: Pixels


@dataclass(frozen=True)
class Leak:
    """Decoded pixels of a leaked file, and its luma table if it is a JPEG."""

    pixels: Pixels
    table: tuple[int, ...] | None


def sent(pixels: Pixels, number: int = 1) -> Sent:
    height, width = pixels.shape[:2]
    rng = np.random.default_rng(number)
    streams = [rng.bytes(key_stream_bytes(width, height)) for _ in range(CANDIDATES)]
    dither = rng.bytes(dither_stream_bytes(width, height))
    prepared = prepare_picture(pixels)
    return Sent(pixels, prepared, streams, dither, embed_mark(prepared, streams[0], dither))


def jpeg(pixels: Pixels, quality: int) -> Leak:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    with Image.open(file) as picture:
        return Leak(np.asarray(picture.convert("RGB")), tuple(picture.quantization[0]))


@pytest.fixture(scope="session")
def photographs() -> dict[str, Sent]:
    sources = {
        "astronaut": skimage.data.astronaut(),
        "chelsea": skimage.data.chelsea(),
        "coffee": skimage.data.coffee(),
        "rocket": skimage.data.rocket(),
        "china": load_sample_image("china.jpg"),
        "flower": load_sample_image("flower.jpg"),
    }
    return {name: sent(np.ascontiguousarray(pixels)) for name, pixels in sources.items()}


@pytest.fixture(scope="session")
def chelsea(photographs: dict[str, Sent]) -> Sent:
    return photographs["chelsea"]
