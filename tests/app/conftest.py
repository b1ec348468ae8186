"""One Chromium for the tests of a module.

While it runs, Playwright's event loop runs as well, and no test can start another event loop.
"""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.app.axe import CLEAN_PAGES
from tests.app.served import chromium
from tests.sizes import NIGHTLY


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def _clean_pages_of_all_workers(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> None:
    if not NIGHTLY:  # make nightly asks axe about every page again
        CLEAN_PAGES.share(pytestconfig.cache.mkdir("clean-pages") / "hashes")  # type: ignore[union-attr]
    elif "PYTEST_XDIST_WORKER" in os.environ:
        CLEAN_PAGES.share(tmp_path_factory.getbasetemp().parent / "clean-pages")
