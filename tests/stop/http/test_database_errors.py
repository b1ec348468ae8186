"""Database errors: only the operator sees details; SQL parameters are never shown or logged."""

import logging
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.nouns import BankUnreachable
from entrenous.stop.platform import Platform
from entrenous.stop.store.bank_store import BankStore
from tests.stop.http.test_upload_requests import register_picture, send_upload
from tests.stop.platform_for_tests import jpeg

OPERATOR_HEADERS = {"Authorization": "Bearer operator-token"}
MISSING_TABLE_ERROR = "no such table"


def database_engine(platform: Platform) -> sa.Engine:
    assert isinstance(platform.bank, BankStore)
    engine = platform.bank.engine
    assert isinstance(engine, sa.Engine)
    return engine


@pytest.fixture
def missing_tables(platform: Platform) -> None:
    """Rename two tables, so that queries fail with an error that names a missing table."""
    with database_engine(platform).connect() as db:
        for table in ("upload", "claim"):
            db.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {table}_gone")
        db.commit()


@pytest.mark.usefixtures("missing_tables")
def test_only_the_operator_sees_the_details_of_a_database_error(web: httpx.Client) -> None:
    for path in ("/v1/status", f"/v1/claims/{'0' * 32}"):
        answer = web.get(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["type"] == "urn:entrenous:unreachable:bank-unreachable"
        assert "busy or stopped" in answer.json()["detail"]
        assert MISSING_TABLE_ERROR not in answer.text
    assert MISSING_TABLE_ERROR in web.get("/v1/status", headers=OPERATOR_HEADERS).json()["detail"]
    wrong = web.get("/v1/status", headers={"Authorization": "Bearer uploader-token"})
    assert MISSING_TABLE_ERROR not in wrong.text


def test_sql_error_message_hides_the_parameters(platform: Platform) -> None:
    with (
        database_engine(platform).connect() as db,
        pytest.raises(sa.exc.OperationalError) as seen,
    ):
        db.execute(sa.text("SELECT :hers FROM nowhere"), {"hers": "hash of her picture"})
    assert "hash of her picture" not in str(seen.value)


@pytest.mark.slow
def test_failure_after_the_answer_logs_only_its_class(
    web: httpx.Client,
    device_gate: RegistrationClient,
    her_picture: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A full disk neither changes the answer nor makes the gate log the database's message."""

    def fail_with_full_disk(*_args: object) -> None:
        raise BankUnreachable(why="disk is full at [SQL: her hash]")

    monkeypatch.setattr(
        "entrenous.stop.http.upload_requests.store_upload_bytes_if_needed", fail_with_full_disk
    )
    monkeypatch.setattr(
        "entrenous.stop.http.registration_requests.look_back_for_newest_claims", fail_with_full_disk
    )
    with caplog.at_level(logging.DEBUG):
        register_picture(her_picture, device_gate)
        assert send_upload(web, jpeg(her_picture), OPERATOR_HEADERS)["decision"] == "hold"
    records = [one for one in caplog.records if one.name == "entrenous.gate"]
    assert [one.getMessage() for one in records] == ["after an answer: BankUnreachable"] * 2
    assert all(one.exc_info is None for one in records)
    assert "her hash" not in caplog.text
