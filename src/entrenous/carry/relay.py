"""The interfaces that the relay's rules use: rows, blobs, wake-ups, clock, randomness, limits.

The protocols have several implementations: rows in SQLite or PostgreSQL, blobs in files or S3,
wake-ups within one process or between several. Times are whole seconds, so that stored rows reveal
as little as possible. A clock that is far ahead of the last sweep is not trusted
(docs/spec/relay.md section 8).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

from entrenous.base.environment import Clock, RandomSource
from entrenous.base.errors import RelayClockAhead
from entrenous.base.identifiers import MailboxId
from entrenous.carry.relay_rows import StoredLetter, StoredRestore, StoredSweep
from entrenous.carry.relay_settings import RelayLimits
from entrenous.serving.host_checks import ClockMark

RowT = TypeVar("RowT")
AnswerT = TypeVar("AnswerT")


class RowView(Protocol):
    """Methods that read the relay's rows (carry/relay_rows.py).

    A view is a transaction, a read-only snapshot, or an object that only records which rows a hint
    (:meth:`RowStore.transact`) reads.
    """

    def get(self, kind: type[RowT], *key: object) -> RowT | None:
        """Return the row of that kind whose key fields are ``key``, or None if there is none."""

    def find(self, kind: type[RowT], limit: int | None = None, **fields: object) -> list[RowT]:
        """Return the rows whose fields have these values, ordered by their key fields.

        With a ``limit``, at most that many rows are returned. No value may be None.
        """

    def count(self, kind: type[object], **fields: object) -> int:
        """Return the number of rows whose fields have these values."""

    def count_and_sum(self, kind: type[object], what: str, **fields: object) -> tuple[int, int]:
        """Count the rows with these fields, and sum up their field ``what``.

        A field given as None selects rows in which it is NULL.
        """

    def find_letters(
        self, mailbox: MailboxId, after: int, at: datetime, limit: int, full_bytes: int
    ) -> list[StoredLetter]:
        """Return a mailbox's letters that have a sequence above ``after`` and expire later than
        ``at``, in the order of their sequences.

        The list has at most ``limit`` letters. It also ends as soon as the sealed bytes of its
        letters add up to ``full_bytes`` or more.
        """

    def find_due(self, kind: type[RowT], at: datetime, limit: int) -> list[RowT]:
        """Return at most ``limit`` rows whose ``due_at`` is not after ``at``, earliest first."""


class RowTransaction(RowView, Protocol):
    """A transaction on the relay's rows; in simulations, these rows are in memory."""

    def put(self, row: object) -> None:
        """Store a row, or replace the one with the same key fields."""

    def drop(self, kind: type[object], *key: object) -> None:
        """Delete the row with this key, if it exists."""


class RowStore(Protocol):
    """The relay's database.

    Transactions are serializable. ``work`` is an ordinary function, not a coroutine, so a store can
    run it in the event loop or in a thread. A store may run ``work`` more than once, so ``work``
    must have no effects except on the rows, which it changes through its argument.
    """

    async def transact(
        self,
        work: Callable[[RowTransaction], AnswerT],
        hint: Callable[[RowView], object] | None = None,
    ) -> AnswerT:
        """Run ``work`` in one transaction, and return its result once the transaction is durable.

        ``hint`` makes the reads that ``work`` will probably make, so that a store can prefetch the
        rows for many transactions at once. While ``hint`` runs, reads may return placeholders, so
        it must ignore their results.

        Raises:
            DiskFull, DiskFailed, DatabaseAway: the changes were not stored, or may be lost in a
                crash.
            Exception: the error that ``work`` raised; its changes are undone.
        """

    async def read(
        self, work: Callable[[RowView], AnswerT], hint: Callable[[RowView], object] | None = None
    ) -> AnswerT:
        """Run ``work`` on a snapshot, and return the result of ``work``. The snapshot contains at
        least everything that was durable when this method was called.

        The snapshot may include commits that are not acknowledged yet. They are durable when this
        method returns, or when it raises the error of ``work``. ``hint`` is as for
        :meth:`transact`.

        Raises:
            DiskFull, DiskFailed, DatabaseAway: the rows cannot be read, or those that ``work`` read
                may be lost in a crash.
            Exception: the error that ``work`` raised.
        """

    async def clear_deleted_rows(self) -> None:
        """Remove what is left of deleted rows from the database's files, as far as possible.

        SQLite rewrites its file without deleted rows (a large file only once an hour). PostgreSQL
        only marks the space of deleted rows as free for reuse; the bytes remain until new rows are
        written there.

        Raises:
            DiskFull, DiskFailed, DatabaseAway: bytes of deleted rows may remain; a later call tries
                again.
        """


class BlobStore(Protocol):
    """Stores blobs (encrypted files), each under a random name that the caller generates."""

    async def store(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        sha256: bytes,
        start: int = 0,
        owner: bytes = b"",
    ) -> None:
        """Store a stream of bytes; when this returns, the blob is complete and durable.

        If this raises an error, the bytes that have arrived may remain as an incomplete blob.
        :meth:`partial_size` returns the length of this blob, a later ``store`` can resume at any
        ``start`` up to that length, and :meth:`drop` removes the blob. Storing a complete blob
        again is not an error.

        ``chunks`` yields the bytes from ``start`` to the end, ``sha256`` is the hash of the whole
        blob, and ``owner`` is the mailbox of the blob. A store that allows only a few uploads at
        the same time allows each owner only some of them; the owner is not stored.

        Raises:
            DamagedBlob: the whole blob has a different hash, or fewer than ``start`` bytes are
                stored.
            NoSuchBlob: the blob was dropped meanwhile.
            TooMany: another upload of the blob is under way, or there are too many uploads.
            DiskFull, DiskFailed: the disk is full, or failed.
            Exception: the error that ``chunks`` raised.
        """

    async def partial_size(self, name: str) -> int:
        """Return how many bytes of an incomplete blob are stored; 0 if there is no such blob."""

    def free_bytes(self) -> int | None:
        """Return how many more bytes the store has room for; None if unknown."""

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Return an iterator over the bytes from ``start`` up to, but not including, ``stop``.

        Raises NoSuchBlob if no complete blob has this name.
        """

    async def drop(self, name: str) -> None:
        """Delete a blob, complete or not, if it exists."""


class WakeUps(Protocol):
    """Wakes devices that wait at their mailbox; a wake-up says only that something arrived."""

    def wake(self, mailbox: MailboxId) -> None:
        """Wake everybody who waits at the mailbox."""

    def listen(
        self, mailbox: MailboxId, network: bytes = b""
    ) -> AbstractContextManager[Callable[[float], Awaitable[bool]]]:
        """Return a context in which a listener is registered for wake-ups of the mailbox.

        The context yields a function that takes a number of seconds, waits at most that long, and
        returns whether a wake-up came. The number of listeners is limited for one mailbox, for one
        ``network`` (b"" if unknown), and in total. If a new listener exceeds a limit, the oldest
        one is dropped: its function returns False at once.
        """

    def make_room(self) -> bool:
        """Drop one listener, to free its connection for other requests; return False if nobody
        listens.
        """

    def stop_waiting(self) -> None:
        """Wake all listeners, and wake new ones at once, because the relay is stopping."""


@dataclass(frozen=True, slots=True)
class Relay:
    """Everything that the relay's rules may use; without ``wake_ups`` nobody is woken."""

    mail: RowStore
    blobs: BlobStore
    clock: Clock
    random_source: RandomSource
    limits: RelayLimits = field(default_factory=RelayLimits)
    wake_ups: WakeUps | None = None


def now(relay: Relay) -> datetime:
    """Return the current time in UTC, in whole seconds."""
    return relay.clock.now().replace(microsecond=0)


def wait_timeout(seconds: float) -> AbstractAsyncContextManager[object]:
    """Return a context that raises TimeoutError if its block takes more than that many seconds.

    Without an event loop, as in simulations, there is no limit.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return nullcontext()
    return asyncio.timeout(seconds)


SWEEP_INTERVAL_S: Final = 60  # seconds between two sweeps
_SWEEP_INTERVAL: Final = timedelta(seconds=SWEEP_INTERVAL_S)
_ONLY_ROW_KEY: Final = 1  # the key of a table's only row


def stored_clock_mark(view: RowView) -> ClockMark | None:
    """Return the stored clock mark (see ClockMark); None if no relay has swept the database yet."""
    stored = view.get(StoredSweep, _ONLY_ROW_KEY)
    return ClockMark(stored.swept_at, stored.odd_at, stored.odd_s) if stored else None


def time_of_last_restore(view: RowView) -> datetime | None:
    """Return when this relay was last restored from a backup; None if it never was."""
    stored = view.get(StoredRestore, _ONLY_ROW_KEY)
    return stored.restored_at if stored else None


def record_sweep(tx: RowTransaction, present: datetime) -> ClockMark:
    """Record the clock's reading at this sweep, and return the updated clock mark."""
    before = stored_clock_mark(tx)
    mark = before.after_check(present, _SWEEP_INTERVAL) if before else ClockMark(present)
    if mark != before:
        tx.put(StoredSweep(_ONLY_ROW_KEY, mark.at, mark.odd_at, mark.odd_s))
    return mark


def refuse_clock_ahead(view: RowView, present: datetime) -> None:
    """Raise RelayClockAhead while the clock may be wrong, so that no data expires too early.

    Raises:
        RelayClockAhead: the clock is too far ahead of the last sweep. It is trusted again after
            sweeps have run for an hour without another jump.
    """
    mark = stored_clock_mark(view)
    if mark is not None:
        refuse_clock_ahead_of(mark, present)


def refuse_clock_ahead_of(mark: ClockMark, present: datetime) -> None:
    """Raise RelayClockAhead if ``present`` is too far ahead of the time in ``mark``."""
    if mark.is_clock_ahead(present):
        raise RelayClockAhead(days=(present - mark.at).days)
