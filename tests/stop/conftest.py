from typing import Any

import pytest
import skimage.data

from tests.stop.room import Room


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture(scope="session")
def hers() -> Any:
    return skimage.data.astronaut()


@pytest.fixture(scope="session")
def another() -> Any:
    return skimage.data.coffee()
