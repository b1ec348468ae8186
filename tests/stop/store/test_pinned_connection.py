"""Tests of the pinned connection: later writes, nested reads, errors, closing the engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from entrenous.base.identifiers import BankName
from entrenous.stop.nouns import Bank, BankUnreachable
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import single_read, snapshot_read
from entrenous.stop.store.schema import BANK_TABLE
from tests.stop.store.bank_stores import DATABASE_KINDS, open_new_engine

BANK_COUNT_QUERY = sa.select(sa.func.count()).select_from(BANK_TABLE)


@pytest.fixture(params=DATABASE_KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    opened = open_new_engine(request.param, request, tmp_path)
    yield opened
    opened.dispose()


def count_banks(engine: sa.Engine) -> int:
    with single_read(engine) as db:
        return int(db.execute(BANK_COUNT_QUERY).scalar_one())


def test_single_read_sees_later_writes(engine: sa.Engine) -> None:
    bank = BankStore(engine)
    before = count_banks(engine)
    for number in range(3):
        bank.set_bank(Bank(BankName(f"number {number}")))
        assert count_banks(engine) == before + number + 1


def test_nested_single_read_has_its_own_connection(engine: sa.Engine) -> None:
    with single_read(engine) as one, single_read(engine) as other:
        assert one is not other
        assert (
            one.execute(BANK_COUNT_QUERY).scalar_one()
            == other.execute(BANK_COUNT_QUERY).scalar_one()
        )
    with single_read(engine) as again:
        assert again is one


def test_pinned_connection_is_replaced_after_an_error(engine: sa.Engine) -> None:
    with pytest.raises(BankUnreachable), single_read(engine) as broken:
        broken.exec_driver_sql("SELECT nothing FROM nowhere")
    assert broken.closed
    assert count_banks(engine) == 0


def test_pinned_connection_closes_with_the_engine(engine: sa.Engine) -> None:
    with single_read(engine) as pinned:
        pass
    engine.dispose()
    assert pinned.closed
    assert count_banks(engine) == 0


def test_closing_the_engine_empties_the_write_ahead_log(tmp_path: Path) -> None:
    """A copy of the database file, made after a stop, must contain the last writes."""
    engine = open_new_engine("sqlite", None, tmp_path)  # type: ignore[arg-type]
    BankStore(engine).set_bank(Bank(BankName("one")))
    count_banks(engine)
    with snapshot_read(engine):
        pass
    engine.dispose()
    assert not list(tmp_path.rglob("*-wal"))
