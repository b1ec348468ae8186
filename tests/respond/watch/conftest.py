"""Fixtures: a site on loopback, a sandboxed decoder, and a device that watches the site."""

from collections.abc import Iterator

import pytest

from entrenous.media.sandbox.decoders import PictureDecoder
from tests.respond.watch.site import PageWatcher, Site, serve_site


@pytest.fixture
def site() -> Iterator[Site]:
    with serve_site() as served:
        yield served


@pytest.fixture(scope="session")
def sandbox() -> Iterator[PictureDecoder]:
    """Yield one decoder for all tests, because a sandboxed process starts slowly."""
    decoder = PictureDecoder()
    yield decoder
    decoder.close()


@pytest.fixture
def watcher(site: Site, sandbox: PictureDecoder) -> PageWatcher:
    return PageWatcher(site, sandbox.read)
