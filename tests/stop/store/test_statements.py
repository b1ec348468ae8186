"""Tests of prepared statements: agreement with SQLAlchemy, errors, and lost connections."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.stop.nouns import Bank, BankUnreachable
from entrenous.stop.registration import Claim, ClaimState, Registration
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import single_insert, single_read, snapshot_read
from entrenous.stop.store.prepared_statements import PreparedInsert, PreparedSelect
from entrenous.stop.store.schema import BANK_TABLE, UPLOAD_TABLE
from entrenous.stop.upload_record import Outcome
from tests.stop.store.bank_stores import DATABASE_KINDS, open_new_engine

UPLOAD_ROW: dict[str, Any] = {
    "case_number": "3f9a-70c2-b11e",
    "at": 1 << 40,
    "outcome": Outcome.HOLD,
    "state": "waiting",
    "matches": [{"bank": "people", "how": "mirror, «ä»", "part": True, "distance": 4}],
    "bits": bytes(range(32)),
    "entry": None,
}
INSERT_UPLOAD = PreparedInsert(UPLOAD_TABLE, list(UPLOAD_ROW))
ALL_UPLOADS = PreparedSelect(sa.select(UPLOAD_TABLE).order_by(UPLOAD_TABLE.c.number))
BANKS_BY_RADIUS = PreparedSelect(
    sa.select(BANK_TABLE).where(BANK_TABLE.c.radius >= sa.bindparam("least", 20))
)


@pytest.fixture(params=DATABASE_KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    opened = open_new_engine(request.param, request, tmp_path)
    yield opened
    opened.dispose()


def read_rows_by_sqlalchemy(engine: sa.Engine) -> list[Any]:
    with snapshot_read(engine) as db:
        return list(db.execute(sa.select(UPLOAD_TABLE).order_by(UPLOAD_TABLE.c.number)))


def test_prepared_statements_agree_with_sqlalchemy(engine: sa.Engine) -> None:
    with single_insert(engine) as db:
        INSERT_UPLOAD.run(db, [UPLOAD_ROW])
    (stored,) = read_rows_by_sqlalchemy(engine)
    assert {name: stored._mapping[name] for name in UPLOAD_ROW} == UPLOAD_ROW
    with single_read(engine) as db:
        (found,) = ALL_UPLOADS.rows(db)
    assert found._asdict() == dict(stored._mapping)


def test_prepared_insert_writes_all_rows_or_none(tmp_path: Path) -> None:
    """In PostgreSQL, ``single_insert`` inserts only one row, so the test uses SQLite."""
    engine = open_new_engine("sqlite", None, tmp_path)  # type: ignore[arg-type]
    other = {**UPLOAD_ROW, "case_number": "another"}
    with pytest.raises(BankUnreachable, match="UNIQUE"), single_insert(engine) as db:
        INSERT_UPLOAD.run(db, [other, UPLOAD_ROW, UPLOAD_ROW])
    assert read_rows_by_sqlalchemy(engine) == []
    with single_insert(engine) as db:
        INSERT_UPLOAD.run(db, [other, UPLOAD_ROW])
    assert len(read_rows_by_sqlalchemy(engine)) == 2
    engine.dispose()


def test_prepared_select_binds_by_name_and_keeps_types(engine: sa.Engine) -> None:
    bank = BankStore(engine)
    bank.set_bank(Bank(BankName("narrow"), radius=10))
    bank.set_bank(Bank(BankName("shadow"), radius=31, shadow=True))
    with single_read(engine) as db:
        assert [(one.name, one.shadow) for one in BANKS_BY_RADIUS.rows(db)] == [("shadow", True)]
        every = BANKS_BY_RADIUS.rows(db, {"least": 0})
        assert {one.name: one.shadow for one in every} == {"narrow": False, "shadow": True}


def test_missing_parameter_raises_and_writes_nothing(
    engine: sa.Engine,
) -> None:
    without = {name: value for name, value in UPLOAD_ROW.items() if name != "bits"}
    with pytest.raises(KeyError, match="bits"), single_insert(engine) as db:
        INSERT_UPLOAD.run(db, [without])
    assert read_rows_by_sqlalchemy(engine) == []
    select = PreparedSelect(
        sa.select(BANK_TABLE).where(BANK_TABLE.c.radius >= sa.bindparam("least"))
    )
    with pytest.raises(KeyError, match="least"), single_read(engine) as db:
        select.rows(db)


def test_prepared_select_sees_the_snapshot_of_its_transaction(engine: sa.Engine) -> None:
    with snapshot_read(engine) as db:
        assert ALL_UPLOADS.rows(db) == []
        with single_insert(engine) as beside:
            INSERT_UPLOAD.run(beside, [UPLOAD_ROW])
        assert ALL_UPLOADS.rows(db) == []
    with snapshot_read(engine) as db:
        assert len(ALL_UPLOADS.rows(db)) == 1


def test_insert_succeeds_while_the_pinned_connection_is_in_use(engine: sa.Engine) -> None:
    with single_read(engine), single_insert(engine) as db:
        INSERT_UPLOAD.run(db, [UPLOAD_ROW])
    assert len(read_rows_by_sqlalchemy(engine)) == 1
    with single_insert(engine) as db:
        INSERT_UPLOAD.run(db, [{**UPLOAD_ROW, "case_number": "next"}])
    assert len(read_rows_by_sqlalchemy(engine)) == 2


def test_insert_commits_after_a_sqlalchemy_query(engine: sa.Engine) -> None:
    with single_read(engine) as db:
        assert db.execute(sa.select(sa.func.count()).select_from(UPLOAD_TABLE)).scalar_one() == 0
    with single_insert(engine) as db:
        INSERT_UPLOAD.run(db, [UPLOAD_ROW])
    assert len(read_rows_by_sqlalchemy(engine)) == 1


def test_refused_insert_raises_and_the_next_succeeds(
    engine: sa.Engine,
) -> None:
    for _ in range(2):
        with pytest.raises(BankUnreachable) as raised, single_insert(engine) as db:
            INSERT_UPLOAD.run(db, [{**UPLOAD_ROW, "outcome": None}])
        assert "3f9a" not in str(raised.value)  # the error does not contain the case number
        assert read_rows_by_sqlalchemy(engine) == []
    with single_insert(engine) as db:
        INSERT_UPLOAD.run(db, [UPLOAD_ROW])
    assert len(read_rows_by_sqlalchemy(engine)) == 1


def test_broken_connection_is_replaced(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    engine = open_new_engine("sqlite", request, tmp_path)
    with single_read(engine) as db:
        driver = db.connection.driver_connection
        assert driver is not None
        driver.close()
    with pytest.raises(BankUnreachable), single_read(engine) as db:
        ALL_UPLOADS.rows(db)
    with single_read(engine) as db:
        assert ALL_UPLOADS.rows(db) == []
    engine.dispose()


def test_hash_numbers_may_exceed_32_bits(engine: sa.Engine) -> None:
    bank, claim = BankStore(engine), ClaimId("0a" * 16)
    bank.set_bank(Bank(BankName("people")))
    registered = Claim(claim, BankName("people"), ClaimState.WAITING, "pdq", 90, datetime.now(UTC))
    bank.register(Registration(registered, (bytes(32),)))
    (entry,) = bank.entries(0)
    assert [
        one.id for _, one, _ in bank.claims_on_pictures_and_frames({entry.number, 3_000_000_001})
    ] == [claim]


@pytest.mark.real
def test_connections_that_the_server_ended_fail_only_one_query(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """After one failed query, the pool uses none of the connections that the server ended."""
    engine = open_new_engine("postgres", request, tmp_path)
    with ExitStack() as opened:
        for _ in range(4):
            opened.enter_context(engine.connect())
    with engine.connect() as db:
        db.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    failed = 0
    # The connection that ended the others still works, and the pool may hand it out first.
    for _ in range(8):
        with engine.connect() as db:
            try:
                ALL_UPLOADS.rows(db)
            except BankUnreachable:
                failed += 1
    assert failed == 1
    for _ in range(4):
        with engine.connect() as one, engine.connect() as other:
            assert ALL_UPLOADS.rows(one) == ALL_UPLOADS.rows(other) == []
    engine.dispose()
