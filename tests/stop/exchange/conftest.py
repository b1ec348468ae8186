"""A fixture with an exchange and its bank."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stop.exchange.exchange_for_tests import Room, open_room


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with open_room(tmp_path) as opened:
        yield opened
