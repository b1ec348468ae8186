"""Store a blob: stream its bytes to disk, then write its row (docs/spec/relay.md section 4)."""

from asyncio import CancelledError
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from entrenous.base.errors import (
    DamagedBlob,
    DatabaseAway,
    DiskFull,
    IdInUse,
    NoSuchBlob,
    TooLarge,
    TooMany,
    Unreachable,
    WrongOffset,
    WrongToken,
)
from entrenous.base.identifiers import BlobId
from entrenous.base.limits import BLOB_BYTES_MAX, UNREFERENCED_BLOB_HOURS
from entrenous.base.secret import Secret
from entrenous.carry.accept import refuse_expired_blob, refuse_invalid_expiry
from entrenous.carry.expire import (
    delete_blob_row,
    delete_upload_row,
    remove_request_orphans,
    with_orphan_names,
)
from entrenous.carry.relay import Relay, RowTransaction, RowView, now, refuse_clock_ahead
from entrenous.carry.relay_rows import OrphanBlob, StoredBlob, StoredUpload
from entrenous.carry.send_tokens import require_room_for_blob, require_send_token
from entrenous.crypto.hashing import equal_in_constant_time, token_hash
from entrenous.wire.relay_nouns import BlobDeposit

#: An upload checks after this many bytes, and after this time, that its row still exists.
_ROW_CHECK_BYTES: Final = 64 << 20
_ROW_CHECK_INTERVAL: Final = timedelta(minutes=1)
#: Errors that end an upload. After any other error, such as a lost database, it can be resumed.
_UPLOAD_ENDING_ERRORS: Final = (DamagedBlob, NoSuchBlob, IdInUse, TooLarge, DiskFull)


async def upload_blob(
    deposit: BlobDeposit,
    token: Secret,
    chunks: AsyncIterator[bytes],
    relay: Relay,
    start: int = 0,
) -> bool:
    """Store a blob's bytes from the offset ``start`` to its end, which ``chunks`` yields.

    Earlier calls have stored the bytes before that offset.

    Returns:
        False if the same blob is stored already (then ``chunks`` is not read), or if another upload
        of it was faster.

    Raises:
        NoSuchMailbox, WrongToken: the mailbox is unknown, or has no such valid send token.
        IdInUse: a different blob has this id.
        WrongOffset: fewer than ``start`` bytes are stored.
        DamagedBlob: the bytes are not those that the deposit announces.
        NoSuchBlob: the mailbox was deleted or the upload expired while the bytes arrived.
        TooLarge, TooFarAhead, Expired: the blob is too large, or its expiry is too far ahead or
            past.
        RelayClockAhead: the clock may be wrong, so it is unknown whether the token, the blob or an
            earlier upload of it has expired.
        MailboxFull: the mailbox would have too many blobs or bytes, including unfinished uploads.
        TooMany: another upload of this blob is under way, or there are too many uploads.
        DiskFull: the disk is full, or has only the space that is reserved for letters.
        DiskFailed, DatabaseAway: a disk or the database failed, possibly only for a moment.
        Exception: the error that ``chunks`` raised. After such an error, or a failure of disk or
            database, the upload can be resumed.
    """
    if deposit.size > BLOB_BYTES_MAX:
        raise TooLarge(limit_bytes=BLOB_BYTES_MAX)
    crowded = _would_use_reserved_space(deposit.size - start, relay)
    new = _new_upload(deposit, relay.random_source.token(16).hex(), now(relay))

    def begin(tx: RowTransaction) -> StoredUpload | None:
        upload = _begin_upload(tx, new, deposit, token, relay)
        if upload is not None and crowded:
            raise DiskFull
        if start and upload is not None and upload.name == new.name:
            raise WrongOffset  # only an existing upload can be resumed, so none is created here
        return upload

    upload = await relay.mail.transact(begin)
    if upload is None:
        return False
    if start > await relay.blobs.partial_size(upload.name):
        raise WrongOffset
    try:
        checked = _yield_exact_size(
            deposit.size - start, _yield_while_row_exists(upload, chunks, relay)
        )
        await relay.blobs.store(upload.name, checked, deposit.sha256, start, deposit.mailbox)
        return await relay.mail.transact(lambda tx: _publish_blob(tx, upload, now(relay)))
    except TooMany:
        raise  # keep the stored bytes: this upload has not written any, and can be resumed
    except _UPLOAD_ENDING_ERRORS:
        await _delete_partial_upload(upload, relay)
        raise
    except (Exception, CancelledError):
        await _keep_for_resumption(upload, relay)
        raise


async def find_blob(blob: BlobId, token: Secret, relay: Relay) -> StoredBlob:
    """Return the row of a blob. Its bytes are read with ``relay.blobs.read(name, ...)``; the relay
    does not count downloads, and deletes nothing after one.

    Raises:
        NoSuchBlob: the blob is not stored, or has expired.
        RelayClockAhead: the clock may be wrong, so it is unknown whether the blob has expired.
        WrongToken: this is not its fetch token.
    """
    present = now(relay)

    def find_row(view: RowView) -> StoredBlob:
        stored = view.get(StoredBlob, blob)
        if stored is None:
            raise NoSuchBlob
        refuse_expired_blob(view, stored, present)
        if not equal_in_constant_time(stored.fetch_lock, token_hash(token)):
            raise WrongToken
        return stored

    return await relay.mail.read(find_row)


async def find_upload_progress(blob: BlobId, token: Secret, relay: Relay) -> tuple[int, int]:
    """Return how many bytes of a blob are stored, and its full size in bytes.

    Only the blob's uploader, who has the withdraw token, may ask.

    Raises:
        NoSuchBlob: the relay has no blob and no upload with this id, or only an expired one.
        RelayClockAhead: the clock may be wrong, so it is unknown whether it has expired.
        WrongToken: this is not its withdraw token.
    """
    present = now(relay)

    def find_row(view: RowView) -> StoredBlob | StoredUpload:
        stored = view.get(StoredBlob, blob) or view.get(StoredUpload, blob)
        if stored is None:
            raise NoSuchBlob
        refuse_expired_blob(view, stored, present)
        if not equal_in_constant_time(stored.withdraw_lock, token_hash(token)):
            raise WrongToken
        return stored

    stored = await relay.mail.read(find_row)
    whole = isinstance(stored, StoredBlob)
    return stored.size if whole else await relay.blobs.partial_size(stored.name), stored.size


def _would_use_reserved_space(size: int, relay: Relay) -> bool:
    """Return whether these bytes would use disk space reserved for letters (relay.md section 9)."""
    room, least = relay.blobs.free_bytes(), relay.limits.free_bytes_min
    return bool(least) and room is not None and room - size < least


def _new_upload(deposit: BlobDeposit, name: str, present: datetime) -> StoredUpload:
    due_at = min(deposit.expires_at, present + timedelta(hours=UNREFERENCED_BLOB_HOURS))
    return StoredUpload(
        *(deposit.id, name, deposit.mailbox, deposit.size, deposit.sha256),
        *(deposit.fetch_lock, deposit.withdraw_lock, due_at.replace(microsecond=0)),
    )


def _begin_upload(
    tx: RowTransaction, new: StoredUpload, deposit: BlobDeposit, token: Secret, relay: Relay
) -> StoredUpload | None:
    """Return the upload's row, which is created if it is missing; None if this same blob is already
    complete.
    """
    present = now(relay)
    stored = tx.get(StoredBlob, new.blob)
    if stored is not None and stored.due_at <= present:
        refuse_clock_ahead(tx, present)
        delete_blob_row(tx, stored, present)
        stored = None
    if stored is not None and _is_same_upload(stored, new):
        return None
    require_send_token(tx, new.mailbox, token, present)
    if stored is not None:
        raise IdInUse
    refuse_invalid_expiry(tx, deposit.expires_at, present, relay.limits)
    upload = _find_resumable_upload(tx, new, present)
    if upload is None:
        require_room_for_blob(tx, new.mailbox, new.size, relay.limits)
        upload = new
    else:
        upload = replace(upload, due_at=new.due_at)
    tx.put(upload)
    return upload


def _find_resumable_upload(
    tx: RowTransaction, new: StoredUpload, present: datetime
) -> StoredUpload | None:
    """Return the unfinished upload with this blob id, if there is one that can still be resumed.

    Raises IdInUse if a different blob is being uploaded with this id, and RelayClockAhead.
    """
    upload = tx.get(StoredUpload, new.blob)
    if upload is not None and upload.due_at <= present:
        refuse_clock_ahead(tx, present)
        delete_upload_row(tx, upload, present)
        upload = None
    if upload is not None and not _is_same_upload(upload, new):
        raise IdInUse
    return upload


def _publish_blob(tx: RowTransaction, upload: StoredUpload, present: datetime) -> bool:
    """Turn the upload into a blob; return False if another upload of the same blob was faster."""
    stored = tx.get(StoredBlob, upload.blob)
    if stored is not None and _is_same_upload(stored, upload):
        return False
    if stored is not None:
        raise IdInUse
    row = tx.get(StoredUpload, upload.blob)
    if row is None or row.name != upload.name:
        raise NoSuchBlob  # the upload expired and was deleted, or its mailbox was
    refuse_expired_blob(tx, row, present)
    tx.drop(StoredUpload, upload.blob)
    tx.put(
        StoredBlob(
            *(row.blob, row.name, row.mailbox, row.size, row.sha256),
            *(row.fetch_lock, row.withdraw_lock, None, row.due_at),
        )
    )
    return True


async def _delete_partial_upload(upload: StoredUpload, relay: Relay) -> None:
    """Delete the bytes of an upload that cannot succeed."""

    def drop_row_or_schedule(tx: RowTransaction) -> None:
        row = tx.get(StoredUpload, upload.blob)
        if row is not None and row.name == upload.name:
            delete_upload_row(tx, row, now(relay))
        elif getattr(tx.get(StoredBlob, upload.blob), "name", None) != upload.name:
            tx.put(OrphanBlob(upload.name, now(relay)))  # e.g. the mailbox was deleted meanwhile

    _, orphans = await relay.mail.transact(with_orphan_names(drop_row_or_schedule))
    await remove_request_orphans(orphans, relay)


async def _keep_for_resumption(upload: StoredUpload, relay: Relay) -> None:
    """Keep the stored part of an upload, so that it can be resumed; delete it if its row is gone.

    The row is gone if, for example, the mailbox was deleted; bytes that arrived after that are
    still stored. An unreachable database is ignored here, since the resumed upload will report it.
    """

    def schedule_bytes_without_row(tx: RowTransaction) -> None:
        owners = (tx.get(StoredUpload, upload.blob), tx.get(StoredBlob, upload.blob))
        if not any(one is not None and one.name == upload.name for one in owners):
            tx.put(OrphanBlob(upload.name, now(relay)))

    with suppress(Unreachable):
        _, orphans = await relay.mail.transact(with_orphan_names(schedule_bytes_without_row))
        await remove_request_orphans(orphans, relay)


async def _yield_while_row_exists(
    upload: StoredUpload, chunks: AsyncIterator[bytes], relay: Relay
) -> AsyncIterator[bytes]:
    """Yield the chunks while the upload's row exists; raise NoSuchBlob once the row is gone."""
    received_bytes, looked_at = 0, now(relay)
    async for chunk in chunks:
        received_bytes += len(chunk)
        if received_bytes >= _ROW_CHECK_BYTES or now(relay) - looked_at >= _ROW_CHECK_INTERVAL:
            received_bytes, looked_at = 0, now(relay)
            if not await _has_upload_row(upload, relay):
                raise NoSuchBlob
        yield chunk


async def _has_upload_row(upload: StoredUpload, relay: Relay) -> bool:
    """Return whether the upload's row exists; assume so if the database is unreachable."""
    try:
        row = await relay.mail.read(lambda view: view.get(StoredUpload, upload.blob))
    except DatabaseAway:
        return True
    return row is not None and row.name == upload.name


def _is_same_upload(stored: StoredBlob | StoredUpload, new: StoredUpload) -> bool:
    placed = (stored.mailbox, stored.size) == (new.mailbox, new.size)
    locked = equal_in_constant_time(stored.fetch_lock, new.fetch_lock)
    taken = equal_in_constant_time(stored.withdraw_lock, new.withdraw_lock)
    return placed and locked and taken and equal_in_constant_time(stored.sha256, new.sha256)


async def _yield_exact_size(size: int, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the chunks; raise DamagedBlob unless they have exactly ``size`` bytes in all."""
    received_bytes = 0
    async for chunk in chunks:
        received_bytes += len(chunk)
        if received_bytes > size:
            raise DamagedBlob
        yield chunk
    if received_bytes != size:
        raise DamagedBlob
