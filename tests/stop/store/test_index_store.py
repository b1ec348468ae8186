"""Tests of FileIndex on a bank in SQLite: new and withdrawn claims, parts, invalid hashes."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.stop.index.file_index import FileIndex
from entrenous.stop.nouns import Bank
from entrenous.stop.platform import IndexStore
from entrenous.stop.registration import Claim, ClaimEvent, ClaimState, Registration
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_engine

PEOPLE = BankName("people")
CLAIM_TIME = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
HASH_1, HASH_2 = b"\x0f" * 32, b"\xf0" * 32
HASH_NEAR_1 = b"\x0e" + b"\x0f" * 31


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[BankStore]:
    engine = open_engine(tmp_path / "gate.sqlite")
    store = BankStore(engine)
    store.set_bank(Bank(PEOPLE))
    yield store
    engine.dispose()


OpenIndex = Callable[[BankStore], IndexStore]


@pytest.fixture
def open_index(tmp_path: Path) -> OpenIndex:
    """Return a function that opens a FileIndex, always in the same folder."""
    return lambda bank: FileIndex(tmp_path / "index", bank)


def register_claim(
    bank: BankStore, claim_id: str, *whole: bytes, parts: tuple[bytes, ...] = ()
) -> None:
    claim = Claim(ClaimId(claim_id), PEOPLE, ClaimState.WAITING, "pdq", 90, CLAIM_TIME)
    bank.register(Registration(claim, whole, parts))


def claim_ids_near(bank: BankStore, index: IndexStore, bits: bytes) -> list[str]:
    near = index.find_near_hashes([bits], part=False)
    return sorted(claim.id for _, claim in bank.claims_on_pictures({one.entry for one in near}))


def test_open_index_finds_later_registrations(bank: BankStore, open_index: OpenIndex) -> None:
    index = open_index(bank)
    assert index.find_near_hashes([HASH_1], part=False) == []
    register_claim(bank, "a", HASH_1)
    (found,) = index.find_near_hashes([HASH_2, HASH_NEAR_1], part=False)
    assert (found.query, found.distance) == (1, 1)


def test_whole_pictures_and_parts_are_searched_separately(
    bank: BankStore, open_index: OpenIndex
) -> None:
    index = open_index(bank)
    register_claim(bank, "a", HASH_1, parts=(HASH_2,))
    assert len(index.find_near_hashes([HASH_1], part=False)) == 1
    assert index.find_near_hashes([HASH_1], part=True) == []
    assert len(index.find_near_hashes([HASH_2], part=True)) == 1


@pytest.mark.parametrize("claim_count", [1, 2, 4, 8, 16])
def test_index_opened_after_the_registrations_finds_every_claim(
    bank: BankStore, open_index: OpenIndex, claim_count: int
) -> None:
    names = [f"claim-{number:02}" for number in range(claim_count)]
    for name in names:
        register_claim(bank, name, HASH_1)
    assert claim_ids_near(bank, open_index(bank), HASH_1) == names


def test_withdrawn_hash_registered_again_is_found(bank: BankStore, open_index: OpenIndex) -> None:
    index = open_index(bank)
    register_claim(bank, "a", HASH_1)
    assert claim_ids_near(bank, index, HASH_1) == ["a"]
    bank.apply_event(ClaimId("a"), ClaimEvent.WITHDRAW)
    assert claim_ids_near(bank, index, HASH_1) == []
    register_claim(bank, "b", HASH_1)
    register_claim(bank, "c", HASH_2)
    assert claim_ids_near(bank, index, HASH_1) == ["b"]
    assert claim_ids_near(bank, index, HASH_2) == ["c"]


def test_two_indexes_of_one_bank_agree(bank: BankStore, open_index: OpenIndex) -> None:
    one, other = open_index(bank), open_index(bank)
    register_claim(bank, "a", HASH_1, parts=(HASH_2,))
    for part in (False, True):
        assert (
            one.find_near_hashes([HASH_1, HASH_2], part=part)
            == other.find_near_hashes([HASH_1, HASH_2], part=part)
            != []
        )


def test_hashes_of_another_length_are_refused(bank: BankStore, open_index: OpenIndex) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        open_index(bank).find_near_hashes([HASH_1[:31]], part=False)
