"""Fixtures: photographs, each with key streams and one marked copy."""

from dataclasses import dataclass

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

from entrenous.watermark.chip_layout import dither_stream_bytes, key_stream_bytes
from entrenous.watermark.embed import PreparedPicture, embed_mark, prepare_picture

Pixels = NDArray[np.uint8]
COPY_COUNT = 24


@dataclass(frozen=True)
class SentPicture:
    """A photograph, key streams for 24 copies, and the first copy."""

    pixels: Pixels
    prepared: PreparedPicture
    streams: list[bytes]
    dither: bytes
    copy: Pixels


def prepare_sent_picture(pixels: Pixels, seed: int = 1) -> SentPicture:
    height, width = pixels.shape[:2]
    rng = np.random.default_rng(seed)
    streams = [rng.bytes(key_stream_bytes(width, height)) for _ in range(COPY_COUNT)]
    dither = rng.bytes(dither_stream_bytes(width, height))
    prepared = prepare_picture(pixels)
    return SentPicture(pixels, prepared, streams, dither, embed_mark(prepared, streams[0], dither))


@pytest.fixture(scope="session")
def photographs() -> dict[str, SentPicture]:
    sources = {
        "astronaut": skimage.data.astronaut(),
        "chelsea": skimage.data.chelsea(),
        "coffee": skimage.data.coffee(),
        "rocket": skimage.data.rocket(),
        "china": load_sample_image("china.jpg"),
        "flower": load_sample_image("flower.jpg"),
    }
    return {
        name: prepare_sent_picture(np.ascontiguousarray(pixels)) for name, pixels in sources.items()
    }


@pytest.fixture(scope="session")
def chelsea(photographs: dict[str, SentPicture]) -> SentPicture:
    return photographs["chelsea"]
