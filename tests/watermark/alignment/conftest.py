"""Fixtures: two photographs."""

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray


@pytest.fixture(scope="session")
def cat() -> NDArray[np.uint8]:
    return np.ascontiguousarray(skimage.data.chelsea())


@pytest.fixture(scope="session")
def rocket() -> NDArray[np.uint8]:
    return np.ascontiguousarray(skimage.data.rocket())
