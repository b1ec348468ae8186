"""Tests that every RowStore passes, and a state machine that compares them with one in memory."""

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

# The event loop's wake-up channel is a socket pair.
pytestmark = pytest.mark.usefixtures("socket_enabled")

BOX = MailboxId(b"M" * 16)
ENVELOPE = EnvelopeId(b"E" * 16)
DEVICE = DeviceId(b"D" * 16)
LETTER = StoredLetter(ENVELOPE, BOX, 1, b"sealed", NOON)
EVERY_KIND = [
    StoredMailbox(BOX, b"lock", 7),
    StoredMailbox(BOX, b"lock", 7, b"close lock"),
    DeletedMailbox(BOX, NOON),
    StoredLock(BOX, Secret(b"key"), b"lock", 10),
    StoredLock(BOX, Secret(b"key"), b"lock", 0, 2**40, b"asked", b"opening"),
    StoredKeyBundle(BOX, b"card"),
    StoredToken(BOX, b"lock", None, 1, 2, NOON, None),
    StoredToken(BOX, b"lock", 10, 1, 2, NOON, NOON),
    StoredOneTimeKey(BOX, DEVICE, b"digest", b"signed"),
    UsedOneTimeKey(BOX, DEVICE, b"digest", NOON),
    ReusableKeys(BOX, DEVICE, None, b"xwing"),
    StoredEnvelope(
        *(ENVELOPE, b"digest", b"lock", None, EnvelopeState.TAKEN_BACK, 3, NOON),
        *(NOON, None, NOON, NOON),
    ),
    LETTER,
    StoredShare(ENVELOPE, Secret(b"share"), None, BOX),
    StoredShare(ENVELOPE, Secret(b"share"), 1, BOX, b"G" * 16),
    StoredShareGroup(b"G" * 16, 1, 0, NOON),
    StoredAttempt(ENVELOPE, b"attempt", finished=True),
    StoredBlob(BlobId(b"B" * 16), "name", BOX, 5, b"sha", b"f", b"w", None, NOON),
    StoredUpload(BlobId(b"B" * 16), "name", BOX, 5, b"sha", b"f", b"w", NOON),
    OrphanBlob("name", NOON),
    StoredRestore(1, NOON),
    StoredSweep(1, NOON, None, 7),
    StoredRelayId(1, b"r" * 16),
]


@dataclass
class Bench:
    """A row store, and a function that runs its coroutines."""

    store: RowStore
    run: Callable[[Awaitable[Any]], Any]

    def do(self, work: Callable[[RowTransaction], Any]) -> Any:
        return self.run(self.store.transact(work))

    def see(self, work: Callable[[RowView], Any]) -> Any:
        return self.run(self.store.read(work))

    def put(self, *rows: object) -> None:
        self.do(lambda tx: [tx.put(row) for row in rows])


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.real)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with asyncio.Runner() as runner:  # the event loop's wake-up channel is a socket pair
        if request.param == "memory":
            yield Bench(MemoryRowStore(), runner.run)
            return
        store: SqliteRows | PostgresRows
        if request.param == "sqlite":
            store = new_sqlite(tmp_path / "mail.db")
        else:
            store = open_postgres(request.getfixturevalue("postgres").reused_database("relay"))
        yield Bench(store, runner.run)
        store.close()


@pytest.mark.slow
@pytest.mark.parametrize("row", EVERY_KIND, ids=lambda row: type(row).__name__)
def test_row_is_read_back_unchanged(bench: Bench, row: object) -> None:
    kind: type = type(row)
    key = tuple(getattr(row, name) for name in KEY_FIELDS[kind])
    assert bench.see(lambda view: view.get(kind, *key)) is None
    bench.put(row, row)
    assert bench.see(lambda view: view.get(kind, *key)) == row
    assert bench.see(lambda view: view.find(kind)) == [row]
    bench.do(lambda tx: tx.drop(kind, *key))
    assert bench.see(lambda view: view.count(kind)) == 0
    bench.do(lambda tx: tx.drop(kind, *key))


def test_every_kind_of_row_is_tested() -> None:
    assert {type(row) for row in EVERY_KIND} == set(KEY_FIELDS)


def test_error_undoes_all_changes_of_its_work(bench: Bench) -> None:
    bench.put(LETTER)

    def refuse(tx: RowTransaction) -> None:
        tx.put(replace(LETTER, sealed=b"other"))
        tx.put(StoredKeyBundle(BOX, b"card"))
        tx.drop(StoredLetter, ENVELOPE)
        raise IdInUse

    with pytest.raises(IdInUse):
        bench.do(refuse)
    assert bench.see(lambda view: (view.find(StoredLetter), view.count(StoredKeyBundle))) == (
        [LETTER],
        0,
    )


def test_work_sees_its_own_changes(bench: Bench) -> None:
    def work(tx: RowTransaction) -> tuple[object, object]:
        tx.put(LETTER)
        before = tx.get(StoredLetter, ENVELOPE)
        tx.drop(StoredLetter, ENVELOPE)
        return before, tx.get(StoredLetter, ENVELOPE)

    assert bench.do(work) == (LETTER, None)


def test_letters_are_ordered_by_sequence_without_expired_ones(bench: Bench) -> None:
    letters = [
        StoredLetter(EnvelopeId(bytes([255 - n]) * 16), BOX, n, b"x", NOON + timedelta(days=n))
        for n in range(1, 6)
    ]
    elsewhere = replace(LETTER, mailbox=MailboxId(b"N" * 16))
    bench.put(elsewhere, *reversed(letters))
    found = bench.see(lambda view: view.find_letters(BOX, 2, NOON + timedelta(days=3), 2, 99))
    assert found == letters[3:5]
    assert bench.see(lambda view: view.find_letters(BOX, 0, NOON, 2, 99)) == letters[:2]


@pytest.mark.parametrize(("full_bytes", "count"), [(1, 1), (100, 1), (101, 2), (300, 3), (999, 5)])
def test_letters_end_with_the_one_that_fills_the_page(
    bench: Bench, full_bytes: int, count: int
) -> None:
    """The page is read alone, prefetched, and in a transaction."""
    letters = [
        StoredLetter(EnvelopeId(bytes([n]) * 16), BOX, n, bytes(100), NOON) for n in range(1, 6)
    ]
    bench.put(*letters)

    def page(view: RowView) -> list[StoredLetter]:
        return view.find_letters(BOX, 0, NOON - timedelta(hours=1), 9, full_bytes)

    assert bench.see(page) == letters[:count]
    assert bench.run(bench.store.read(page, page)) == letters[:count]
    assert bench.do(page) == letters[:count]


def test_due_rows_are_found_longest_due_first(bench: Bench) -> None:
    rows = [OrphanBlob(str(n), NOON + timedelta(hours=(n * 7) % 5)) for n in range(5)]
    never = StoredToken(BOX, b"lock", None, 0, 0, NOON, None)
    bench.put(never, *rows)
    found = bench.see(lambda view: view.find_due(OrphanBlob, NOON + timedelta(hours=3), 3))
    assert found == sorted(rows, key=lambda row: row.due_at)[:3]
    assert bench.see(lambda view: view.find_due(StoredToken, NOON + timedelta(days=999), 9)) == []


def test_sums_distinguish_rows_with_and_without_an_envelope(bench: Bench) -> None:
    blob = StoredBlob(BlobId(b"1" * 16), "one", BOX, 5, b"sha", b"f", b"w", None, NOON)
    named = replace(blob, blob=BlobId(b"2" * 16), size=2**40, envelope=ENVELOPE)
    elsewhere = replace(blob, blob=BlobId(b"3" * 16), mailbox=MailboxId(b"N" * 16))

    def count_and_size(**fields: object) -> tuple[int, int]:
        found: tuple[int, int] = bench.see(
            lambda view: view.count_and_sum(StoredBlob, "size", **fields)
        )
        return found

    assert count_and_size(mailbox=BOX) == (0, 0)
    bench.put(blob, named, elsewhere)
    assert count_and_size(mailbox=BOX) == (2, 2**40 + 5)
    assert count_and_size(mailbox=BOX, envelope=None) == (1, 5)
    assert count_and_size(mailbox=BOX, envelope=ENVELOPE) == (1, 2**40)
    assert count_and_size() == (3, 2**40 + 10)


def test_concurrent_work_is_serializable(bench: Bench) -> None:
    """300 tasks read and write a counter; every third is refused."""
    bench.put(StoredMailbox(BOX, b"lock", 0))

    def count(tx: RowTransaction, *, refused: bool) -> None:
        stored = tx.get(StoredMailbox, BOX)
        assert stored is not None
        tx.put(replace(stored, last_sequence=stored.last_sequence + 1))
        if refused:
            raise IdInUse

    async def run_all() -> list[object]:
        return await asyncio.gather(
            *(
                bench.store.transact(lambda tx, refused=n % 3 == 0: count(tx, refused=refused))
                for n in range(300)
            ),
            return_exceptions=True,
        )

    outcomes = bench.run(run_all())
    assert sum(isinstance(outcome, IdInUse) for outcome in outcomes) == 100
    stored = bench.see(lambda view: view.get(StoredMailbox, BOX))
    assert stored.last_sequence == 200


def test_failed_write_fails_alone_in_its_group(bench: Bench) -> None:
    """The bad value is refused only when the group is written; its other rows are stored."""
    if isinstance(bench.store, MemoryRowStore):
        pytest.skip("this store writes nothing")
    boxes = [MailboxId(bytes([n]) * 16) for n in range(20)]

    async def run_all() -> list[object]:
        rows = [StoredMailbox(box, b"lock", 2**70 if box == boxes[7] else 7) for box in boxes]
        return await asyncio.gather(
            *(bench.store.transact(lambda tx, row=row: tx.put(row)) for row in rows),
            return_exceptions=True,
        )

    outcomes = bench.run(run_all())
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [
        box == boxes[7] for box in boxes
    ]
    kept = [bench.see(lambda view, box=box: view.get(StoredMailbox, box)) for box in boxes]
    assert [stored is None for stored in kept] == [box == boxes[7] for box in boxes]


def test_error_in_a_prefetch_hint_fails_only_its_own_work(bench: Bench) -> None:
    if isinstance(bench.store, MemoryRowStore):
        pytest.skip("this store does not prefetch")

    def faulty(_: RowView) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bench.run(bench.store.transact(lambda tx: tx.put(LETTER), faulty))
    with contextlib.suppress(ZeroDivisionError):  # a store need not prefetch for a read
        bench.run(bench.store.read(lambda view: view.count(StoredLetter), faulty))
    assert bench.see(lambda view: view.count(StoredLetter)) == 0
    bench.put(LETTER)
    assert bench.see(lambda view: view.count(StoredLetter)) == 1


def test_read_sees_everything_acknowledged_before(bench: Bench) -> None:
    async def write_then_read(n: int) -> bool:
        await bench.store.transact(lambda tx: tx.put(StoredKeyBundle(BOX, b"%d" % n)))
        seen = await bench.store.read(lambda view: view.get(StoredKeyBundle, BOX))
        return seen == StoredKeyBundle(BOX, b"%d" % n)

    for n in range(20):
        assert bench.run(write_then_read(n))


# --- databases against memory -------------------------------------------------------------------

any_of = st.sampled_from
ids = any_of([bytes([n]) * 16 for n in (0, 1, 127, 255)])
times = st.integers(0, 6).map(lambda n: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n))
optional = lambda of: st.none() | of  # noqa: E731
rows = st.one_of(
    st.builds(StoredMailbox, ids, ids, st.integers(0, 2**53)),
    st.builds(StoredLetter, ids, ids, st.integers(0, 9), st.binary(max_size=9000), times),
    st.builds(StoredShare, ids, st.binary(max_size=40).map(Secret), optional(st.integers(1, 9))),
    st.builds(StoredAttempt, ids, ids, st.booleans()),
    st.builds(OrphanBlob, any_of(["a", "b", "é", "Z"]), times),
    st.builds(
        StoredToken,
        ids,
        ids,
        optional(st.integers(1, 9)),
        any_of([0]),
        any_of([0]),
        times,
        optional(times),
    ),
    st.builds(
        StoredBlob,
        ids,
        any_of(["n", "m"]),
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
    """Raised by a transaction that is to be rolled back."""


change_lists = st.lists(st.tuples(st.booleans(), rows), max_size=6)


class AgainstMemory(RuleBasedStateMachine):
    """Runs the same operations on a database and on a store in memory, and compares them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.memory = MemoryRowStore()
        self.runner = asyncio.Runner()
        self.store = self.opened()

    def opened(self) -> SqliteRows | PostgresRows:
        return new_sqlite(Path(self.folder.name) / "mail.db")

    def compare(self, work: Callable[[RowTransaction], Any], prefetch: Any = None) -> None:
        found = [self.outcome(store, work, prefetch) for store in (self.store, self.memory)]
        assert found[0] == found[1]

    def outcome(self, store: RowStore, work: Callable[[RowTransaction], Any], prefetch: Any) -> Any:
        try:
            return self.runner.run(store.transact(work, prefetch))
        except _Undo:
            return "undone"

    @rule(
        works=st.lists(st.tuples(change_lists, st.booleans()), min_size=1, max_size=5),
        envelope_id=ids,
        with_prefetch=st.booleans(),
    )
    def group(
        self, works: list[tuple[Any, bool]], envelope_id: bytes, *, with_prefetch: bool
    ) -> None:
        """Run several transactions concurrently; each reads before and after its changes."""

        def see(view: RowView) -> list[object]:
            return [
                view.count(StoredAttempt, envelope=envelope_id, finished=True),
                view.find(StoredBlob, mailbox=envelope_id),
                view.count(StoredLetter, mailbox=envelope_id),
                view.get(StoredShare, envelope_id),
                view.count_and_sum(StoredBlob, "size", mailbox=envelope_id),
            ]

        def work_of(changes: Any, *, undone: bool) -> Callable[[RowTransaction], Any]:
            def work(tx: RowTransaction) -> list[object]:
                before = see(tx)
                _apply(tx, changes)
                if undone:
                    raise _Undo
                return [*before, *see(tx)]

            return work

        async def run_all(store: RowStore) -> list[Any]:
            jobs = [work_of(changes, undone=undone) for changes, undone in works]
            prefetch = see if with_prefetch else None
            return await asyncio.gather(
                *(store.transact(job, prefetch) for job in jobs), return_exceptions=True
            )

        found = [self.runner.run(run_all(store)) for store in (self.store, self.memory)]
        for one, other in zip(*found, strict=True):
            assert one == other or (isinstance(one, _Undo) and isinstance(other, _Undo))

    @rule(changes=change_lists, undone=st.booleans())
    def change(self, changes: list[tuple[bool, Any]], *, undone: bool) -> None:
        def work(tx: RowTransaction) -> None:
            _apply(tx, changes)
            if undone:
                raise _Undo

        self.compare(work)

    @rule(
        kind=any_of([StoredBlob, StoredEnvelope, StoredToken, OrphanBlob]),
        at=times,
        limit=st.integers(1, 4),
    )
    def find_due(self, kind: type, at: datetime, limit: int) -> None:
        self.compare(lambda tx: tx.find_due(kind, at, limit))

    @rule(mailbox=ids, after=st.integers(0, 9), at=times, limit=st.integers(1, 3))
    def find_letters(self, mailbox: bytes, after: int, at: datetime, limit: int) -> None:
        self.compare(
            lambda tx: sorted(
                (one.sequence, one.envelope)
                for one in tx.find_letters(MailboxId(mailbox), after, at, 99, 999)
            )
        )
        self.compare(lambda tx: len(tx.find_letters(MailboxId(mailbox), after, at, limit, 999)))

    @rule(envelope=ids, finished=st.booleans(), limit=optional(st.integers(1, 2)))
    def find(self, envelope: bytes, limit: int | None, *, finished: bool) -> None:
        self.compare(lambda tx: tx.find(StoredBlob, limit=limit, envelope=envelope))
        self.compare(lambda tx: tx.count(StoredAttempt, envelope=envelope, finished=finished))

    @rule(mailbox=ids, envelope=optional(ids))
    def weigh(self, mailbox: bytes, envelope: bytes | None) -> None:
        self.compare(
            lambda tx: tx.count_and_sum(StoredBlob, "size", mailbox=mailbox, envelope=envelope)
        )

    @rule()
    def scrub(self) -> None:
        self.runner.run(self.store.overwrite_deleted())

    @invariant()
    def agree(self) -> None:
        self.compare(lambda tx: [tx.find(kind) for kind in KEY_FIELDS])

    def teardown(self) -> None:
        self.store.close()
        self.runner.close()
        self.folder.cleanup()


def _apply(tx: RowTransaction, changes: list[tuple[bool, Any]]) -> None:
    for put, row in changes:
        kind: type = type(row)
        if put:
            tx.put(row)
        else:
            tx.drop(kind, *(getattr(row, name) for name in KEY_FIELDS[kind]))


def _run_machine(machine: type[AgainstMemory], examples: int) -> None:
    many = settings(
        max_examples=examples,
        stateful_step_count=15,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(machine, settings=many)  # type: ignore[no-untyped-call]


@pytest.mark.slow
def test_sqlite_agrees_with_the_in_memory_model() -> None:
    _run_machine(AgainstMemory, size(10, 25))


@pytest.mark.real
def test_postgres_says_what_memory_says(postgres: Cluster) -> None:
    class PostgresAgainstMemory(AgainstMemory):
        def opened(self) -> PostgresRows:
            return open_postgres(postgres.reused_database("relay"))

    _run_machine(PostgresAgainstMemory, 3)
