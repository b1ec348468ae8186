"""IndexStore follows the bank at once and misses nothing, even in the smallest banks."""

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
AT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
ONE, TWO = b"\x0f" * 32, b"\xf0" * 32
NEAR_ONE = b"\x0e" + b"\x0f" * 31


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
    """Return a function that opens the index; a second call is like a restart."""
    return lambda bank: FileIndex(tmp_path / "index", bank)


def register(bank: BankStore, name: str, *whole: bytes, parts: tuple[bytes, ...] = ()) -> None:
    claim = Claim(ClaimId(name), PEOPLE, ClaimState.WAITING, "pdq", 90, AT)
    bank.register(Registration(claim, whole, parts))


def claims_near(bank: BankStore, index: IndexStore, bits: bytes) -> list[str]:
    near = index.find_near_hashes([bits], part=False)
    return sorted(claim.id for _, claim in bank.claims_on_pictures({one.entry for one in near}))


def test_open_index_finds_later_registrations(bank: BankStore, open_index: OpenIndex) -> None:
    index = open_index(bank)
    assert index.find_near_hashes([ONE], part=False) == []
    register(bank, "a", ONE)
    (found,) = index.find_near_hashes([TWO, NEAR_ONE], part=False)
    assert (found.query, found.distance) == (1, 1)


def test_whole_pictures_and_parts_are_searched_separately(
    bank: BankStore, open_index: OpenIndex
) -> None:
    index = open_index(bank)
    register(bank, "a", ONE, parts=(TWO,))
    assert len(index.find_near_hashes([ONE], part=False)) == 1
    assert index.find_near_hashes([ONE], part=True) == []
    assert len(index.find_near_hashes([TWO], part=True)) == 1


@pytest.mark.parametrize("copies", [1, 2, 4, 8, 16])
def test_one_picture_bank_matches_after_restart(
    bank: BankStore, open_index: OpenIndex, copies: int
) -> None:
    names = [f"claim-{number:02}" for number in range(copies)]
    for name in names:
        register(bank, name, ONE)
    assert claims_near(bank, open_index(bank), ONE) == names


def test_withdrawn_hash_registered_again_is_found(bank: BankStore, open_index: OpenIndex) -> None:
    index = open_index(bank)
    register(bank, "a", ONE)
    assert claims_near(bank, index, ONE) == ["a"]
    bank.apply_event(ClaimId("a"), ClaimEvent.WITHDRAW)
    assert claims_near(bank, index, ONE) == []
    register(bank, "b", ONE)
    register(bank, "c", TWO)
    assert claims_near(bank, index, ONE) == ["b"]
    assert claims_near(bank, index, TWO) == ["c"]


def test_two_indexes_of_one_bank_agree(bank: BankStore, open_index: OpenIndex) -> None:
    one, other = open_index(bank), open_index(bank)
    register(bank, "a", ONE, parts=(TWO,))
    for part in (False, True):
        assert (
            one.find_near_hashes([ONE, TWO], part=part)
            == other.find_near_hashes([ONE, TWO], part=part)
            != []
        )


def test_hashes_of_another_length_are_refused(bank: BankStore, open_index: OpenIndex) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        open_index(bank).find_near_hashes([ONE[:31]], part=False)
