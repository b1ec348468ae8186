from collections.abc import Iterator
from typing import Any

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
    return skimage.data.astronaut()


@pytest.fixture(scope="session")
def another() -> Any:
    return skimage.data.coffee()
