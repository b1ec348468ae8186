"""Delete expired data: rows first, then the bytes of blobs that have no row (docs/spec/relay.md
section 8).
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from entrenous.base.errors import EntrenousError
from entrenous.base.identifiers import EnvelopeId
from entrenous.base.limits import GONE_DAYS, TOMBSTONE_DAYS
from entrenous.carry.envelope_states import Event, step
from entrenous.carry.relay import (
    Relay,
    RowTransaction,
    note_sweep,
    now,
    refuse_clock_ahead,
    refuse_mark_ahead,
    wait_allowed,
)
from entrenous.carry.relay_rows import (
    KEY_FIELDS,
    GoneMailbox,
    HeldAttempt,
    HeldBlob,
    HeldEnvelope,
    HeldGroup,
    HeldKey,
    HeldLetter,
    HeldShare,
    HeldToken,
    HeldUpload,
    LastingKeys,
    Leftover,
    SpentKey,
)
from entrenous.wire.relay_nouns import EnvelopeState

_TOMBSTONE: Final = timedelta(days=TOMBSTONE_DAYS)
_FEW: Final = 50  # envelopes with everything that belongs to them
_MANY: Final = 500  # rows
_BATCH: Final = 100  # rows in one transaction, so that posting never waits long behind a sweep
#: ``due_at`` of a deleted mailbox that is not empty yet.
EMPTYING: Final = datetime(9999, 12, 31, tzinfo=UTC)


async def expire_due(relay: Relay) -> None:
    """Delete every row that is due, then overwrite what is left of deleted rows.

    It does not wait for blobs: an unreachable bucket must not delay the deletion of letters. If
    some rows cannot be deleted, the others are overwritten all the same.

    Raises:
        DiskFailed, DiskFull, DatabaseAway: the next sweep deletes the rest.
        RelayClockAhead: nothing was expired; only rows that somebody had deleted were removed.
    """
    present = now(relay)  # read once: the clock may be set meanwhile
    try:
        while await relay.mail.together(lambda tx: _empty_any_mailbox(tx, present)):
            pass  # the relay crashed before it had emptied that mailbox
        refuse_mark_ahead(await relay.mail.together(lambda tx: note_sweep(tx, present)), present)
        while await relay.mail.together(lambda tx: _sweep(tx, present)):
            pass
    except Exception:  # a cancellation is none: a stopping relay does not wait for this
        await relay.mail.scrub()
        raise
    await relay.mail.scrub()


async def expire_envelope(envelope: EnvelopeId, relay: Relay) -> None:
    """Delete one envelope's content if it is due; called when somebody asks for the envelope.

    Raises:
        RelayClockAhead: the clock may be wrong, so it is unknown whether the envelope is due.
    """

    def work(tx: RowTransaction) -> None:
        held = tx.get(HeldEnvelope, envelope)
        if held is not None:
            expire_if_due(tx, held, now(relay))

    _, left = await relay.mail.together(with_leftovers(work))
    await remove_soon(left, relay)


def expire_if_due(tx: RowTransaction, held: HeldEnvelope, present: datetime) -> HeldEnvelope:
    """Return the envelope in its present state, after expiring it if it is due.

    Raises:
        RelayClockAhead: the clock may be wrong, so it is unknown whether the envelope is due.
    """
    if not _is_over(held, present):
        return held
    refuse_clock_ahead(tx, present)
    return close(tx, held, Event.EXPIRE, present)


def _is_over(held: HeldEnvelope, present: datetime) -> bool:
    return held.closed_at is None and present >= held.expires_at


def close(tx: RowTransaction, held: HeldEnvelope, event: Event, present: datetime) -> HeldEnvelope:
    """Delete an envelope's content after ``event``, and leave a tombstone."""
    ended = replace(held, state=step(held.state, event, held.expires_at))
    return bury(tx, ended, present)


def use_up(tx: RowTransaction, held: HeldEnvelope, present: datetime) -> None:
    """Delete a share that may no longer be opened.

    An unfetched letter stays, so that the device can tell its user.
    """
    if held.state is EnvelopeState.WAITING and tx.get(HeldLetter, held.envelope) is not None:
        _drop_content(tx, held, present)
    else:
        close(tx, held, Event.USE_UP, present)


def bury(tx: RowTransaction, held: HeldEnvelope, present: datetime) -> HeldEnvelope:
    """Delete what is left of an envelope; the tombstone's days count from the first call."""
    tx.drop(HeldLetter, held.envelope)
    _drop_content(tx, held, present)
    closed_at = held.closed_at or present
    buried = replace(held, closed_at=closed_at, due_at=closed_at + _TOMBSTONE)
    tx.put(buried)
    return buried


def _drop_content(tx: RowTransaction, held: HeldEnvelope, present: datetime) -> None:
    tx.drop(HeldShare, held.envelope)
    for attempt in tx.find(HeldAttempt, envelope=held.envelope):
        tx.drop(HeldAttempt, held.envelope, attempt.attempt)
    for blob in tx.find(HeldBlob, envelope=held.envelope):
        forget_blob(tx, blob, present)


def forget_blob(tx: RowTransaction, blob: HeldBlob, present: datetime) -> None:
    """Delete a blob's row, and schedule its bytes for deletion at once."""
    tx.drop(HeldBlob, blob.blob)
    tx.put(Leftover(blob.name, present))


def forget_upload(tx: RowTransaction, upload: HeldUpload, present: datetime) -> None:
    """Delete an incomplete blob's row, and schedule its bytes for deletion at once."""
    tx.drop(HeldUpload, upload.blob)
    tx.put(Leftover(upload.name, present))


def empty_batch(tx: RowTransaction, gone: GoneMailbox, present: datetime) -> bool:
    """Delete a batch of a deleted mailbox's contents, openable content first; return False if none
    is left.

    Batches keep one large deletion from blocking the relay.
    """
    if gone.due_at != EMPTYING:
        return False
    for kind, limit, end in _WITH_MAILBOX:
        if rows := tx.find(kind, limit, mailbox=gone.mailbox):
            for row in rows:
                end(tx, row, present)
            return True
    tx.put(replace(gone, due_at=present + timedelta(days=GONE_DAYS)))
    return False


def _empty_any_mailbox(tx: RowTransaction, present: datetime) -> bool:
    """Delete a batch of any deleted mailbox's contents; return False if nothing is left."""
    for gone in tx.find(GoneMailbox, 1, due_at=EMPTYING):
        empty_batch(tx, gone, present)
        return True
    return False


def _revoke(tx: RowTransaction, row: HeldShare | HeldLetter, present: datetime) -> None:
    held = tx.get(HeldEnvelope, row.envelope)
    if held is not None:
        close(tx, held, Event.REVOKE, present)
    tx.drop(type(row), row.envelope)


def _revoke_blob(tx: RowTransaction, blob: HeldBlob, present: datetime) -> None:
    held = tx.get(HeldEnvelope, blob.envelope) if blob.envelope else None
    if held is not None:
        close(tx, held, Event.REVOKE, present)
    if tx.get(HeldBlob, blob.blob) is not None:
        forget_blob(tx, blob, present)


def drop_row(tx: RowTransaction, row: Any, _: datetime | None = None) -> None:
    tx.drop(type(row), *(getattr(row, name) for name in KEY_FIELDS[type(row)]))


def _end_envelope(tx: RowTransaction, held: HeldEnvelope, present: datetime) -> None:
    if _is_over(held, present):
        close(tx, held, Event.EXPIRE, present)
    elif held.closed_at is not None:
        tx.drop(HeldEnvelope, held.envelope)


_End = Callable[[RowTransaction, Any, datetime], None]
#: How a row of each kind ends when it is due.
_WHEN_DUE: Final[Mapping[type[Any], _End]] = {
    HeldEnvelope: _end_envelope,
    HeldBlob: forget_blob,
    HeldToken: drop_row,
    SpentKey: drop_row,
    GoneMailbox: drop_row,
    HeldGroup: drop_row,
    HeldUpload: forget_upload,
}
#: How rows end with their mailbox, and how many in one transaction. Uploads precede the blobs that
#: they become.
_WITH_MAILBOX: Final[tuple[tuple[type[Any], int, _End], ...]] = (
    (HeldShare, _FEW, _revoke),
    (HeldLetter, _FEW, _revoke),
    (HeldUpload, _MANY, forget_upload),
    (HeldBlob, _FEW, _revoke_blob),
    (HeldToken, _MANY, drop_row),
    (HeldKey, _MANY, drop_row),
    (SpentKey, _MANY, drop_row),
    (LastingKeys, _MANY, drop_row),
)


def _sweep(tx: RowTransaction, present: datetime) -> int:
    """Expire a batch of each kind of row; return the number of rows."""
    due = [(row, end) for kind, end in _WHEN_DUE.items() for row in tx.due(kind, present, _BATCH)]
    for row, end in due:
        end(tx, row, present)
    return len(due)


Answer = TypeVar("Answer")
_AGAIN: Final = timedelta(minutes=1)  # by the next sweep
_FAILED_MAX: Final = 3  # then the store is unreachable; each failure may have taken minutes
_SOON_S: Final = 2.0  # for all leftovers of one request


def with_leftovers(
    work: Callable[[RowTransaction], Answer],
) -> Callable[[RowTransaction], tuple[Answer, list[str]]]:
    """Wrap ``work`` to return the names of orphaned blobs too, for :func:`remove_soon`."""

    def wrapped(tx: RowTransaction) -> tuple[Answer, list[str]]:
        collector = _LeftoverCollector(tx)
        return work(collector), collector.names

    return wrapped


async def remove_soon(names: Iterable[str], relay: Relay) -> None:
    """Delete orphaned blob bytes after a request, for at most two seconds."""
    gone = list[str]()
    with suppress(EntrenousError, TimeoutError):
        async with wait_allowed(_SOON_S):
            for name in names:
                await relay.blobs.drop(name)
                gone.append(name)
    if gone:
        with suppress(EntrenousError):
            await relay.mail.together(partial(_forget, names=gone))


async def remove_orphan_blobs(relay: Relay) -> None:
    """Delete orphaned bytes that are due; a failed one is due again a minute later.

    Raises:
        DiskFailed, DiskFull: the first failure; the other names were tried too, up to a third
            failure.
    """
    present, failed = now(relay), list[EntrenousError]()
    while len(failed) < _FAILED_MAX and (
        names := await relay.mail.look(lambda view: view.due(Leftover, present, _BATCH))
    ):
        gone, stuck = list[str](), list[Leftover]()
        for leftover in names:
            try:
                await relay.blobs.drop(leftover.name)
            except EntrenousError as why:
                failed.append(why)
                stuck.append(leftover)
                if len(failed) == _FAILED_MAX:
                    break
            else:
                gone.append(leftover.name)
        await relay.mail.together(partial(_note, gone=gone, stuck=stuck, again=present + _AGAIN))
    if failed:
        raise failed[0]


class _LeftoverCollector:
    """A RowTransaction that records which blobs become leftovers."""

    def __init__(self, tx: RowTransaction) -> None:
        self.names = list[str]()
        self._put, self.drop = tx.put, tx.drop
        self.get, self.find, self.count = tx.get, tx.find, tx.count
        self.weigh, self.letters, self.due = tx.weigh, tx.letters, tx.due

    def put(self, row: object) -> None:
        if isinstance(row, Leftover):
            self.names.append(row.name)
        self._put(row)


def _forget(tx: RowTransaction, names: list[str]) -> None:
    for name in names:
        tx.drop(Leftover, name)


def _note(tx: RowTransaction, gone: list[str], stuck: list[Leftover], again: datetime) -> None:
    _forget(tx, gone)
    for leftover in stuck:
        if tx.get(Leftover, leftover.name) is not None:  # nobody else removed it meanwhile
            tx.put(replace(leftover, due_at=again))
