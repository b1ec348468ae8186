"""One real gate for the tests of all hooks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.connectors.running_gates import running_gate


@pytest.fixture(scope="session")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with running_gate(tmp_path_factory.mktemp("gate"), "--no-slow-look") as one:
        yield one
