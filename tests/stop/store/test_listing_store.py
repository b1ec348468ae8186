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
from tests.deterministic import SettableClock
from tests.stop.store.bank_stores import AT, KINDS, ONE, PEOPLE, TWO, claim, open_new_engine

A, B, NOBODY = ClaimId("a"), ClaimId("b"), ClaimId("nobody")
LATER = AT + timedelta(minutes=5)


@dataclass
class ListingStores:
    bank: BankStore
    listings: ClaimListingStore


@pytest.fixture(params=KINDS)
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ListingStores]:
    engine = open_new_engine(request.param, request, tmp_path)
    opened = ListingStores(
        BankStore(engine, SettableClock()), ClaimListingStore(engine, SettableClock())
    )
    opened.bank.set_bank(Bank(PEOPLE))
    opened.bank.register(Registration(claim("a"), (ONE,)), Registration(claim("b"), (TWO,)))
    yield opened
    engine.dispose()


def test_listing_is_stored_and_replaced(stores: ListingStores) -> None:
    assert stores.listings.listings([A, B]) == {}
    stores.listings.set_listing([A, B, NOBODY], ClaimListing("7", LATER))
    assert stores.listings.listings([A, B, NOBODY]) == dict.fromkeys(
        (A, B), ClaimListing("7", LATER)
    )
    stores.listings.set_listing([A], ClaimListing("8"))
    assert stores.listings.listings([A, B]) == {
        A: ClaimListing("8"),
        B: ClaimListing("7", LATER),
    }


def test_listing_is_due_from_its_time(stores: ListingStores) -> None:
    stores.listings.set_listing([A], ClaimListing("", LATER))
    stores.listings.set_listing([B], ClaimListing("8"))
    assert stores.listings.claims_to_relist(LATER - timedelta(microseconds=1)) == ()
    assert stores.listings.claims_to_relist(LATER) == (A,)


def test_withdrawn_claim_has_no_listing(stores: ListingStores) -> None:
    stores.listings.set_listing([A, B], ClaimListing("7", LATER))
    stores.bank.apply_event(A, ClaimEvent.SUSPEND)
    stores.bank.withdraw(A)
    stores.bank.apply_event(B, ClaimEvent.WITHDRAW)
    stores.listings.set_listing([A, B], ClaimListing("7", LATER))
    stores.listings.set_reason([A, B], "late")
    assert stores.listings.listings([A, B]) == {}
    assert stores.listings.claims_to_relist(LATER) == ()
    assert stores.bank.claim(A).reason == "mine"


def test_annotating_changes_the_reason_and_is_logged(stores: ListingStores) -> None:
    before = stores.bank.audit_log_head().number
    stores.listings.set_reason([A, NOBODY], "from another list")
    assert (stores.bank.claim(A).reason, stores.bank.claim(B).reason) == (
        "from another list",
        "mine",
    )
    [row] = stores.bank.log(before, 9)
    assert (row.what, row.of, row.details) == ("claim noted", "a", {})


@pytest.mark.parametrize("content_id", ["x" * 256, "two\nlines"])
def test_invalid_content_id_is_refused(content_id: str) -> None:
    with pytest.raises(ValueError, match="content_id"):
        ClaimListing(content_id)


def test_sqlite_file_keeps_no_withdrawn_content_id(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "gate.sqlite")
    bank = BankStore(engine, SettableClock())
    bank.set_bank(Bank(PEOPLE))
    bank.register(Registration(claim("a"), (ONE,)))
    ClaimListingStore(engine, SettableClock()).set_listing([A], ClaimListing("upload-of-somebody"))
    assert b"upload-of-somebody" in _bytes(tmp_path)
    bank.withdraw(A)
    assert b"upload-of-somebody" not in _bytes(tmp_path)
    engine.dispose()


def _bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())
