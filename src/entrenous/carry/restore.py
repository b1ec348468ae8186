"""Delete rows that a restored relay can no longer trust (docs/spec/relay.md section 12)."""

from datetime import datetime
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from entrenous.carry.expire import (
    close_envelope,
    delete_blob_row,
    delete_upload_row,
    drop_row,
    reduce_to_tombstone,
    remove_orphan_blobs,
)
from entrenous.carry.relay import Relay, RowTransaction, now
from entrenous.carry.relay_rows import (
    EnvelopeEvent,
    StoredAttempt,
    StoredBlob,
    StoredEnvelope,
    StoredOneTimeKey,
    StoredRestore,
    StoredShare,
    StoredShareGroup,
    StoredUpload,
)

_ROWS_PER_BATCH: Final = 500  # rows in one transaction
#: The kinds of rows that are deleted after a restore, because they may be outdated.
_POSSIBLY_OUTDATED_ROW_TYPES: Final[tuple[type[Any], ...]] = (StoredAttempt, StoredOneTimeKey)


async def delete_untrusted_rows(relay: Relay, missing: frozenset[str], *, with_shares: bool) -> int:
    """Delete what may have been used up or taken back since the backup; the relay must not be
    serving yet.

    ``missing`` contains the names of blobs whose bytes are missing or damaged. ``with_shares``
    keeps shares, attempts, the counts of groups, and one-time keys; messages that were taken back
    after the backup can then be opened again.

    Returns:
        The number of lost copies (:class:`.backup.RestoreResult`).
    """
    present, lost = now(relay), 0
    while await relay.mail.transact(lambda tx: _drop_upload_batch(tx, present)):
        pass
    while not with_shares and (
        ended := await relay.mail.transact(lambda d: _close_envelopes_with_shares(d, present))
    ):
        lost += ended
    while not with_shares and await relay.mail.transact(_drop_possibly_outdated_rows):
        pass
    if not with_shares:
        await _use_up_groups(relay)
    lost += await relay.mail.transact(
        lambda tx: _close_envelopes_without_blobs(tx, missing, present)
    )
    await relay.mail.transact(lambda tx: tx.put(StoredRestore(1, present)))
    try:
        await remove_orphan_blobs(relay)
    finally:
        await relay.mail.clear_deleted_rows()
    return lost


def _drop_upload_batch(tx: RowTransaction, present: datetime) -> int:
    """Delete a batch of incomplete uploads, whose bytes are in no backup."""
    uploads = tx.find(StoredUpload, _ROWS_PER_BATCH)
    for upload in uploads:
        delete_upload_row(tx, upload, present)
    return len(uploads)


def _close_envelopes_with_shares(tx: RowTransaction, present: datetime) -> int:
    """Close a batch of envelopes that have a share; drop shares of closed or unknown envelopes.

    Returns the number of shares in the batch.
    """
    shares = tx.find(StoredShare, _ROWS_PER_BATCH)
    for share in shares:
        stored = tx.get(StoredEnvelope, share.envelope)
        if stored is not None and stored.closed_at is None:
            close_envelope(tx, stored, EnvelopeEvent.RESTORE, present)
        else:
            tx.drop(StoredShare, share.envelope)
    return len(shares)


def _drop_possibly_outdated_rows(tx: RowTransaction) -> bool:
    """Drop a batch of each kind of row that may be outdated; return whether there were any."""
    rows = [row for kind in _POSSIBLY_OUTDATED_ROW_TYPES for row in tx.find(kind, _ROWS_PER_BATCH)]
    for row in rows:
        drop_row(tx, row)
    return bool(rows)


async def _use_up_groups(relay: Relay) -> None:
    """Mark every group in the backup as used up, so that no share that joins a group later is
    released.
    """
    groups = await relay.mail.read(lambda view: view.find(StoredShareGroup))
    for start in range(0, len(groups), _ROWS_PER_BATCH):
        await relay.mail.transact(
            partial(_use_up_group_batch, groups=groups[start : start + _ROWS_PER_BATCH])
        )


def _use_up_group_batch(tx: RowTransaction, groups: list[StoredShareGroup]) -> None:
    for group in groups:
        tx.put(replace(group, opened=group.opens))


def _close_envelopes_without_blobs(
    tx: RowTransaction, missing: frozenset[str], present: datetime
) -> int:
    """Close the envelopes that name a blob in ``missing``, and return their number.

    Such a blob is damaged, or was deleted after the rows were copied, because its envelope had
    ended by then.
    """
    ended = 0
    for blob in (blob for name in missing for blob in tx.find(StoredBlob, name=name)):
        stored = tx.get(StoredEnvelope, blob.envelope) if blob.envelope else None
        if stored is None:
            delete_blob_row(tx, blob, present)
        elif stored.closed_at is None:
            close_envelope(tx, stored, EnvelopeEvent.RESTORE, present)
            ended += 1
        else:
            reduce_to_tombstone(tx, stored, present)
    return ended
