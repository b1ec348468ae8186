"""Helpers of store tests: stores on SQLite or PostgreSQL, example claims and hashes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.secret import Secret
from entrenous.stop.nouns import Bank
from entrenous.stop.registration import Claim, ClaimState
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_postgres_engine
from entrenous.stop.store.review_queue import ReviewQueue
from entrenous.stop.store.upload_encryption import UploadCipher
from entrenous.stop.upload_record import Review
from tests.deterministic import SettableClock
from tests.new_bank import engine_at
from tests.postgres import Cluster

DATABASE_KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.real)]
PEOPLE = BankName("people")
START_TIME = datetime(2026, 11, 25, 12, 0, 0, 123456, tzinfo=UTC)
CIPHER = UploadCipher((Secret(b"k" * 32),))
HASH_1, HASH_2, HASH_3 = (bytes([n]) * 32 for n in (1, 2, 3))


@dataclass
class Stores:
    """A gate's bank and review queue on one database, and their clock."""

    bank: BankStore
    reviews: ReviewQueue
    clock: SettableClock = field(default_factory=lambda: SettableClock(START_TIME))


@contextmanager
def open_stores(
    database_kind: str, request: pytest.FixtureRequest, folder: Path
) -> Iterator[Stores]:
    """Yield stores on an empty database to which only the bank "people" was added."""
    clock = SettableClock(START_TIME)
    engine = open_new_engine(database_kind, request, folder)
    opened = Stores(BankStore(engine, clock), ReviewQueue(engine, clock, cipher=CIPHER), clock)
    opened.bank.set_bank(Bank(PEOPLE))
    yield opened
    engine.dispose()


def open_new_engine(database_kind: str, request: pytest.FixtureRequest, folder: Path) -> sa.Engine:
    """Open an empty database that no other test uses at the same time."""
    if database_kind == "postgres":
        server: Cluster = request.getfixturevalue("postgres")
        return open_postgres_engine(server.reused_database("gate", _create_tables))
    return engine_at(folder / "gate.sqlite")


def _create_tables(url: str) -> None:
    open_postgres_engine(url).dispose()


def claim(claim_id: str, state: ClaimState = ClaimState.WAITING) -> Claim:
    return Claim(
        ClaimId(claim_id), PEOPLE, state, "pdq", 90, START_TIME, b"\x05" * 32, "mine", "DE"
    )


def no_effect(_review: Review, _bank: BankStore) -> None:
    """Change nothing in the bank when a case is decided."""
