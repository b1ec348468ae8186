"""Fixtures: a gate's stores on each kind of database, and their review queue."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenous.stop.store.review_queue import ReviewQueue
from tests.stop.store.bank_stores import DATABASE_KINDS, Stores, open_stores


@pytest.fixture(params=DATABASE_KINDS)
def gate(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(request.param, request, tmp_path) as opened:
        yield opened


@pytest.fixture
def queue(gate: Stores) -> ReviewQueue:
    return gate.reviews
