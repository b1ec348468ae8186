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
from entrenous.base.limits import DELETED_MAILBOX_DAYS, TOMBSTONE_DAYS
from entrenous.carry.relay import (
    Relay,
    RowTransaction,
    now,
    record_sweep,
    refuse_clock_ahead,
    refuse_clock_ahead_of,
    wait_timeout,
)
from entrenous.carry.relay_rows import (
    KEY_FIELDS,
    DeletedMailbox,
    EnvelopeEvent,
    OrphanBlob,
    ReusableKeys,
    StoredAttempt,
    StoredBlob,
    StoredEnvelope,
    StoredLetter,
    StoredOneTimeKey,
    StoredShare,
    StoredShareGroup,
    StoredToken,
    StoredUpload,
    UsedOneTimeKey,
    next_envelope_state,
)
from entrenous.wire.relay_nouns import EnvelopeState

_TOMBSTONE_PERIOD: Final = timedelta(days=TOMBSTONE_DAYS)
_ENVELOPES_PER_BATCH: Final = 50  # envelopes per transaction, each with its letter, share and blobs
_ROWS_PER_BATCH: Final = 500
# A sweep handles at most this many rows of each kind in one transaction, so that a post does not
# wait long.
_EXPIRED_ROWS_PER_BATCH: Final = 100
#: ``due_at`` of a deleted mailbox that is not empty yet.
UNEMPTIED_MAILBOX_DUE_AT: Final = datetime(9999, 12, 31, tzinfo=UTC)


async def expire_due(relay: Relay) -> None:
    """Delete every row that is due, then call :meth:`.relay.RowStore.clear_deleted_rows`.

    The bytes of blobs are deleted separately (:func:`remove_orphan_blobs`), since an unreachable
    bucket must not delay the deletion of letters. ``clear_deleted_rows`` is called even if some
    rows cannot be deleted.

    Raises:
        DiskFailed, DiskFull, DatabaseAway: the next sweep deletes the rest.
        RelayClockAhead: no data expired; only the contents of deleted mailboxes were removed.
    """
    present = now(relay)  # read only once, since the clock may be set during the sweep
    try:
        while await relay.mail.transact(lambda tx: _empty_any_deleted_mailbox_batch(tx, present)):
            pass  # each round deletes a batch that a request did not delete, e.g. after a crash
        refuse_clock_ahead_of(
            await relay.mail.transact(lambda tx: record_sweep(tx, present)), present
        )
        while await relay.mail.transact(lambda tx: _expire_batch(tx, present)):
            pass
    except Exception:  # not a cancellation: a relay that stops does not wait for the overwriting
        await relay.mail.clear_deleted_rows()
        raise
    await relay.mail.clear_deleted_rows()


async def expire_envelope_if_due(envelope: EnvelopeId, relay: Relay) -> None:
    """Delete one envelope's content if it is due; called when an opening is refused as expired.

    Raises:
        RelayClockAhead: the clock may be wrong, so it is unknown whether the envelope is due.
    """

    def expire_row(tx: RowTransaction) -> None:
        stored = tx.get(StoredEnvelope, envelope)
        if stored is not None:
            expire_if_due(tx, stored, now(relay))

    _, orphans = await relay.mail.transact(with_orphan_names(expire_row))
    await remove_request_orphans(orphans, relay)


def expire_if_due(tx: RowTransaction, stored: StoredEnvelope, present: datetime) -> StoredEnvelope:
    """Return the envelope in its present state, after expiring it if it is due.

    Raises:
        RelayClockAhead: the clock may be wrong, so it is unknown whether the envelope is due.
    """
    if not _has_expired(stored, present):
        return stored
    refuse_clock_ahead(tx, present)
    return close_envelope(tx, stored, EnvelopeEvent.EXPIRE, present)


def _has_expired(stored: StoredEnvelope, present: datetime) -> bool:
    return stored.closed_at is None and present >= stored.expires_at


def close_envelope(
    tx: RowTransaction, stored: StoredEnvelope, event: EnvelopeEvent, present: datetime
) -> StoredEnvelope:
    """Delete an envelope's content after ``event``, and leave a tombstone."""
    ended = replace(stored, state=next_envelope_state(stored.state, event, stored.expires_at))
    return reduce_to_tombstone(tx, ended, present)


def drop_used_up_share(tx: RowTransaction, stored: StoredEnvelope, present: datetime) -> None:
    """Delete a share that may no longer be released, and the blobs of its envelope.

    While the envelope is still waiting, its letter is kept, so that the device can tell its user
    that the content is gone.
    """
    if stored.state is EnvelopeState.WAITING and tx.get(StoredLetter, stored.envelope) is not None:
        _drop_content(tx, stored, present)
    else:
        close_envelope(tx, stored, EnvelopeEvent.USE_UP, present)


def reduce_to_tombstone(
    tx: RowTransaction, stored: StoredEnvelope, present: datetime
) -> StoredEnvelope:
    """Delete an envelope's letter, share and blobs, and turn its row into a tombstone.

    The tombstone still tells the sender the envelope's state. It is kept for TOMBSTONE_DAYS days
    after the first call.
    """
    tx.drop(StoredLetter, stored.envelope)
    _drop_content(tx, stored, present)
    closed_at = stored.closed_at or present
    buried = replace(stored, closed_at=closed_at, due_at=closed_at + _TOMBSTONE_PERIOD)
    tx.put(buried)
    return buried


def _drop_content(tx: RowTransaction, stored: StoredEnvelope, present: datetime) -> None:
    if stored.open_lock is not None:  # otherwise it never had a share
        tx.drop(StoredShare, stored.envelope)
        for attempt in tx.find(StoredAttempt, envelope=stored.envelope):
            tx.drop(StoredAttempt, stored.envelope, attempt.attempt)
    for blob in tx.find(StoredBlob, envelope=stored.envelope):
        delete_blob_row(tx, blob, present)


def delete_blob_row(tx: RowTransaction, blob: StoredBlob, present: datetime) -> None:
    """Delete a blob's row, and schedule its bytes for immediate deletion."""
    tx.drop(StoredBlob, blob.blob)
    tx.put(OrphanBlob(blob.name, present))


def delete_upload_row(tx: RowTransaction, upload: StoredUpload, present: datetime) -> None:
    """Delete an incomplete blob's row, and schedule its bytes for immediate deletion."""
    tx.drop(StoredUpload, upload.blob)
    tx.put(OrphanBlob(upload.name, present))


def empty_deleted_mailbox_batch(
    tx: RowTransaction, deleted_mailbox: DeletedMailbox, present: datetime
) -> bool:
    """Delete a batch of a deleted mailbox's contents, beginning with content that can still be
    opened.

    Deleting in batches keeps one large deletion from blocking the relay.

    Returns: False if there was nothing left to delete.
    """
    if deleted_mailbox.due_at != UNEMPTIED_MAILBOX_DUE_AT:
        return False
    for kind, limit, end in _HANDLERS_OF_DELETED_MAILBOX_ROWS:
        if rows := tx.find(kind, limit, mailbox=deleted_mailbox.mailbox):
            for row in rows:
                end(tx, row, present)
            return True
    tx.put(replace(deleted_mailbox, due_at=present + timedelta(days=DELETED_MAILBOX_DAYS)))
    return False


def _empty_any_deleted_mailbox_batch(tx: RowTransaction, present: datetime) -> bool:
    """Delete a batch of the contents of one deleted mailbox; return False if all are empty."""
    for gone in tx.find(DeletedMailbox, 1, due_at=UNEMPTIED_MAILBOX_DUE_AT):
        empty_deleted_mailbox_batch(tx, gone, present)
        return True
    return False


def _revoke_envelope(
    tx: RowTransaction, row: StoredShare | StoredLetter, present: datetime
) -> None:
    stored = tx.get(StoredEnvelope, row.envelope)
    if stored is not None:
        close_envelope(tx, stored, EnvelopeEvent.REVOKE, present)
    tx.drop(type(row), row.envelope)


def _revoke_blob_row(tx: RowTransaction, blob: StoredBlob, present: datetime) -> None:
    stored = tx.get(StoredEnvelope, blob.envelope) if blob.envelope else None
    if stored is not None:
        close_envelope(tx, stored, EnvelopeEvent.REVOKE, present)
    if tx.get(StoredBlob, blob.blob) is not None:
        delete_blob_row(tx, blob, present)


def drop_row(tx: RowTransaction, row: Any, _: datetime | None = None) -> None:
    tx.drop(type(row), *(getattr(row, name) for name in KEY_FIELDS[type(row)]))


def _expire_envelope_row(tx: RowTransaction, stored: StoredEnvelope, present: datetime) -> None:
    if _has_expired(stored, present):
        close_envelope(tx, stored, EnvelopeEvent.EXPIRE, present)
    elif stored.closed_at is not None:
        tx.drop(StoredEnvelope, stored.envelope)


_RowHandler = Callable[[RowTransaction, Any, datetime], None]
#: What to do with a row of each kind when it is due.
_HANDLERS_OF_DUE_ROWS: Final[Mapping[type[Any], _RowHandler]] = {
    StoredEnvelope: _expire_envelope_row,
    StoredBlob: delete_blob_row,
    StoredToken: drop_row,
    UsedOneTimeKey: drop_row,
    DeletedMailbox: drop_row,
    StoredShareGroup: drop_row,
    StoredUpload: delete_upload_row,
}
#: What to do with the rows of each kind when their mailbox is deleted, and how many of them one
#: transaction handles. Uploads come before blobs, because an upload may become a blob meanwhile.
_HANDLERS_OF_DELETED_MAILBOX_ROWS: Final[tuple[tuple[type[Any], int, _RowHandler], ...]] = (
    (StoredShare, _ENVELOPES_PER_BATCH, _revoke_envelope),
    (StoredLetter, _ENVELOPES_PER_BATCH, _revoke_envelope),
    (StoredUpload, _ROWS_PER_BATCH, delete_upload_row),
    (StoredBlob, _ENVELOPES_PER_BATCH, _revoke_blob_row),
    (StoredToken, _ROWS_PER_BATCH, drop_row),
    (StoredOneTimeKey, _ROWS_PER_BATCH, drop_row),
    (UsedOneTimeKey, _ROWS_PER_BATCH, drop_row),
    (ReusableKeys, _ROWS_PER_BATCH, drop_row),
)


def _expire_batch(tx: RowTransaction, present: datetime) -> int:
    """Expire a batch of each kind of row; return the number of rows."""
    due = [
        (row, end)
        for kind, end in _HANDLERS_OF_DUE_ROWS.items()
        for row in tx.find_due(kind, present, _EXPIRED_ROWS_PER_BATCH)
    ]
    for row, end in due:
        end(tx, row, present)
    return len(due)


AnswerT = TypeVar("AnswerT")
# A blob that could not be deleted is tried again after this time, at the next sweep.
_RETRY_BLOB_AFTER: Final = timedelta(minutes=1)
# A sweep stops after this many failures: the store is then probably unreachable, and each attempt
# may take minutes.
_BLOB_FAILURES_MAX: Final = 3
_ORPHAN_REMOVAL_S_MAX: Final = 2.0  # time for deleting all orphaned blobs of one request


def with_orphan_names(
    work: Callable[[RowTransaction], AnswerT],
) -> Callable[[RowTransaction], tuple[AnswerT, list[str]]]:
    """Wrap ``work``: the new function also returns the names of the blobs that ``work`` orphans,
    for :func:`remove_request_orphans`.
    """

    def collect_orphans(tx: RowTransaction) -> tuple[AnswerT, list[str]]:
        collector = _OrphanCollector(tx)
        return work(collector), collector.names

    return collect_orphans


async def remove_request_orphans(names: Iterable[str], relay: Relay) -> None:
    """Delete the bytes of the blobs that a request orphaned; give up after two seconds.

    Errors are ignored, since the sweeps delete what is left.
    """
    gone = list[str]()
    with suppress(EntrenousError, TimeoutError):
        async with wait_timeout(_ORPHAN_REMOVAL_S_MAX):
            for name in names:
                await relay.blobs.drop(name)
                gone.append(name)
    if gone:
        with suppress(EntrenousError):
            await relay.mail.transact(partial(_drop_orphan_rows, names=gone))


async def remove_orphan_blobs(relay: Relay) -> None:
    """Delete the bytes of orphaned blobs that are due; a blob that cannot be deleted is due again a
    minute later.

    Raises:
        DiskFailed, DiskFull: the first failure, raised after the other blobs were tried too, or
            after the third failure.
    """
    present, failed = now(relay), list[EntrenousError]()
    while len(failed) < _BLOB_FAILURES_MAX and (
        names := await relay.mail.read(
            lambda view: view.find_due(OrphanBlob, present, _EXPIRED_ROWS_PER_BATCH)
        )
    ):
        gone, stuck = list[str](), list[OrphanBlob]()
        for leftover in names:
            try:
                await relay.blobs.drop(leftover.name)
            except EntrenousError as why:
                failed.append(why)
                stuck.append(leftover)
                if len(failed) == _BLOB_FAILURES_MAX:
                    break
            else:
                gone.append(leftover.name)
        await relay.mail.transact(
            partial(
                _record_removals, removed=gone, stuck=stuck, retry_at=present + _RETRY_BLOB_AFTER
            )
        )
    if failed:
        raise failed[0]


class _OrphanCollector:
    """A RowTransaction that records which blobs become orphaned."""

    def __init__(self, tx: RowTransaction) -> None:
        self.names = list[str]()
        self._put, self.drop = tx.put, tx.drop
        self.get, self.find, self.count = tx.get, tx.find, tx.count
        self.count_and_sum = tx.count_and_sum
        self.find_letters, self.find_due = tx.find_letters, tx.find_due

    def put(self, row: object) -> None:
        if isinstance(row, OrphanBlob):
            self.names.append(row.name)
        self._put(row)


def _drop_orphan_rows(tx: RowTransaction, names: list[str]) -> None:
    for name in names:
        tx.drop(OrphanBlob, name)


def _record_removals(
    tx: RowTransaction, removed: list[str], stuck: list[OrphanBlob], retry_at: datetime
) -> None:
    _drop_orphan_rows(tx, removed)
    for leftover in stuck:
        # If another process has deleted the row in the meantime, do not store it again.
        if tx.get(OrphanBlob, leftover.name) is not None:
            tx.put(replace(leftover, due_at=retry_at))
