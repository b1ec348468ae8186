from collections.abc import Iterator
from typing import Any

import cv2
import pytest
import skimage.data

from tests.new_bank import close_connections
from tests.stop.platform_for_tests import Room


@pytest.fixture(autouse=True)
def _connections_closed() -> Iterator[None]:
    yield
    close_connections()


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture(scope="session")
def hers() -> Any:
    """Her picture; small, since little of what it is asked for is about its size.

    As with most pictures, a JPEG of it has a hash of its own.
    """
    return cv2.resize(skimage.data.astronaut(), (330, 330), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="session")
def another() -> Any:
    return cv2.resize(skimage.data.coffee(), (360, 240), interpolation=cv2.INTER_AREA)
