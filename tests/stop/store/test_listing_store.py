"""ClaimListingStore, on each database."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from entrenous.base.identifiers import ClaimId
from entrenous.stop.nouns import Bank, ClaimListing
from entrenous.stop.registration import ClaimEvent, Registration
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_engine
from entrenous.stop.store.registration_changes import ClaimListingStore
from tests.stop.store.bank_stores import AT, KINDS, ONE, PEOPLE, TWO, WoundClock, claim, engine_of

A, B, NOBODY = ClaimId("a"), ClaimId("b"), ClaimId("nobody")
LATER = AT + timedelta(minutes=5)


@dataclass
class Both:
    bank: BankStore
    listings: ClaimListingStore


@pytest.fixture(params=KINDS)
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Both]:
    engine = engine_of(request.param, request, tmp_path)
    made = Both(BankStore(engine, WoundClock()), ClaimListingStore(engine, WoundClock()))
    made.bank.set_bank(Bank(PEOPLE))
    made.bank.register(Registration(claim("a"), (ONE,)), Registration(claim("b"), (TWO,)))
    yield made
    engine.dispose()


def test_listing_is_stored_and_replaced(both: Both) -> None:
    assert both.listings.listings([A, B]) == {}
    both.listings.set_listing([A, B, NOBODY], ClaimListing("7", LATER))
    assert both.listings.listings([A, B, NOBODY]) == dict.fromkeys((A, B), ClaimListing("7", LATER))
    both.listings.set_listing([A], ClaimListing("8"))
    assert both.listings.listings([A, B]) == {
        A: ClaimListing("8"),
        B: ClaimListing("7", LATER),
    }


def test_listing_is_due_from_its_time(both: Both) -> None:
    both.listings.set_listing([A], ClaimListing("", LATER))
    both.listings.set_listing([B], ClaimListing("8"))
    assert both.listings.claims_to_relist(LATER - timedelta(microseconds=1)) == ()
    assert both.listings.claims_to_relist(LATER) == (A,)


def test_withdrawn_claim_has_no_listing(both: Both) -> None:
    both.listings.set_listing([A, B], ClaimListing("7", LATER))
    both.bank.apply_event(A, ClaimEvent.SUSPEND)
    both.bank.withdraw(A)
    both.bank.apply_event(B, ClaimEvent.WITHDRAW)
    both.listings.set_listing([A, B], ClaimListing("7", LATER))
    both.listings.set_reason([A, B], "late")
    assert both.listings.listings([A, B]) == {}
    assert both.listings.claims_to_relist(LATER) == ()
    assert both.bank.claim(A).reason == "mine"


def test_annotating_changes_the_reason_and_is_logged(both: Both) -> None:
    before = both.bank.audit_log_head().number
    both.listings.set_reason([A, NOBODY], "from another list")
    assert (both.bank.claim(A).reason, both.bank.claim(B).reason) == ("from another list", "mine")
    [row] = both.bank.log(before, 9)
    assert (row.what, row.of, row.details) == ("claim noted", "a", {})


@pytest.mark.parametrize("odd", ["x" * 256, "two\nlines"])
def test_invalid_content_id_is_refused(odd: str) -> None:
    with pytest.raises(ValueError, match="content_id"):
        ClaimListing(odd)


def test_sqlite_file_keeps_no_withdrawn_content_id(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "gate.sqlite")
    bank = BankStore(engine, WoundClock())
    bank.set_bank(Bank(PEOPLE))
    bank.register(Registration(claim("a"), (ONE,)))
    ClaimListingStore(engine, WoundClock()).set_listing([A], ClaimListing("upload-of-somebody"))
    assert b"upload-of-somebody" in _bytes(tmp_path)
    bank.withdraw(A)
    assert b"upload-of-somebody" not in _bytes(tmp_path)
    engine.dispose()


def _bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())
