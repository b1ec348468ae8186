"""Tests of row stores in memory, SQLite and PostgreSQL, which must agree in random runs."""

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from entrenous.base.errors import IdInUse
from entrenous.base.identifiers import BlobId, DeviceId, EnvelopeId, MailboxId
from entrenous.base.secret import Secret
from entrenous.carry.relay import RowStore, RowTransaction, RowView
from entrenous.carry.relay_rows import (
    KEY_FIELDS,
    DeletedMailbox,
    OrphanBlob,
    ReusableKeys,
    StoredAttempt,
    StoredBlob,
    StoredEnvelope,
    StoredKeyBundle,
    StoredLetter,
    StoredLock,
    StoredMailbox,
    StoredOneTimeKey,
    StoredRelayId,
    StoredRestore,
    StoredShare,
    StoredShareGroup,
    StoredSweep,
    StoredToken,
    StoredUpload,
    UsedOneTimeKey,
)
from entrenous.carry.store.postgres import PostgresRows, open_postgres
from entrenous.carry.store.sqlite_rows import SqliteRows
from entrenous.wire.relay_nouns import EnvelopeState
from tests.carry.relays import NOON, new_sqlite
from tests.in_memory.mail import MemoryRowStore
from tests.postgres import Cluster
from tests.sizes import size

MAILBOX = MailboxId(b"M" * 16)
ENVELOPE = EnvelopeId(b"E" * 16)
DEVICE = DeviceId(b"D" * 16)
STORED_LETTER = StoredLetter(ENVELOPE, MAILBOX, 1, b"sealed", NOON)
ROWS_OF_EVERY_TYPE = [
    StoredMailbox(MAILBOX, b"lock", 7),
    StoredMailbox(MAILBOX, b"lock", 7, b"close lock"),
    DeletedMailbox(MAILBOX, NOON),
    StoredLock(MAILBOX, Secret(b"key"), b"lock", 10),
    StoredLock(MAILBOX, Secret(b"key"), b"lock", 0, 2**40, b"asked", b"opening"),
    StoredKeyBundle(MAILBOX, b"card"),
    StoredToken(MAILBOX, b"lock", None, 1, 2, NOON, None),
    StoredToken(MAILBOX, b"lock", 10, 1, 2, NOON, NOON),
    StoredOneTimeKey(MAILBOX, DEVICE, b"digest", b"signed"),
    UsedOneTimeKey(MAILBOX, DEVICE, b"digest", NOON),
    ReusableKeys(MAILBOX, DEVICE, None, b"xwing"),
    StoredEnvelope(
        *(ENVELOPE, b"digest", b"lock", None, EnvelopeState.TAKEN_BACK, 3, NOON),
        *(NOON, None, NOON, NOON),
    ),
    STORED_LETTER,
    StoredShare(ENVELOPE, Secret(b"share"), None, MAILBOX),
    StoredShare(ENVELOPE, Secret(b"share"), 1, MAILBOX, b"G" * 16),
    StoredShareGroup(b"G" * 16, 1, 0, NOON),
    StoredAttempt(ENVELOPE, b"attempt", finished=True),
    StoredBlob(BlobId(b"B" * 16), "name", MAILBOX, 5, b"sha", b"f", b"w", None, NOON),
    StoredUpload(BlobId(b"B" * 16), "name", MAILBOX, 5, b"sha", b"f", b"w", NOON),
    OrphanBlob("name", NOON),
    StoredRestore(1, NOON),
    StoredSweep(1, NOON, None, 7),
    StoredRelayId(1, b"r" * 16),
]


@dataclass
class SyncRowStore:
    """A row store, and a function that runs the store's coroutines."""

    store: RowStore
    run: Callable[[Awaitable[Any]], Any]

    def transact(self, work: Callable[[RowTransaction], Any]) -> Any:
        return self.run(self.store.transact(work))

    def read(self, work: Callable[[RowView], Any]) -> Any:
        return self.run(self.store.read(work))

    def put(self, *rows: object) -> None:
        self.transact(lambda tx: [tx.put(row) for row in rows])


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.real)])
def sync_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SyncRowStore]:
    with asyncio.Runner() as runner:
        if request.param == "memory":
            yield SyncRowStore(MemoryRowStore(), runner.run)
            return
        store: SqliteRows | PostgresRows
        if request.param == "sqlite":
            store = new_sqlite(tmp_path / "mail.db")
        else:
            store = open_postgres(request.getfixturevalue("postgres").reused_database("relay"))
        yield SyncRowStore(store, runner.run)
        store.close()


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS_OF_EVERY_TYPE, ids=lambda row: type(row).__name__)
def test_row_is_read_back_unchanged(sync_store: SyncRowStore, row: object) -> None:
    row_type: type = type(row)
    key = tuple(getattr(row, name) for name in KEY_FIELDS[row_type])
    assert sync_store.read(lambda view: view.get(row_type, *key)) is None
    sync_store.put(row, row)
    assert sync_store.read(lambda view: view.get(row_type, *key)) == row
    assert sync_store.read(lambda view: view.find(row_type)) == [row]
    sync_store.transact(lambda tx: tx.drop(row_type, *key))
    assert sync_store.read(lambda view: view.count(row_type)) == 0
    sync_store.transact(lambda tx: tx.drop(row_type, *key))


def test_every_type_of_row_is_tested() -> None:
    assert {type(row) for row in ROWS_OF_EVERY_TYPE} == set(KEY_FIELDS)


def test_error_undoes_all_changes_of_its_work(sync_store: SyncRowStore) -> None:
    sync_store.put(STORED_LETTER)

    def refuse(tx: RowTransaction) -> None:
        tx.put(replace(STORED_LETTER, sealed=b"other"))
        tx.put(StoredKeyBundle(MAILBOX, b"card"))
        tx.drop(StoredLetter, ENVELOPE)
        raise IdInUse

    with pytest.raises(IdInUse):
        sync_store.transact(refuse)
    assert sync_store.read(lambda view: (view.find(StoredLetter), view.count(StoredKeyBundle))) == (
        [STORED_LETTER],
        0,
    )


def test_work_sees_its_own_changes(sync_store: SyncRowStore) -> None:
    def work(tx: RowTransaction) -> tuple[object, object]:
        tx.put(STORED_LETTER)
        before = tx.get(StoredLetter, ENVELOPE)
        tx.drop(StoredLetter, ENVELOPE)
        return before, tx.get(StoredLetter, ENVELOPE)

    assert sync_store.transact(work) == (STORED_LETTER, None)


def test_page_is_ordered_by_sequence_and_omits_expired_rows(sync_store: SyncRowStore) -> None:
    letters = [
        StoredLetter(EnvelopeId(bytes([255 - n]) * 16), MAILBOX, n, b"x", NOON + timedelta(days=n))
        for n in range(1, 6)
    ]
    elsewhere = replace(STORED_LETTER, mailbox=MailboxId(b"N" * 16))
    sync_store.put(elsewhere, *reversed(letters))
    found = sync_store.read(
        lambda view: view.find_letters(MAILBOX, 2, NOON + timedelta(days=3), 2, 99)
    )
    assert found == letters[3:5]
    assert sync_store.read(lambda view: view.find_letters(MAILBOX, 0, NOON, 2, 99)) == letters[:2]


@pytest.mark.parametrize(("full_bytes", "count"), [(1, 1), (100, 1), (101, 2), (300, 3), (999, 5)])
def test_page_ends_with_the_row_that_fills_it(
    sync_store: SyncRowStore, full_bytes: int, count: int
) -> None:
    """The page is read without and with prefetching, and in a transaction."""
    letters = [
        StoredLetter(EnvelopeId(bytes([n]) * 16), MAILBOX, n, bytes(100), NOON) for n in range(1, 6)
    ]
    sync_store.put(*letters)

    def page(view: RowView) -> list[StoredLetter]:
        return view.find_letters(MAILBOX, 0, NOON - timedelta(hours=1), 9, full_bytes)

    assert sync_store.read(page) == letters[:count]
    assert sync_store.run(sync_store.store.read(page, page)) == letters[:count]
    assert sync_store.transact(page) == letters[:count]


def test_due_rows_are_found_in_the_order_of_their_due_times(sync_store: SyncRowStore) -> None:
    rows = [OrphanBlob(str(n), NOON + timedelta(hours=(n * 7) % 5)) for n in range(5)]
    never = StoredToken(MAILBOX, b"lock", None, 0, 0, NOON, None)
    sync_store.put(never, *rows)
    found = sync_store.read(lambda view: view.find_due(OrphanBlob, NOON + timedelta(hours=3), 3))
    assert found == sorted(rows, key=lambda row: row.due_at)[:3]
    assert (
        sync_store.read(lambda view: view.find_due(StoredToken, NOON + timedelta(days=999), 9))
        == []
    )


def test_sums_distinguish_rows_with_and_without_an_envelope(sync_store: SyncRowStore) -> None:
    blob = StoredBlob(BlobId(b"1" * 16), "one", MAILBOX, 5, b"sha", b"f", b"w", None, NOON)
    named = replace(blob, blob=BlobId(b"2" * 16), size=2**40, envelope=ENVELOPE)
    elsewhere = replace(blob, blob=BlobId(b"3" * 16), mailbox=MailboxId(b"N" * 16))

    def count_and_size(**fields: object) -> tuple[int, int]:
        found: tuple[int, int] = sync_store.read(
            lambda view: view.count_and_sum(StoredBlob, "size", **fields)
        )
        return found

    assert count_and_size(mailbox=MAILBOX) == (0, 0)
    sync_store.put(blob, named, elsewhere)
    assert count_and_size(mailbox=MAILBOX) == (2, 2**40 + 5)
    assert count_and_size(mailbox=MAILBOX, envelope=None) == (1, 5)
    assert count_and_size(mailbox=MAILBOX, envelope=ENVELOPE) == (1, 2**40)
    assert count_and_size() == (3, 2**40 + 10)


def test_concurrent_work_is_serializable(sync_store: SyncRowStore) -> None:
    """Each of 300 tasks increments a counter; every third fails, which undoes the increment."""
    sync_store.put(StoredMailbox(MAILBOX, b"lock", 0))

    def count(tx: RowTransaction, *, refused: bool) -> None:
        stored = tx.get(StoredMailbox, MAILBOX)
        assert stored is not None
        tx.put(replace(stored, last_sequence=stored.last_sequence + 1))
        if refused:
            raise IdInUse

    async def run_all() -> list[object]:
        return await asyncio.gather(
            *(
                sync_store.store.transact(lambda tx, refused=n % 3 == 0: count(tx, refused=refused))
                for n in range(300)
            ),
            return_exceptions=True,
        )

    outcomes = sync_store.run(run_all())
    assert sum(isinstance(outcome, IdInUse) for outcome in outcomes) == 100
    stored = sync_store.read(lambda view: view.get(StoredMailbox, MAILBOX))
    assert stored.last_sequence == 200


def test_failed_write_fails_alone_in_its_group(sync_store: SyncRowStore) -> None:
    """A number that is too large causes an error only when the group is written."""
    if isinstance(sync_store.store, MemoryRowStore):
        pytest.skip("this store writes nothing")
    boxes = [MailboxId(bytes([n]) * 16) for n in range(20)]

    async def run_all() -> list[object]:
        rows = [StoredMailbox(box, b"lock", 2**70 if box == boxes[7] else 7) for box in boxes]
        return await asyncio.gather(
            *(sync_store.store.transact(lambda tx, row=row: tx.put(row)) for row in rows),
            return_exceptions=True,
        )

    outcomes = sync_store.run(run_all())
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [
        box == boxes[7] for box in boxes
    ]
    kept = [sync_store.read(lambda view, box=box: view.get(StoredMailbox, box)) for box in boxes]
    assert [stored is None for stored in kept] == [box == boxes[7] for box in boxes]


def test_error_while_prefetching_stores_nothing_and_later_writes_succeed(
    sync_store: SyncRowStore,
) -> None:
    if isinstance(sync_store.store, MemoryRowStore):
        pytest.skip("this store does not prefetch")

    def raise_zero_division(_: RowView) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sync_store.run(
            sync_store.store.transact(lambda tx: tx.put(STORED_LETTER), raise_zero_division)
        )
    # Some stores do not prefetch for a read, and these stores raise no error.
    with contextlib.suppress(ZeroDivisionError):
        sync_store.run(
            sync_store.store.read(lambda view: view.count(StoredLetter), raise_zero_division)
        )
    assert sync_store.read(lambda view: view.count(StoredLetter)) == 0
    sync_store.put(STORED_LETTER)
    assert sync_store.read(lambda view: view.count(StoredLetter)) == 1


def test_read_sees_the_write_acknowledged_before_it(sync_store: SyncRowStore) -> None:
    async def write_then_read(n: int) -> bool:
        await sync_store.store.transact(lambda tx: tx.put(StoredKeyBundle(MAILBOX, b"%d" % n)))
        seen = await sync_store.store.read(lambda view: view.get(StoredKeyBundle, MAILBOX))
        return seen == StoredKeyBundle(MAILBOX, b"%d" % n)

    for n in range(20):
        assert sync_store.run(write_then_read(n))


# --- databases against memory -------------------------------------------------------------------

sampled = st.sampled_from
ids = sampled([bytes([n]) * 16 for n in (0, 1, 127, 255)])
times = st.integers(0, 6).map(lambda n: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n))
optional = lambda strategy: st.none() | strategy  # noqa: E731
rows = st.one_of(
    st.builds(StoredMailbox, ids, ids, st.integers(0, 2**53)),
    st.builds(StoredLetter, ids, ids, st.integers(0, 9), st.binary(max_size=9000), times),
    st.builds(StoredShare, ids, st.binary(max_size=40).map(Secret), optional(st.integers(1, 9))),
    st.builds(StoredAttempt, ids, ids, st.booleans()),
    st.builds(OrphanBlob, sampled(["a", "b", "é", "Z"]), times),
    st.builds(
        StoredToken,
        ids,
        ids,
        optional(st.integers(1, 9)),
        sampled([0]),
        sampled([0]),
        times,
        optional(times),
    ),
    st.builds(
        StoredBlob,
        ids,
        sampled(["n", "m"]),
        ids,
        st.integers(1, 9),
        *([st.binary(max_size=4)] * 3),
        optional(ids),
        times,
    ),
    st.builds(
        StoredEnvelope,
        ids,
        ids,
        ids,
        optional(ids),
        st.sampled_from(EnvelopeState),
        st.integers(0, 9),
        times,
        optional(times),
        optional(times),
        optional(times),
        times,
    ),
)


class _Undo(Exception):
    """Raised in a transaction to undo the changes of the transaction."""


change_lists = st.lists(st.tuples(st.booleans(), rows), max_size=6)


class DatabaseAgainstMemory(RuleBasedStateMachine):
    """Random operations have equal results in a database and in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.memory = MemoryRowStore()
        self.runner = asyncio.Runner()
        self.store = self.open_store()

    def open_store(self) -> SqliteRows | PostgresRows:
        return new_sqlite(Path(self.folder.name) / "mail.db")

    def assert_same_outcome(
        self, work: Callable[[RowTransaction], Any], prefetch: Any = None
    ) -> None:
        found = [self.outcome_of(store, work, prefetch) for store in (self.store, self.memory)]
        assert found[0] == found[1]

    def outcome_of(
        self, store: RowStore, work: Callable[[RowTransaction], Any], prefetch: Any
    ) -> Any:
        try:
            return self.runner.run(store.transact(work, prefetch))
        except _Undo:
            return "undone"

    @rule(
        works=st.lists(st.tuples(change_lists, st.booleans()), min_size=1, max_size=5),
        envelope_id=ids,
        with_prefetch=st.booleans(),
    )
    def run_group(
        self, works: list[tuple[Any, bool]], envelope_id: bytes, *, with_prefetch: bool
    ) -> None:
        """Run several transactions concurrently; each reads before and after its changes."""

        def read_rows(view: RowView) -> list[object]:
            return [
                view.count(StoredAttempt, envelope=envelope_id, finished=True),
                view.find(StoredBlob, mailbox=envelope_id),
                view.count(StoredLetter, mailbox=envelope_id),
                view.get(StoredShare, envelope_id),
                view.count_and_sum(StoredBlob, "size", mailbox=envelope_id),
            ]

        def make_work(changes: Any, *, undone: bool) -> Callable[[RowTransaction], Any]:
            def work(tx: RowTransaction) -> list[object]:
                before = read_rows(tx)
                _apply(tx, changes)
                if undone:
                    raise _Undo
                return [*before, *read_rows(tx)]

            return work

        async def run_all(store: RowStore) -> list[Any]:
            jobs = [make_work(changes, undone=undone) for changes, undone in works]
            prefetch = read_rows if with_prefetch else None
            return await asyncio.gather(
                *(store.transact(job, prefetch) for job in jobs), return_exceptions=True
            )

        found = [self.runner.run(run_all(store)) for store in (self.store, self.memory)]
        for one, other in zip(*found, strict=True):
            assert one == other or (isinstance(one, _Undo) and isinstance(other, _Undo))

    @rule(changes=change_lists, undone=st.booleans())
    def change_rows(self, changes: list[tuple[bool, Any]], *, undone: bool) -> None:
        def work(tx: RowTransaction) -> None:
            _apply(tx, changes)
            if undone:
                raise _Undo

        self.assert_same_outcome(work)

    @rule(
        row_type=sampled([StoredBlob, StoredEnvelope, StoredToken, OrphanBlob]),
        at=times,
        limit=st.integers(1, 4),
    )
    def find_due(self, row_type: type, at: datetime, limit: int) -> None:
        self.assert_same_outcome(lambda tx: tx.find_due(row_type, at, limit))

    @rule(mailbox=ids, after=st.integers(0, 9), at=times, limit=st.integers(1, 3))
    def find_letters(self, mailbox: bytes, after: int, at: datetime, limit: int) -> None:
        self.assert_same_outcome(
            lambda tx: sorted(
                (one.sequence, one.envelope)
                for one in tx.find_letters(MailboxId(mailbox), after, at, 99, 999)
            )
        )
        self.assert_same_outcome(
            lambda tx: len(tx.find_letters(MailboxId(mailbox), after, at, limit, 999))
        )

    @rule(envelope=ids, finished=st.booleans(), limit=optional(st.integers(1, 2)))
    def find(self, envelope: bytes, limit: int | None, *, finished: bool) -> None:
        self.assert_same_outcome(lambda tx: tx.find(StoredBlob, limit=limit, envelope=envelope))
        self.assert_same_outcome(
            lambda tx: tx.count(StoredAttempt, envelope=envelope, finished=finished)
        )

    @rule(mailbox=ids, envelope=optional(ids))
    def count_and_sum(self, mailbox: bytes, envelope: bytes | None) -> None:
        self.assert_same_outcome(
            lambda tx: tx.count_and_sum(StoredBlob, "size", mailbox=mailbox, envelope=envelope)
        )

    @rule()
    def clear_deleted_rows(self) -> None:
        self.runner.run(self.store.clear_deleted_rows())

    @invariant()
    def contents_match(self) -> None:
        self.assert_same_outcome(lambda tx: [tx.find(row_type) for row_type in KEY_FIELDS])

    def teardown(self) -> None:
        self.store.close()
        self.runner.close()
        self.folder.cleanup()


def _apply(tx: RowTransaction, changes: list[tuple[bool, Any]]) -> None:
    for put, row in changes:
        row_type: type = type(row)
        if put:
            tx.put(row)
        else:
            tx.drop(row_type, *(getattr(row, name) for name in KEY_FIELDS[row_type]))


def _run_machine(machine: type[DatabaseAgainstMemory], example_count: int) -> None:
    machine_settings = settings(
        max_examples=example_count,
        stateful_step_count=15,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(machine, settings=machine_settings)  # type: ignore[no-untyped-call]


@pytest.mark.slow
def test_sqlite_agrees_with_the_in_memory_model() -> None:
    _run_machine(DatabaseAgainstMemory, size(10, 25))


@pytest.mark.real
def test_postgres_agrees_with_the_in_memory_model(postgres: Cluster) -> None:
    class PostgresAgainstMemory(DatabaseAgainstMemory):
        def open_store(self) -> PostgresRows:
            return open_postgres(postgres.reused_database("relay"))

    _run_machine(PostgresAgainstMemory, 3)
