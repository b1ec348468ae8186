"""BankStore: embeddings of claims, on SQLite and PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint.nouns import Embedding
from entrenous.stop.registration import ClaimEvent, Registration
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.schema import METADATA
from tests.stop.store.bank_stores import DATABASE_KINDS, HASH_1, HASH_2, claim, open_stores

EMBEDDING_BYTES = bytes([127, *range(100)]) + bytes(411)
EMBEDDING = Embedding(EMBEDDING_BYTES, "a-network")


@pytest.fixture(params=DATABASE_KINDS)
def bank(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BankStore]:
    with open_stores(request.param, request, tmp_path) as opened:
        yield opened.bank


def test_embedding_is_returned_with_its_claim_and_entry_number(bank: BankStore) -> None:
    bank.register(
        Registration(claim("a"), (HASH_2,), (HASH_1,), embedding=EMBEDDING),
        Registration(claim("b"), (HASH_1,)),
        Registration(claim("c"), (HASH_1,), embedding=EMBEDDING),
    )
    entries = {entry.bits: entry.number for entry in bank.entries(0) if not entry.part}
    first, second = bank.embeddings(0)
    assert [(one.claim, one.entry) for one in (first, second)] == [
        ("a", entries[HASH_2]),
        ("c", entries[HASH_1]),
    ]
    assert first.embedding == second.embedding == EMBEDDING
    assert bank.embeddings(first.number) == (second,)
    assert bank.embedding_count() == 2


def test_withdrawing_deletes_the_embedding_and_never_reuses_its_number(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (HASH_1,), embedding=EMBEDDING))
    (kept,) = bank.embeddings(0)
    bank.apply_event(ClaimId("a"), ClaimEvent.WITHDRAW)
    assert (bank.embeddings(0), bank.embedding_count()) == ((), 0)
    bank.register(Registration(claim("b"), (HASH_1,), embedding=EMBEDDING))
    (later,) = bank.embeddings(0)
    assert later.number > kept.number


def test_withdrawn_embedding_is_gone_from_the_database_file(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with open_stores("sqlite", request, tmp_path) as opened:
        opened.bank.register(Registration(claim("a"), (HASH_1,), embedding=EMBEDDING))
        files = [one for one in tmp_path.rglob("*") if one.is_file()]
        assert any(EMBEDDING_BYTES in one.read_bytes() for one in files)
        opened.bank.withdraw(ClaimId("a"))
        assert not any(EMBEDDING_BYTES in one.read_bytes() for one in files if one.exists())


@pytest.mark.real
@pytest.mark.threat("withdrawal-ignored")
def test_postgres_vacuums_every_table_after_a_withdrawal(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with open_stores("postgres", request, tmp_path) as opened:
        opened.bank.register(Registration(claim("a"), (HASH_1,), embedding=EMBEDDING))
        opened.bank.withdraw(ClaimId("a"))
        vacuumed = "SELECT relname FROM pg_stat_user_tables WHERE last_vacuum IS NOT NULL"
        with opened.bank.engine.connect() as db:
            names = set(db.exec_driver_sql(vacuumed).scalars())
    assert names >= set(METADATA.tables)
