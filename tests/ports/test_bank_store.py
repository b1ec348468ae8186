"""BankStore: one suite, every adapter."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from entrenous.adapters.bank.engine import open_engine
from entrenous.adapters.bank.memory_bank import MemoryBankStore
from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.model.bank import (
    AlreadyWithdrawn,
    Bank,
    BankUnreachable,
    Claim,
    ClaimEvent,
    ClaimState,
    Counts,
    NoSuchBank,
    NoSuchClaim,
    Outcome,
    Registration,
)
from entrenous.model.ids import BankName, ClaimId
from entrenous.ports import BankStore

PEOPLE = BankName("people")
AT = datetime(2026, 11, 25, 12, 0, 0, 123456, tzinfo=UTC)
ONE, TWO, THREE = (bytes([n]) * 32 for n in (1, 2, 3))
SECRET_HASH = b"\xa7" * 31 + b"\x11"


@pytest.fixture(params=["memory", "sqlite"])
def bank(request: pytest.FixtureRequest, tmp_path: Path) -> BankStore:
    make: dict[str, Callable[[], BankStore]] = {
        "memory": MemoryBankStore,
        "sqlite": lambda: SqlBankStore(open_engine(tmp_path / "gate.sqlite")),
    }
    store = make[request.param]()
    store.set_bank(Bank(PEOPLE))
    return store


def claim(name: str, state: ClaimState = ClaimState.WAITING) -> Claim:
    return Claim(ClaimId(name), PEOPLE, state, "pdq", 90, AT, b"\x05" * 32, "mine", "DE")


def test_a_claim_comes_back_as_it_was(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (ONE,), (TWO,)))
    assert bank.claim(ClaimId("a")) == claim("a")
    assert bank.counts() == Counts(claims=1, hashes=2)


def test_banks_keep_their_policy(bank: BankStore) -> None:
    strict = Bank(BankName("a-list"), 12, Outcome.LET_THROUGH, Outcome.HOLD)
    bank.set_bank(strict)
    assert bank.banks() == (strict, Bank(PEOPLE))
    bank.set_bank(Bank(strict.name))
    assert bank.bank(strict.name) == Bank(strict.name)


def test_one_hash_is_one_entry_however_many_claim_it(bank: BankStore) -> None:
    for name in "abc":
        bank.register(Registration(claim(name), (ONE,), (ONE, ONE, TWO)))
    whole, *parts = bank.entries(0)
    assert (whole.bits, whole.part) == (ONE, False)
    assert [(part.bits, part.part) for part in parts] == [(ONE, True), (TWO, True)]
    assert {held.id for _, held in bank.claims_on({whole.number})} == {"a", "b", "c"}


def test_entries_are_told_once_and_in_order(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (ONE,)))
    (first,) = bank.entries(0)
    bank.register(Registration(claim("b"), (TWO, ONE)))
    (second,) = bank.entries(first.number)
    assert second.bits == TWO
    assert second.number > first.number
    assert bank.entries(second.number) == ()


def test_withdrawing_forgets_hashes_that_nobody_else_claims(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (ONE, TWO)), Registration(claim("b"), (TWO,)))
    numbers = [entry.number for entry in bank.entries(0)]
    assert bank.move(ClaimId("a"), ClaimEvent.WITHDRAW).state is ClaimState.WITHDRAWN
    assert [entry.bits for entry in bank.entries(0)] == [TWO]
    assert [held.id for _, held in bank.claims_on(numbers)] == ["b"]


def test_a_number_is_never_used_again(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (ONE,)))
    (old,) = bank.entries(0)
    bank.move(ClaimId("a"), ClaimEvent.WITHDRAW)
    bank.register(Registration(claim("b"), (TWO,)))
    (new,) = bank.entries(0)
    assert new.number > old.number


def test_moves_follow_the_table(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (ONE,)))
    (entry,) = bank.entries(0)
    assert bank.move(ClaimId("a"), ClaimEvent.SUSPEND).state is ClaimState.SUSPENDED
    assert bank.claims_on([entry.number]) == ()
    assert bank.move(ClaimId("a"), ClaimEvent.CONFIRM).state is ClaimState.CONFIRMED
    assert [held.state for _, held in bank.claims_on([entry.number])] == [ClaimState.CONFIRMED]
    for _ in range(2):
        assert bank.move(ClaimId("a"), ClaimEvent.WITHDRAW).state is ClaimState.WITHDRAWN
    with pytest.raises(AlreadyWithdrawn):
        bank.move(ClaimId("a"), ClaimEvent.CONFIRM)


def test_disputes_are_counted(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (ONE,)))
    assert [bank.dispute(ClaimId("a")).disputes for _ in range(3)] == [1, 2, 3]


def test_extending_a_claim(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (ONE,)))
    bank.extend(ClaimId("a"), TWO, ONE)
    assert [entry.bits for entry in bank.entries(0)] == [ONE, TWO]
    bank.move(ClaimId("a"), ClaimEvent.WITHDRAW)
    with pytest.raises(NoSuchClaim):
        bank.extend(ClaimId("a"), THREE)
    assert bank.counts() == Counts(0, 0)


def test_all_registrations_or_none(bank: BankStore) -> None:
    stray = Claim(ClaimId("b"), BankName("nowhere"), ClaimState.WAITING, "pdq", 90, AT)
    with pytest.raises(NoSuchBank, match="nowhere"):
        bank.register(Registration(claim("a"), (ONE,)), Registration(stray, (TWO,)))
    assert bank.counts() == Counts(0, 0)
    with pytest.raises(NoSuchClaim):
        bank.claim(ClaimId("a"))


def test_many_hashes_at_once(bank: BankStore) -> None:
    many = tuple(number.to_bytes(32, "big") for number in range(2000))
    bank.register(Registration(claim("a"), (), many))
    entries = bank.entries(0)
    assert len(entries) == 2000
    assert len(bank.claims_on([entry.number for entry in entries])) == 2000


def test_what_is_not_there(bank: BankStore) -> None:
    for ask in (
        lambda: bank.claim(ClaimId("x")),
        lambda: bank.move(ClaimId("x"), ClaimEvent.CONFIRM),
        lambda: bank.dispute(ClaimId("x")),
        lambda: bank.extend(ClaimId("x"), ONE),
    ):
        with pytest.raises(NoSuchClaim):
            ask()
    with pytest.raises(NoSuchBank):
        bank.bank(BankName("x"))
    assert bank.claims_on([]) == ()


def test_sqlite_another_process_sees_it_and_a_restart_too(tmp_path: Path) -> None:
    path = tmp_path / "gate.sqlite"
    first = SqlBankStore(open_engine(path))
    first.set_bank(Bank(PEOPLE))
    second = SqlBankStore(open_engine(path))
    first.register(Registration(claim("a"), (ONE,)))
    assert second.claim(ClaimId("a")) == claim("a")
    second.move(ClaimId("a"), ClaimEvent.WITHDRAW)
    assert first.entries(0) == ()


@pytest.mark.threat("withdrawal-ignored")
def test_sqlite_a_withdrawn_hash_is_not_left_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "gate.sqlite"
    store = SqlBankStore(open_engine(path))
    store.set_bank(Bank(PEOPLE))
    store.register(Registration(claim("a"), (SECRET_HASH,)))
    assert any(SECRET_HASH in file.read_bytes() for file in tmp_path.iterdir())
    store.move(ClaimId("a"), ClaimEvent.WITHDRAW)
    assert not any(SECRET_HASH in file.read_bytes() for file in tmp_path.iterdir())
    store.engine.dispose()


def test_sqlite_a_newer_schema_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "gate.sqlite"
    open_engine(path).dispose()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE schema_version SET version = 99")
    db.close()
    with pytest.raises(BankUnreachable, match="version 99"):
        open_engine(path)


def test_sqlite_no_such_folder_is_said_in_our_words(tmp_path: Path) -> None:
    with pytest.raises(BankUnreachable, match="unable to open"):
        open_engine(tmp_path / "missing" / "gate.sqlite")
