"""The relay that the rules are given: rows, blobs, wake-ups, clock, randomness and limits.

The three protocols stay: rows are in SQLite or PostgreSQL, blobs in files or S3, wake-ups in one
process or many. Times
are whole seconds, so that stored rows say no more than they must; a clock far ahead of the last
clean-up is not believed
(docs/spec/relay.md section 8).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

from entrenous.base.environment import Clock, Dice
from entrenous.base.errors import RelayClockAhead
from entrenous.base.identifiers import MailboxId
from entrenous.carry.relay_rows import HeldLetter, HeldSweep
from entrenous.carry.relay_settings import Limits
from entrenous.serving.host_checks import ClockMark

Row = TypeVar("Row")
Answer = TypeVar("Answer")


class RowView(Protocol):
    """The relay's rows (carry/relay_rows.py) as one moment sees them."""

    def get(self, kind: type[Row], *key: object) -> Row | None:
        """The row of that kind whose identifying fields are ``key``, or None."""
        ...

    def find(self, kind: type[Row], limit: int | None = None, **fields: object) -> list[Row]:
        """Rows whose named fields equal these (never None), ordered by their identifying fields."""
        ...

    def count(self, kind: type[object], **fields: object) -> int:
        """How many rows have named fields that equal these."""
        ...

    def weigh(self, kind: type[object], what: str, **fields: object) -> tuple[int, int]:
        """How many rows have fields equal to these (None: lack them), and their sum of ``what``."""
        ...

    def letters(
        self, mailbox: MailboxId, after: int, at: datetime, limit: int, full_bytes: int
    ) -> list[HeldLetter]:
        """Letters of a mailbox with a sequence above ``after`` that expire later than ``at``.

        By their sequence, at most ``limit``, and none behind the one with which their sealed bytes
        come to ``full_bytes``.
        """
        ...

    def due(self, kind: type[Row], at: datetime, limit: int) -> list[Row]:
        """Rows whose ``due_at`` has come by ``at``, the longest due first."""
        ...


class RowTransaction(RowView, Protocol):
    """The relay's rows inside one transaction."""

    def put(self, row: object) -> None:
        """Store a row, or replace the one with the same identifying fields."""
        ...

    def drop(self, kind: type[object], *key: object) -> None:
        """Forget a row; it need not exist."""
        ...


class RowStore(Protocol):
    """The relay's database.

    Work is a plain function, so that a rule is written once and runs on every store. It may run
    more than once, and its reads and writes are serializable against all other work: it decides
    from what it is given only, and keeps nothing outside.
    """

    async def together(
        self,
        work: Callable[[RowTransaction], Answer],
        ahead: Callable[[RowView], object] | None = None,
    ) -> Answer:
        """Run ``work`` in one transaction, which is durable when this returns.

        ``ahead`` asks for what ``work`` will ask for, as far as that is known without an answer, so
        that a store can read it for many at once. What it is told means nothing.

        Raises:
            DiskFull, DiskFailed: nothing was stored.
            Exception: what ``work`` raised; then all it did is undone.
        """
        ...

    async def look(
        self, work: Callable[[RowView], Answer], ahead: Callable[[RowView], object] | None = None
    ) -> Answer:
        """Run ``work`` on one moment, in which there is at least all that was durable before.

        There may be what nobody was told of yet; all that ``work`` saw is durable when this
        returns, or raises what ``work`` raised.

        ``ahead`` is as for :meth:`together`.

        Raises:
            DiskFull, DiskFailed: what it saw may be gone after a crash.
            Exception: what ``work`` raised.
        """
        ...

    async def scrub(self) -> None:
        """See to it that no byte of a dropped row can be read from the medium any more."""
        ...


class BlobStore(Protocol):
    """Large sealed things under names that the relay chooses anew for each upload."""

    async def keep(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        sha256: bytes,
        start: int = 0,
        owner: bytes = b"",
    ) -> None:
        """Store a stream; it is there, whole and durable, when this returns, and not if it raises.

        What came until then stays as an unfinished one: :meth:`size` tells how much of it there is,
        a later ``keep`` goes on at any ``start`` up to that, :meth:`drop` removes it. To keep what
        is there already is no error.

        Args:
            name: what it is called.
            chunks: its bytes from ``start`` to the end.
            sha256: of all of it.
            start: how many bytes of an unfinished one of this name are left as they are.
            owner: into whose mailbox it goes; a store that takes few at the same time takes fewer
                of one owner, and forgets whose they were.

        Raises:
            DamagedBlob: the whole has another hash, or its first ``start`` bytes are not there.
            NoSuchBlob: it was dropped meanwhile.
            TooMany: another upload of it is under way, or as many as there may be.
            DiskFull, DiskFailed: the disk refused.
            Exception: what ``chunks`` raised.
        """
        ...

    async def size(self, name: str) -> int:
        """How many bytes of an unfinished one are there; 0 if there is none."""
        ...

    def room(self) -> int | None:
        """How many more bytes fit; None where nobody can tell."""
        ...

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to ``stop``; raises NoSuchBlob before the first of them."""
        ...

    async def drop(self, name: str) -> None:
        """Remove it, and what an interrupted upload left under its name; it need not exist."""
        ...


class WakeUps(Protocol):
    """Wakes devices that wait for their mailbox; a ring says that something came, and no more."""

    def ring(self, mailbox: MailboxId) -> None:
        """Wake whoever listens there now; nobody need."""
        ...

    def listen(
        self, mailbox: MailboxId, network: bytes = b""
    ) -> AbstractContextManager[Callable[[float], Awaitable[bool]]]:
        """Hear every ring from now on.

        What it gives waits for one: at most that many seconds, and tells whether there was one.
        Where too many listen at the mailbox, from the ``network`` (b"" where it is not known) or in
        all, the oldest yields: it is told at once that there was none.
        """
        ...

    def make_room(self) -> bool:
        """Have one yield who listens, since a place is needed; False if nobody listens."""
        ...

    def hush(self) -> None:
        """Wake everybody, and from now on let nobody wait: the relay stops."""
        ...


@dataclass(frozen=True, slots=True)
class Relay:
    """All that carrying a message may touch; without a bell nobody is woken, and all else works."""

    mail: RowStore
    blobs: BlobStore
    clock: Clock
    dice: Dice
    limits: Limits = field(default_factory=Limits)
    bell: WakeUps | None = None


def now(relay: Relay) -> datetime:
    """The present second, in UTC."""
    return relay.clock.now().replace(microsecond=0)


def wait_allowed(seconds: float) -> AbstractAsyncContextManager[object]:
    """So long; without a loop, as in the village, there is no time that could pass."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return nullcontext()
    return asyncio.timeout(seconds)


SWEEP_S: Final = 60  # how often what is due is ended
_EVERY: Final = timedelta(seconds=SWEEP_S)
_ONLY: Final = 1  # the number of the only row


def last_sweep(view: RowView) -> ClockMark | None:
    """Until when all was ended that was due; None if nothing was yet."""
    held = view.get(HeldSweep, _ONLY)
    return ClockMark(held.swept_at, held.odd_at, held.odd_s) if held else None


def note_sweep(desk: RowTransaction, present: datetime) -> ClockMark:
    """Where the clock stands to the last sweep, once this one knows what it says."""
    before = last_sweep(desk)
    mark = before.seen(present, _EVERY) if before else ClockMark(present)
    if mark != before:
        desk.put(HeldSweep(_ONLY, mark.at, mark.odd_at, mark.odd_s))
    return mark


def refuse_ahead(view: RowView, present: datetime) -> None:
    """To be asked before somebody is told that a time is over.

    Raises:
        RelayClockAhead: nobody knows; it may be over an hour later.
    """
    mark = last_sweep(view)
    if mark is not None:
        refuse_far(mark, present)


def refuse_far(mark: ClockMark, present: datetime) -> None:
    """Return if what is due may be ended; raises RelayClockAhead."""
    if mark.is_ahead(present):
        raise RelayClockAhead(days=(present - mark.at).days)
