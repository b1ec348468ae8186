"""Tests of ClaimListingStore: content ids, relisting times and reasons of claims."""

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
from tests.stop.store.bank_stores import (
    DATABASE_KINDS,
    HASH_1,
    HASH_2,
    PEOPLE,
    START_TIME,
    claim,
    open_new_engine,
)

CLAIM_A, CLAIM_B, UNKNOWN_CLAIM = ClaimId("a"), ClaimId("b"), ClaimId("nobody")
RELIST_TIME = START_TIME + timedelta(minutes=5)


@dataclass
class ListingStores:
    bank: BankStore
    listings: ClaimListingStore


@pytest.fixture(params=DATABASE_KINDS)
def listing_stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ListingStores]:
    engine = open_new_engine(request.param, request, tmp_path)
    opened = ListingStores(
        BankStore(engine, SettableClock()), ClaimListingStore(engine, SettableClock())
    )
    opened.bank.set_bank(Bank(PEOPLE))
    opened.bank.register(Registration(claim("a"), (HASH_1,)), Registration(claim("b"), (HASH_2,)))
    yield opened
    engine.dispose()


def test_listing_is_stored_and_replaced(listing_stores: ListingStores) -> None:
    assert listing_stores.listings.listings([CLAIM_A, CLAIM_B]) == {}
    listing_stores.listings.set_listing(
        [CLAIM_A, CLAIM_B, UNKNOWN_CLAIM], ClaimListing("7", RELIST_TIME)
    )
    assert listing_stores.listings.listings([CLAIM_A, CLAIM_B, UNKNOWN_CLAIM]) == dict.fromkeys(
        (CLAIM_A, CLAIM_B), ClaimListing("7", RELIST_TIME)
    )
    listing_stores.listings.set_listing([CLAIM_A], ClaimListing("8"))
    assert listing_stores.listings.listings([CLAIM_A, CLAIM_B]) == {
        CLAIM_A: ClaimListing("8"),
        CLAIM_B: ClaimListing("7", RELIST_TIME),
    }


def test_listing_is_due_from_its_relisting_time(listing_stores: ListingStores) -> None:
    listing_stores.listings.set_listing([CLAIM_A], ClaimListing("", RELIST_TIME))
    listing_stores.listings.set_listing([CLAIM_B], ClaimListing("8"))
    assert listing_stores.listings.claims_to_relist(RELIST_TIME - timedelta(microseconds=1)) == ()
    assert listing_stores.listings.claims_to_relist(RELIST_TIME) == (CLAIM_A,)


def test_withdrawn_claim_has_no_listing(listing_stores: ListingStores) -> None:
    listing_stores.listings.set_listing([CLAIM_A, CLAIM_B], ClaimListing("7", RELIST_TIME))
    listing_stores.bank.apply_event(CLAIM_A, ClaimEvent.SUSPEND)
    listing_stores.bank.withdraw(CLAIM_A)
    listing_stores.bank.apply_event(CLAIM_B, ClaimEvent.WITHDRAW)
    listing_stores.listings.set_listing([CLAIM_A, CLAIM_B], ClaimListing("7", RELIST_TIME))
    listing_stores.listings.set_reason([CLAIM_A, CLAIM_B], "late")
    assert listing_stores.listings.listings([CLAIM_A, CLAIM_B]) == {}
    assert listing_stores.listings.claims_to_relist(RELIST_TIME) == ()
    assert listing_stores.bank.claim(CLAIM_A).reason == "mine"


def test_setting_a_reason_is_logged(listing_stores: ListingStores) -> None:
    before = listing_stores.bank.audit_log_head().number
    listing_stores.listings.set_reason([CLAIM_A, UNKNOWN_CLAIM], "from another list")
    assert (
        listing_stores.bank.claim(CLAIM_A).reason,
        listing_stores.bank.claim(CLAIM_B).reason,
    ) == (
        "from another list",
        "mine",
    )
    [row] = listing_stores.bank.log(before, 9)
    assert (row.what, row.of, row.details) == ("claim noted", "a", {})


@pytest.mark.parametrize("content_id", ["x" * 256, "two\nlines"])
def test_invalid_content_id_is_refused(content_id: str) -> None:
    with pytest.raises(ValueError, match="content_id"):
        ClaimListing(content_id)


def test_sqlite_file_keeps_no_withdrawn_content_id(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "gate.sqlite")
    bank = BankStore(engine, SettableClock())
    bank.set_bank(Bank(PEOPLE))
    bank.register(Registration(claim("a"), (HASH_1,)))
    ClaimListingStore(engine, SettableClock()).set_listing(
        [CLAIM_A], ClaimListing("upload-of-somebody")
    )
    assert b"upload-of-somebody" in _folder_contents(tmp_path)
    bank.withdraw(CLAIM_A)
    assert b"upload-of-somebody" not in _folder_contents(tmp_path)
    engine.dispose()


def _folder_contents(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())
