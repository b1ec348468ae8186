"""Tests of the audit log: logged and failed changes, private data, tampering, printed heads."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.stop.audit import (
    AuditHead,
    AuditLogChanged,
    AuditRow,
    BadHead,
    audit_rows,
    check_chain,
    verify_audit_log,
)
from entrenous.stop.nouns import Bank
from entrenous.stop.registration import ClaimEvent, Opinion, Partner, Registration, Stance
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import exclusive_write
from entrenous.stop.upload_record import Decision, Outcome, Review, ReviewState
from tests.new_bank import new_bank, review_queue_of
from tests.stop.store.bank_stores import (
    HASH_1,
    HASH_2,
    HASH_3,
    START_TIME,
    Stores,
    claim,
    open_stores,
)

PARTNER_KEY = b"\x11" * 32
CLAIM_A = ClaimId("a")


def make_every_change(gate: Stores) -> None:
    """Make the changes that EXPECTED_EVENTS lists, and others that are not logged."""
    bank = gate.bank
    bank.register(
        Registration(claim("a"), (HASH_1,), (HASH_2,)), Registration(claim("b"), (HASH_2,))
    )
    gate.clock.advance(minutes=1)
    bank.apply_event(CLAIM_A, ClaimEvent.CONFIRM)
    bank.add_upload_hashes([CLAIM_A], HASH_3, confirmed=True)
    bank.dispute(CLAIM_A)
    bank.set_bank(Bank(BankName("people"), 12, shadow=True))
    bank.add_partner(Partner("one", PARTNER_KEY))
    bank.record_opinion(Opinion(CLAIM_A, Stance.DISPUTED, START_TIME, PARTNER_KEY))
    bank.drop_partner(PARTNER_KEY)
    bank.apply_event(CLAIM_A, ClaimEvent.WITHDRAW)
    bank.apply_event(CLAIM_A, ClaimEvent.WITHDRAW)  # withdrawn already: nothing is logged
    gate.reviews.record_upload(
        Review(Decision(Outcome.HOLD, "c"), START_TIME, ReviewState.WAITING, reference="post 7"),
        b"x",
    )
    gate.reviews.decide_case(
        "c", ReviewState.RELEASED, lambda _review, inner: inner.append_audit_row("n", "o", {})
    )


EXPECTED_EVENTS = [
    "bank set", "claim registered", "claim registered", "claim confirmed", "claim extended",
    "claim disputed", "bank set", "partner added", "opinion", "partner dropped", "claim withdrawn",
    "case released", "n",
]  # fmt: skip


def test_every_change_is_logged_and_the_log_verifies(gate: Stores) -> None:
    assert gate.bank.audit_log_head() == AuditHead(1, next(audit_rows(gate.bank)).hash)
    make_every_change(gate)
    rows = list(audit_rows(gate.bank))
    assert sorted(row.what for row in rows) == sorted(EXPECTED_EVENTS)
    assert [row.number for row in rows] == list(range(1, len(EXPECTED_EVENTS) + 1))
    assert verify_audit_log(gate.bank) == gate.bank.audit_log_head() == rows[-1].head
    assert verify_audit_log(gate.bank, rows[4].head) == rows[-1].head
    assert rows[1].at == START_TIME
    assert (rows[3].of, rows[3].at > START_TIME) == ("a", True)


def test_audit_log_contains_no_hash_of_a_picture_or_holder_and_no_reference(gate: Stores) -> None:
    make_every_change(gate)
    logged = json.dumps([[row.what, row.of, dict(row.details)] for row in audit_rows(gate.bank)])
    for private in (
        HASH_1.hex(),
        HASH_2.hex(),
        HASH_3.hex(),
        claim("a").holder_sha256.hex(),
        "post 7",
    ):  # type: ignore[union-attr]
        assert private not in logged


def test_failed_changes_are_not_logged(gate: Stores) -> None:
    gate.reviews.record_upload(
        Review(Decision(Outcome.HOLD, "c"), START_TIME, ReviewState.WAITING), b"x"
    )
    before = gate.bank.audit_log_head()

    def change_then_fail(_review: Review, bank: Any) -> None:
        bank.set_bank(Bank(BankName("new")))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        gate.reviews.decide_case("c", ReviewState.RELEASED, change_then_fail)
    assert gate.bank.audit_log_head() == before


TAMPERING_SQL: dict[str, str] = {
    "a row is changed": "UPDATE audit SET what = 'claim suspended' WHERE number = 4",
    "details are changed": "UPDATE audit SET details = '{}' WHERE number = 2",
    "a time is changed": "UPDATE audit SET at = at + 1 WHERE number = 3",
    "a row is dropped": "DELETE FROM audit WHERE number = 5",
    "the first row is dropped": "DELETE FROM audit WHERE number = 1",
    "the last row is dropped": "DELETE FROM audit WHERE number = 13",
    "the last rows are dropped": "DELETE FROM audit WHERE number > 10",
    "rows are moved": "UPDATE audit SET number = CASE number WHEN 99 THEN 3 ELSE 99 END"
    " WHERE number = 3",
    "a row is added": "INSERT INTO audit SELECT 14, at, what, of, details, before, hash"
    " FROM audit WHERE number = 13",
    "the head is changed": "UPDATE audit_head SET number = 12",
    "the head is dropped": "DELETE FROM audit_head",
    "everything is dropped": "DELETE FROM audit",
}


@pytest.mark.threat("log-changed")
@pytest.mark.parametrize("tampering", TAMPERING_SQL)
def test_tampering_with_the_log_is_detected(tmp_path: Path, tampering: str) -> None:
    with open_stores("sqlite", None, tmp_path) as gate:  # type: ignore[arg-type]
        make_every_change(gate)
        verify_audit_log(gate.bank)
        assert isinstance(gate.bank, BankStore)
        assert isinstance(gate.bank.engine, sa.Engine)
        with gate.bank.engine.begin() as db:
            db.exec_driver_sql(TAMPERING_SQL[tampering])
        with pytest.raises(AuditLogChanged):
            verify_audit_log(gate.bank)


@pytest.mark.threat("log-changed")
def test_rewritten_log_is_detected_by_a_noted_head() -> None:
    bank, forged = new_bank(), new_bank()
    for store in (bank, forged):
        store.set_bank(Bank(BankName("people")))
        make_every_change(Stores(store, review_queue_of(store)))
    noted = bank.audit_log_head()
    assert verify_audit_log(bank, noted) == noted
    verify_audit_log(forged)
    with pytest.raises(AuditLogChanged):
        verify_audit_log(forged, noted)
    with exclusive_write(forged.engine) as db:
        db.exec_driver_sql("DELETE FROM audit")
        db.exec_driver_sql("DELETE FROM audit_head")
    assert tuple(forged.log(0, 1)) == ()
    with pytest.raises(AuditLogChanged):
        verify_audit_log(forged, noted)


ROW_CHANGES: list[Callable[[AuditRow], AuditRow]] = [
    lambda row: replace(row, what=row.what + "x"),
    lambda row: replace(row, of=row.of + "x"),
    lambda row: replace(row, at=row.at.replace(microsecond=row.at.microsecond ^ 1)),
    lambda row: replace(row, details={**row.details, "x": 1}),
    lambda row: replace(row, before=bytes([row.before[0] ^ 1]) + row.before[1:]),
    lambda row: replace(row, hash=bytes([row.hash[0] ^ 1]) + row.hash[1:]),
    lambda row: replace(row, number=row.number + 1),
]
texts = st.text(st.characters(codec="utf-8"), max_size=20)
row_details = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=5), texts | st.integers(0, 2**50) | st.booleans()
)


@pytest.mark.slow
@given(
    st.lists(st.tuples(texts, texts, row_details), min_size=1, max_size=8),
    st.integers(0, 7),
    st.sampled_from(ROW_CHANGES),
)
def test_log_verifies_and_a_changed_row_or_missing_first_rows_are_detected(
    events: list[tuple[str, str, Any]], position: int, change: Callable[[AuditRow], AuditRow]
) -> None:
    rows = list[AuditRow]()
    for one in events:
        head = rows[-1].head if rows else AuditHead()
        rows.append(AuditRow.after(head, datetime(2026, 1, 1, tzinfo=UTC), *one))
    assert check_chain(rows) == rows[-1].head
    position %= len(rows)
    changed = [change(row) if at == position else row for at, row in enumerate(rows)]
    with pytest.raises(AuditLogChanged):
        check_chain(changed)
    for start in range(1, len(rows)):
        with pytest.raises(AuditLogChanged):
            check_chain(rows[start:])


@given(st.integers(0, 2**60), st.binary(min_size=32, max_size=32))
def test_printed_log_head_is_parsed(number: int, digest: bytes) -> None:
    head = AuditHead(number, digest)
    assert AuditHead.parse(f" {head}\n") == head


@pytest.mark.parametrize("text", ["", "1", "1:", ":ab", f"-1:{'a' * 64}", f"1:{'A' * 64}", "1:ab"])
def test_malformed_log_head_is_refused(text: str) -> None:
    with pytest.raises(BadHead):
        AuditHead.parse(text)


@given(st.text())
def test_any_text_is_a_log_head_or_refused(text: str) -> None:
    try:
        head = AuditHead.parse(text)
    except BadHead:
        return
    assert str(head) == text.strip()
