"""Tests of BankStore on SQLite and PostgreSQL: banks, claims, hashes, opening a database."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.fingerprint.nouns import FramePrint, VideoPrint
from entrenous.serving.postgres_address import BadDatabaseAddress
from entrenous.stop.nouns import Bank, BankCounts, BankUnreachable, NewerBank, NoSuchBank, OlderBank
from entrenous.stop.registration import (
    AlreadyWithdrawn,
    Claim,
    ClaimEvent,
    ClaimState,
    NoSuchClaim,
    Registration,
)
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_engine, open_postgres_engine
from entrenous.stop.store.schema import SCHEMA_VERSION
from entrenous.stop.upload_record import Outcome
from tests.postgres import Cluster
from tests.stop.store.bank_stores import (
    DATABASE_KINDS,
    HASH_1,
    HASH_2,
    HASH_3,
    PEOPLE,
    START_TIME,
    claim,
    open_stores,
)

SECRET_HASH = b"\xa7" * 31 + b"\x11"


@pytest.fixture(params=DATABASE_KINDS)
def bank(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BankStore]:
    with open_stores(request.param, request, tmp_path) as opened:
        yield opened.bank


def test_stored_claim_is_returned_unchanged(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (HASH_1,), (HASH_2,)))
    assert bank.claim(ClaimId("a")) == claim("a")
    assert bank.count_claims_and_hashes() == BankCounts(claims=1, hashes=2)


def test_banks_keep_their_policy(bank: BankStore) -> None:
    strict = Bank(BankName("a-list"), 12, Outcome.LET_THROUGH, Outcome.HOLD, shadow=True)
    bank.set_bank(strict)
    assert bank.banks() == (strict, Bank(PEOPLE))
    bank.set_bank(Bank(strict.name))
    assert bank.bank(strict.name) == Bank(strict.name)


def test_one_hash_has_one_entry_for_all_its_claims(bank: BankStore) -> None:
    for name in "abc":
        bank.register(Registration(claim(name), (HASH_1,), (HASH_1, HASH_1, HASH_2)))
    whole, *parts = bank.entries(0)
    assert (whole.bits, whole.part) == (HASH_1, False)
    assert [(part.bits, part.part) for part in parts] == [(HASH_1, True), (HASH_2, True)]
    assert {found.id for _, found in bank.claims_on_pictures({whole.number})} == {"a", "b", "c"}


def test_find_hashes_in_bank_returns_claims_by_hash(bank: BankStore) -> None:
    """Hashes of parts, claims of other banks and claims in other states are not found."""
    bank.set_bank(Bank(BankName("other")))
    bank.register(
        Registration(claim("a"), (HASH_1,), (HASH_3,)),
        Registration(replace(claim("b"), state=ClaimState.CONFIRMED), (HASH_2,)),
        Registration(replace(claim("c"), bank=BankName("other")), (HASH_3,)),
    )
    every = [HASH_1, HASH_2, HASH_3, HASH_1]

    def claim_ids_by_hash(*states: ClaimState) -> dict[bytes, str]:
        found = bank.find_hashes_in_bank(PEOPLE, every, states)
        return {bits: one.id for bits, one in found.items()}

    assert claim_ids_by_hash(ClaimState.WAITING, ClaimState.CONFIRMED) == {HASH_1: "a", HASH_2: "b"}
    assert claim_ids_by_hash(ClaimState.CONFIRMED) == {HASH_2: "b"}
    bank.apply_event(ClaimId("b"), ClaimEvent.WITHDRAW)
    bank.apply_event(ClaimId("a"), ClaimEvent.SUSPEND)
    assert claim_ids_by_hash(ClaimState.WAITING, ClaimState.CONFIRMED) == {}
    assert bank.find_hashes_in_bank(PEOPLE, [], [ClaimState.WAITING]) == {}


def test_entries_are_returned_once_in_order(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (HASH_1,)))
    (first,) = bank.entries(0)
    bank.register(Registration(claim("b"), (HASH_2, HASH_1)))
    (second,) = bank.entries(first.number)
    assert second.bits == HASH_2
    assert second.number > first.number
    assert bank.entries(second.number) == ()


def test_withdrawing_deletes_hashes_of_no_other_claim(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (HASH_1, HASH_2)), Registration(claim("b"), (HASH_2,)))
    numbers = [entry.number for entry in bank.entries(0)]
    assert bank.apply_event(ClaimId("a"), ClaimEvent.WITHDRAW).state is ClaimState.WITHDRAWN
    assert [entry.bits for entry in bank.entries(0)] == [HASH_2]
    assert [found.id for _, found in bank.claims_on_pictures(numbers)] == ["b"]


def test_many_claims_are_withdrawn_at_once(bank: BankStore) -> None:
    for name, bits in (("a", HASH_1), ("b", HASH_2), ("c", HASH_2)):
        bank.register(Registration(claim(name), (bits,)))
    bank.apply_event(ClaimId("a"), ClaimEvent.WITHDRAW)
    before = bank.changes(0, 10)
    names = [ClaimId(name) for name in ("a", "b", "b", "never was")]
    assert bank.withdraw(*names) == 1
    assert bank.withdraw(*names) == bank.withdraw() == 0
    assert [bank.claim(ClaimId(name)).state for name in "abc"] == [
        *(ClaimState.WITHDRAWN, ClaimState.WITHDRAWN, ClaimState.WAITING)
    ]
    assert [entry.bits for entry in bank.entries(0)] == [HASH_2]
    assert [one.claim for one in bank.changes(before[-1].number, 10)] == ["b"]


def test_hash_numbers_are_never_reused(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (HASH_1,)))
    (old,) = bank.entries(0)
    bank.apply_event(ClaimId("a"), ClaimEvent.WITHDRAW)
    bank.register(Registration(claim("b"), (HASH_2,)))
    (new,) = bank.entries(0)
    assert new.number > old.number


def test_suspended_claim_can_be_confirmed_and_a_withdrawn_claim_cannot(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (HASH_1,)))
    (entry,) = bank.entries(0)
    assert bank.apply_event(ClaimId("a"), ClaimEvent.SUSPEND).state is ClaimState.SUSPENDED
    assert bank.claims_on_pictures([entry.number]) == ()
    assert bank.apply_event(ClaimId("a"), ClaimEvent.CONFIRM).state is ClaimState.CONFIRMED
    assert [found.state for _, found in bank.claims_on_pictures([entry.number])] == [
        ClaimState.CONFIRMED
    ]
    for _ in range(2):
        assert bank.apply_event(ClaimId("a"), ClaimEvent.WITHDRAW).state is ClaimState.WITHDRAWN
    with pytest.raises(AlreadyWithdrawn):
        bank.apply_event(ClaimId("a"), ClaimEvent.CONFIRM)


def test_confirmed_claim_can_be_suspended(bank: BankStore) -> None:
    bank.register(Registration(claim("a", ClaimState.CONFIRMED), (HASH_1,)))
    assert bank.apply_event(ClaimId("a"), ClaimEvent.SUSPEND).state is ClaimState.SUSPENDED
    assert bank.claims_on_pictures([entry.number for entry in bank.entries(0)]) == ()


def test_whole_picture_hashes_exclude_parts(bank: BankStore) -> None:
    bank.register(
        Registration(claim("a"), (HASH_2, HASH_1), (HASH_3,)), Registration(claim("b"), (HASH_1,))
    )
    assert set(bank.whole_picture_hashes_of(ClaimId("a"))) == {HASH_1, HASH_2}
    bank.apply_event(ClaimId("a"), ClaimEvent.WITHDRAW)
    assert bank.whole_picture_hashes_of(ClaimId("a")) == ()
    assert bank.whole_picture_hashes_of(ClaimId("b")) == (HASH_1,)


def test_claims_with_hashes_returns_claims_and_their_hashes(bank: BankStore) -> None:
    bank.register(
        Registration(claim("a"), (HASH_1, HASH_2), (HASH_3,)), Registration(claim("b"), (HASH_1,))
    )
    bank.apply_event(ClaimId("b"), ClaimEvent.WITHDRAW)
    found = bank.claims_with_hashes([ClaimId("b"), ClaimId("nobody's"), ClaimId("a")])
    assert list(found) == ["b", "a"]
    assert [one.state for one, _ in found.values()] == [ClaimState.WITHDRAWN, ClaimState.WAITING]
    assert [set(hashes) for _, hashes in found.values()] == [set(), {HASH_1, HASH_2}]
    assert dict(bank.claims_with_hashes([])) == {}


def test_claims_with_hashes_includes_frames_on_request(bank: BankStore) -> None:
    shown = (FramePrint(0, HASH_1, 100, HASH_3), FramePrint(500, HASH_2, 100))
    bank.register(Registration(claim("a"), video=VideoPrint(shown)))
    (plain,) = bank.claims_with_hashes([ClaimId("a")]).values()
    (with_frames,) = bank.claims_with_hashes([ClaimId("a")], frames=True).values()
    assert (plain[1], set(with_frames[1])) == ((), {HASH_1, HASH_2})


def test_next_picture_hash_skips_frames_parts_and_other_banks(bank: BankStore) -> None:
    bank.set_bank(Bank(BankName("other")))
    bank.register(Registration(claim("film"), video=VideoPrint((FramePrint(0, HASH_1, 100),))))
    bank.register(Registration(claim("a"), (HASH_2,), (HASH_3,)))
    bank.register(Registration(replace(claim("b"), bank=BankName("other")), (HASH_3,)))
    numbers = [entry.number for entry in bank.entries(0)]
    assert bank.next_picture_hash_number(PEOPLE, 0) == numbers[1]
    assert bank.next_picture_hash_number(PEOPLE, numbers[1]) is None
    bank.apply_event(ClaimId("a"), ClaimEvent.SUSPEND)
    assert bank.next_picture_hash_number(PEOPLE, 0) == numbers[1]
    bank.apply_event(ClaimId("a"), ClaimEvent.WITHDRAW)
    assert bank.next_picture_hash_number(PEOPLE, 0) is None
    assert bank.next_picture_hash_number(BankName("other"), 0) == numbers[-1]


def test_disputes_are_counted(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (HASH_1,)))
    bank.register(Registration(claim("b"), (HASH_1,)))
    assert [bank.dispute(ClaimId("a"))[0].disputes for _ in range(3)] == [1, 2, 3]
    both = bank.dispute(ClaimId("b"), ClaimId("a"), ClaimId("b"))
    assert [(one.id, one.disputes) for one in both] == [("b", 1), ("a", 4)]
    with pytest.raises(NoSuchClaim, match="never was"):
        bank.dispute(ClaimId("a"), ClaimId("never was"))
    assert bank.claim(ClaimId("a")).disputes == 4
    assert bank.dispute() == ()


def test_events_and_hashes_apply_to_many_claims_at_once(bank: BankStore) -> None:
    names = [ClaimId(name) for name in ("c", "a", "never was", "b", "a", "d")]
    for name, state in zip("abcd", ClaimState, strict=True):
        bank.register(Registration(claim(name, state), (HASH_1,)))
    before = bank.changes(0, 10)[-1].number
    moved = bank.apply_event_to_all(ClaimEvent.CONFIRM, *names)
    assert {one.id: one.state for one in moved} == dict.fromkeys("abc", ClaimState.CONFIRMED)
    assert [one.claim for one in bank.changes(before, 10)] == ["c", "a", "b"]
    bank.add_upload_hashes(names, HASH_2, confirmed=True)
    assert [one.claim for one in bank.changes(before + 3, 10)] == ["c", "a", "b"]
    assert bank.whole_picture_hashes_of(ClaimId("b")) == (HASH_1, HASH_2)
    assert HASH_2 not in bank.whole_picture_hashes_of(ClaimId("d"))
    gone = bank.apply_event_to_all(ClaimEvent.WITHDRAW, *names[:2])
    assert {one.state for one in gone} == {ClaimState.WITHDRAWN}
    assert bank.whole_picture_hashes_of(ClaimId("a")) == ()
    assert bank.apply_event_to_all(ClaimEvent.CONFIRM) == ()


def test_upload_hashes_are_added_unless_the_claim_is_withdrawn(bank: BankStore) -> None:
    bank.register(Registration(claim("a"), (HASH_1,)))
    bank.add_upload_hashes([ClaimId("a")], HASH_2, HASH_1, confirmed=True)
    assert [entry.bits for entry in bank.entries(0)] == [HASH_1, HASH_2]
    bank.apply_event(ClaimId("a"), ClaimEvent.WITHDRAW)
    bank.add_upload_hashes([ClaimId("a")], HASH_3, confirmed=True)
    assert bank.count_claims_and_hashes() == BankCounts(0, 0)


@pytest.mark.threat("claim-censors")
def test_claim_has_the_state_of_a_hash_that_a_reviewer_added(bank: BankStore) -> None:
    """If the hash is one that the claim was registered with, the claim keeps its own state."""
    a, b = ClaimId("a"), ClaimId("b")
    bank.register(Registration(claim("a"), (HASH_1,)), Registration(claim("b"), (HASH_1,)))

    def states_by_hash(of: ClaimId) -> dict[bytes, tuple[ClaimState, bool]]:
        bits = {entry.number: entry.bits for entry in bank.entries(0)}
        found = bank.claims_on_pictures_and_frames(bits)
        shown = {(number, one.id): (one, one.added) for number, one, _ in found}
        assert {(n, one.id): (one, one.added) for n, one in bank.claims_on_pictures(bits)} == shown
        return {bits[number]: (one.state, one.added) for number, one, _ in found if one.id == of}

    bank.add_upload_hashes([a, ClaimId("nobody")], HASH_1, HASH_2, confirmed=True)
    bank.add_upload_hashes([a], HASH_3, confirmed=False)
    bank.add_upload_hashes([a], HASH_2, confirmed=False)  # the hash stays confirmed
    waiting, confirmed = ClaimState.WAITING, ClaimState.CONFIRMED
    assert states_by_hash(a) == {
        HASH_1: (waiting, False),
        HASH_2: (confirmed, True),
        HASH_3: (waiting, True),
    }
    assert states_by_hash(b) == {HASH_1: (waiting, False)}
    assert bank.claim(a).state is waiting
    (change,) = [one for one in bank.changes(0, 9) if one.claim == a]
    assert set(change.hashes) == {HASH_1, HASH_2}
    assert set(bank.whole_picture_hashes_of(a)) == {HASH_1, HASH_2, HASH_3}
    added = bank.hashes_added_to([a, b])
    assert {one: set(bits) for one, bits in added.items()} == {a: {HASH_2, HASH_3}}
    assert [(added[a][bits].state, added[a][bits].added) for bits in (HASH_2, HASH_3)] == [
        (confirmed, True),
        (waiting, True),
    ]
    bank.apply_event(a, ClaimEvent.CONFIRM)
    confirmed_by_event = bank.claim(a).confirmed
    assert states_by_hash(a) == {
        HASH_1: (confirmed, False),
        HASH_2: (confirmed, True),
        HASH_3: (waiting, True),
    }
    bank.add_upload_hashes([a], HASH_3, confirmed=True)
    assert states_by_hash(a)[HASH_3] == (confirmed, True)
    number = next(entry.number for entry in bank.entries(0) if entry.bits == HASH_3)
    ((_, on_three),) = bank.claims_on_pictures([number])
    assert on_three.confirmed > confirmed_by_event  # this hash was confirmed later than the claim
    bank.withdraw(a)
    assert bank.hashes_added_to([a, b]) == {}
    assert states_by_hash(a) == {}
    bank.register(Registration(claim("c"), (HASH_2,)))
    assert states_by_hash(ClaimId("c")) == {HASH_2: (waiting, False)}


def test_registrations_are_stored_all_or_none(bank: BankStore) -> None:
    stray = Claim(ClaimId("b"), BankName("nowhere"), ClaimState.WAITING, "pdq", 90, START_TIME)
    with pytest.raises(NoSuchBank, match="nowhere"):
        bank.register(Registration(claim("a"), (HASH_1,)), Registration(stray, (HASH_2,)))
    assert bank.count_claims_and_hashes() == BankCounts(0, 0)
    with pytest.raises(NoSuchClaim):
        bank.claim(ClaimId("a"))


def test_many_hashes_are_registered_at_once(bank: BankStore) -> None:
    many = tuple(number.to_bytes(32, "big") for number in range(2000))
    bank.register(Registration(claim("a"), (), many))
    entries = bank.entries(0)
    assert len(entries) == 2000
    assert len(bank.claims_on_pictures([entry.number for entry in entries])) == 2000


def test_missing_claims_and_banks_raise(bank: BankStore) -> None:
    for ask in (
        lambda: bank.claim(ClaimId("x")),
        lambda: bank.apply_event(ClaimId("x"), ClaimEvent.CONFIRM),
        lambda: bank.dispute(ClaimId("x")),
    ):
        with pytest.raises(NoSuchClaim):
            ask()
    with pytest.raises(NoSuchBank):
        bank.bank(BankName("x"))
    assert bank.claims_on_pictures([]) == ()


def test_sqlite_changes_are_visible_through_another_engine(tmp_path: Path) -> None:
    path = tmp_path / "gate.sqlite"
    first = BankStore(open_engine(path))
    first.set_bank(Bank(PEOPLE))
    second = BankStore(open_engine(path))
    first.register(Registration(claim("a"), (HASH_1,)))
    assert second.claim(ClaimId("a")) == claim("a")
    second.apply_event(ClaimId("a"), ClaimEvent.WITHDRAW)
    assert first.entries(0) == ()
    for store in (first, second):
        store.engine.dispose()


@pytest.mark.threat("withdrawal-ignored")
def test_sqlite_file_keeps_no_withdrawn_hash(tmp_path: Path) -> None:
    path = tmp_path / "gate.sqlite"
    store = BankStore(open_engine(path))
    store.set_bank(Bank(PEOPLE))
    store.register(Registration(claim("a"), (SECRET_HASH,)))
    assert any(SECRET_HASH in file.read_bytes() for file in tmp_path.iterdir())
    store.apply_event(ClaimId("a"), ClaimEvent.WITHDRAW)
    assert not any(SECRET_HASH in file.read_bytes() for file in tmp_path.iterdir())
    store.engine.dispose()


def test_sqlite_withdrawing_again_does_not_rewrite_the_file(tmp_path: Path) -> None:
    """Repeated requests must not keep the gate busy with rewriting the database file."""
    store = BankStore(open_engine(tmp_path / "gate.sqlite"))
    store.set_bank(Bank(PEOPLE))
    store.register(Registration(claim("a"), (HASH_1,)))
    rewritten: list[object] = []

    def trace_vacuum(connection: sqlite3.Connection, _record: object, _proxy: object) -> None:
        connection.set_trace_callback(
            lambda said: rewritten.append(said) if said.startswith("VACUUM") else None
        )

    sa.event.listen(store.engine, "checkout", trace_vacuum)
    store.apply_event(ClaimId("a"), ClaimEvent.WITHDRAW)
    assert len(rewritten) == 1
    for _ in range(3):
        assert store.apply_event(ClaimId("a"), ClaimEvent.WITHDRAW).state is ClaimState.WITHDRAWN
    assert len(rewritten) == 1
    store.engine.dispose()


@pytest.mark.real
def test_concurrent_postgres_writes_become_visible_in_order(postgres: Cluster) -> None:
    """A reader repeatedly asks for entries newer than its last entry, and must miss no entry."""
    url = postgres.create_database()
    writers = [BankStore(open_postgres_engine(url)) for _ in range(4)]
    writers[0].set_bank(Bank(PEOPLE))
    seen: list[int] = []
    done = threading.Event()

    def read_entries_until_done() -> None:
        store = BankStore(open_postgres_engine(url))
        while True:
            last = done.is_set()
            seen.extend(entry.number for entry in store.entries(seen[-1] if seen else 0))
            if last:
                break
        store.engine.dispose()

    def register_twenty_claims(number: int) -> None:
        for count in range(20):
            name = f"{number}-{count}"
            bits = bytes([number + 1, count + 1]) * 16
            writers[number].register(Registration(claim(name), (bits,)))

    follower = threading.Thread(target=read_entries_until_done)
    threads = [
        threading.Thread(target=register_twenty_claims, args=(number,)) for number in range(4)
    ]
    for thread in (follower, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    follower.join()
    assert seen == [entry.number for entry in writers[0].entries(0)]
    assert len(seen) == 80
    numbers = [change.number for change in writers[0].changes(0, 1000)]
    assert numbers == list(range(1, 81))
    for store in writers:
        store.engine.dispose()


@pytest.mark.real
def test_unreachable_or_malformed_postgres_address_is_reported(postgres: Cluster) -> None:
    with pytest.raises(BankUnreachable):
        open_postgres_engine(f"postgresql://entrenous@/nothing?host={postgres.folder}")
    with pytest.raises(BadDatabaseAddress):
        open_postgres_engine("postgresql://u:hunter%zz2@127.0.0.1:1/db")
    with pytest.raises(BadDatabaseAddress, match="Nothing was started") as caught:
        open_postgres_engine("postgresql://u@127.0.0.1:notaport/db")
    # Gates and relays both raise this error, so its text must not name relays.
    assert "relay" not in str(caught.value)


OTHER_VERSIONS = [(SCHEMA_VERSION + 1, NewerBank), (SCHEMA_VERSION - 1, OlderBank)]


@pytest.mark.parametrize(("version", "refusal"), OTHER_VERSIONS)
def test_sqlite_database_of_another_version_is_untouched(
    tmp_path: Path, version: int, refusal: type[Exception]
) -> None:
    path = tmp_path / "gate.sqlite"
    open_engine(path).dispose()
    with sqlite3.connect(path) as db:
        db.execute(f"UPDATE schema_version SET version = {version}")
        db.execute("DROP TABLE audit")
    before = list(db.iterdump())
    with pytest.raises(refusal):
        open_engine(path)
    assert list(db.iterdump()) == before
    db.close()


def test_sqlite_second_start_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gate.sqlite"
    open_engine(path).dispose()
    with closing(sqlite3.connect(path)) as db:
        before = list(db.iterdump())
        assert db.execute("SELECT version FROM schema_version").fetchall() == [(SCHEMA_VERSION,)]
        open_engine(path).dispose()
        assert list(db.iterdump()) == before


def test_sqlite_failed_start_leaves_no_table(tmp_path: Path) -> None:
    path = tmp_path / "gate.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE other (number INTEGER)")
        db.execute("CREATE INDEX waiting_by_lead ON other (number)")  # also a name in the schema
        before = list(db.iterdump())
        with pytest.raises(BankUnreachable, match="waiting_by_lead"):
            open_engine(path)
        assert list(db.iterdump()) == before


@pytest.mark.real
@pytest.mark.parametrize(("version", "refusal"), OTHER_VERSIONS)
def test_postgres_database_of_another_version_gets_no_missing_table(
    postgres: Cluster, version: int, refusal: type[Exception]
) -> None:
    url = postgres.create_database()
    engine = open_postgres_engine(url)
    with engine.begin() as db:
        db.exec_driver_sql(f"UPDATE schema_version SET version = {version}")
        db.exec_driver_sql("DROP TABLE audit")
    with pytest.raises(refusal):
        open_postgres_engine(url)
    assert not sa.inspect(engine).has_table("audit")
    engine.dispose()


@pytest.mark.real
def test_postgres_concurrent_starts_create_tables_once(postgres: Cluster) -> None:
    url, opened = postgres.create_database(), list[sa.Engine]()
    threads = [
        threading.Thread(target=lambda: opened.append(open_postgres_engine(url))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == len(threads)
    with opened[0].connect() as db:
        versions = db.exec_driver_sql("SELECT version FROM schema_version").scalars().all()
        assert versions == [SCHEMA_VERSION]
    for engine in opened:
        engine.dispose()


def test_sqlite_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BankUnreachable, match="unable to open"):
        open_engine(tmp_path / "missing" / "gate.sqlite")


def test_register_new_skips_hashes_of_claims_in_the_given_states(bank: BankStore) -> None:
    waiting = (ClaimState.WAITING, ClaimState.CONFIRMED)
    bank.register(Registration(claim("a"), (HASH_1,)))
    registrations = (
        Registration(claim("b"), (HASH_1,)),
        Registration(claim("c"), (HASH_2,), looks_back=True),
    )
    known_claims = bank.register_new(waiting, *registrations)
    assert {bits: one.id for bits, one in known_claims.items()} == {HASH_1: ClaimId("a")}
    assert bank.register_new(waiting) == {}
    assert bank.count_claims_and_hashes().claims == 2
    assert bank.claim(ClaimId("c")).state is ClaimState.WAITING
    third = Registration(claim("d", ClaimState.CONFIRMED), (HASH_1,))
    assert bank.register_new((ClaimState.CONFIRMED,), third) == {}
    assert bank.count_claims_and_hashes().claims == 3
    with pytest.raises(NoSuchBank):
        bank.register_new(
            waiting, Registration(replace(claim("e"), bank=BankName("none")), (HASH_3,))
        )
