"""Fixtures: photographs of scikit-image and scikit-learn, and a function that makes pictures."""

from collections.abc import Callable

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

from entrenous.base.picture import Picture, PictureEncoding, PictureFormat

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="session")
def photographs() -> dict[str, Pixels]:
    grey = {name: getattr(skimage.data, name)() for name in ("camera", "coins", "moon")}
    colour = {
        name: getattr(skimage.data, name)()
        for name in ("astronaut", "cat", "coffee", "rocket", "retina", "hubble_deep_field")
    }
    samples = {name: load_sample_image(f"{name}.jpg") for name in ("china", "flower")}
    return {
        **{name: np.stack([pixels] * 3, axis=-1) for name, pixels in grey.items()},
        **colour,
        **samples,
    }


@pytest.fixture(scope="session")
def make_picture() -> Callable[[Pixels], Picture]:
    def build_picture(pixels: Pixels) -> Picture:
        height, width, _ = pixels.shape
        return Picture(
            width,
            height,
            np.ascontiguousarray(pixels).tobytes(),
            PictureEncoding(PictureFormat.PNG),
        )

    return build_picture
