from collections.abc import Iterator

import pytest

from tests.respond.watch.site import Site, Watching, running


@pytest.fixture
def site() -> Iterator[Site]:
    with running() as served:
        yield served


@pytest.fixture
def watching(site: Site) -> Watching:
    return Watching(site)
