"""A fixture for an exchange with a bank, a feed and a settable clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stop.exchange.exchange_for_tests import ExchangeSetup, open_exchange_setup


@pytest.fixture
def exchange_setup(tmp_path: Path) -> Iterator[ExchangeSetup]:
    with open_exchange_setup(tmp_path) as opened:
        yield opened
