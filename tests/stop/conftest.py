"""Fixtures: a gate with a device, and two pictures. After each test, the databases are closed."""

from collections.abc import Iterator
from typing import Any

import cv2
import pytest
import skimage.data

from tests.new_bank import close_connections
from tests.stop.platform_for_tests import GateSetup


@pytest.fixture(autouse=True)
def _close_connections_after_test() -> Iterator[None]:
    yield
    close_connections()


@pytest.fixture
def gate_setup() -> GateSetup:
    return GateSetup()


@pytest.fixture(scope="session")
def her_picture() -> Any:
    """Return the RGB picture that most tests register."""
    return cv2.resize(skimage.data.astronaut(), (330, 330), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="session")
def other_picture() -> Any:
    return cv2.resize(skimage.data.coffee(), (360, 240), interpolation=cv2.INTER_AREA)
