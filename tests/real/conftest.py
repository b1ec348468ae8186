from collections.abc import Iterator

import pytest

from tests.real.evening import Evening, evening


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evening]:
    """Run an evening of real traffic, and yield it while its servers are still running."""
    with evening(tmp_path_factory.mktemp("evening")) as one:
        yield one
