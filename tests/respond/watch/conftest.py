from collections.abc import Iterator

import pytest

from entrenous.media.sandbox.decoders import PictureDecoder
from tests.respond.watch.site import Site, Watching, serve_site


@pytest.fixture
def site() -> Iterator[Site]:
    with serve_site() as served:
        yield served


@pytest.fixture(scope="session")
def sandbox() -> Iterator[PictureDecoder]:
    """Yield the real decoder; each child decodes several pictures, because its start is slow."""
    decoder = PictureDecoder()
    yield decoder
    decoder.close()


@pytest.fixture
def watching(site: Site, sandbox: PictureDecoder) -> Watching:
    return Watching(site, sandbox.read)
