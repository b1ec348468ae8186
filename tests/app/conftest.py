"""Fixtures: a Chromium for each test module, and a file that lists the pages that axe found clean.

While the browser runs, Playwright's event loop runs in the thread of the tests. So no test can
start another event loop in this thread.
"""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.app.axe import CLEAN_PAGES
from tests.app.served import run_chromium
from tests.sizes import NIGHTLY


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with run_chromium() as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def _share_clean_pages_among_workers(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> None:
    if not NIGHTLY:  # make nightly checks again what axe found clean in earlier runs
        CLEAN_PAGES.share(pytestconfig.cache.mkdir("clean-pages") / "hashes")  # type: ignore[union-attr]
    elif "PYTEST_XDIST_WORKER" in os.environ:
        CLEAN_PAGES.share(tmp_path_factory.getbasetemp().parent / "clean-pages")
