"""A running gate for the tests of hooks, one for the whole test session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.connectors.running_gates import running_gate


@pytest.fixture(scope="session")
def gate_url_and_token_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with running_gate(tmp_path_factory.mktemp("gate"), "--no-slow-look") as running:
        yield running
