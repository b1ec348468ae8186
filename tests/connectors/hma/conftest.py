"""Fixtures: clients of the gate's HMA API, and fixtures imported from tests/stop."""
# ruff: noqa: F811 - fixtures are imported and then used as parameters

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from entrenous.base.environment import SystemRandomSource
from entrenous.connectors.hma_app import hma_app
from entrenous.media.picture_reader import read_picture
from entrenous.stop.http.access import GateAccess
from entrenous.stop.index.file_index import FileIndex
from entrenous.stop.index.memory_indexes import RegisteredSounds
from entrenous.stop.platform import Platform
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.open_gate import claim_listing_store, open_exchange
from entrenous.stop.store.review_queue import ReviewQueue
from tests.deterministic import SettableClock
from tests.new_bank import engine_at
from tests.stop.conftest import her_picture, other_picture  # noqa: F401 - fixtures
from tests.stop.http.conftest import (  # noqa: F401 - fixtures
    AsgiTransport,
    access,
    clock,
    device_gate,
    platform,
    web,
)

HMA_URL = "http://127.0.0.1:7802/hma"
OPERATOR_HEADERS = {"Authorization": "Bearer operator-token"}


@contextmanager
def open_platform_at(path: Path, clock: SettableClock) -> Iterator[Platform]:
    """Yield a platform on the database file; a missing file is created."""
    engine = engine_at(path)
    bank = BankStore(engine, clock)
    reviews = ReviewQueue(engine, clock)
    index = FileIndex(path.with_name("index"), bank)
    sounds = RegisteredSounds(bank)
    yield Platform(clock, SystemRandomSource(), bank, index, reviews, read_picture, sounds=sounds)
    engine.dispose()


def new_hma_app(
    platform: Platform, access: GateAccess, listings_platform: Platform | None = None
) -> Starlette:
    """Return the gate's HMA API.

    If ``listings_platform`` is given, its stores of listings and sources are used.
    """
    platform_of_stores = listings_platform or platform
    return hma_app(
        platform,
        access,
        claim_listing_store(platform_of_stores),
        open_exchange(platform_of_stores).sources,
    )


@contextmanager
def open_hma_client(
    platform: Platform, access: GateAccess, listings_platform: Platform | None = None
) -> Iterator[httpx.Client]:
    """Yield an HTTP client of HMA's API, without a token."""
    app = Starlette(routes=[Mount("/hma", new_hma_app(platform, access, listings_platform))])
    with httpx.Client(transport=AsgiTransport(app), base_url=HMA_URL) as client:
        yield client


@pytest.fixture
def hma_without_token(platform: Platform, access: GateAccess) -> Iterator[httpx.Client]:
    with open_hma_client(platform, access) as client:
        yield client


@pytest.fixture
def hma(hma_without_token: httpx.Client) -> httpx.Client:
    """Return an HTTP client of HMA's API, with the operator's token."""
    hma_without_token.headers.update(OPERATOR_HEADERS)
    return hma_without_token
