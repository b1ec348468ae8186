"""One Chromium for the tests of a module.

While it runs, so does Playwright's event loop, and no other test can start one of its own.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.app.served import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running
