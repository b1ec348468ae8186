"""The fixture of an evening of real traffic."""

from collections.abc import Iterator

import pytest

from tests.real.evening import Evening, run_evening


@pytest.fixture(scope="session")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evening]:
    """Run an evening of real traffic, and yield it while the servers are still running."""
    with run_evening(tmp_path_factory.mktemp("evening")) as running_evening:
        yield running_evening
