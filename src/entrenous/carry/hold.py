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
from entrenous.base.limits import BLOB_BYTES_MAX, LOOSE_BLOB_HOURS
from entrenous.base.secret import Secret
from entrenous.carry.accept import refuse_date
from entrenous.carry.expire import forget_blob, forget_upload, remove_soon, with_leftovers
from entrenous.carry.relay import Relay, RowTransaction, RowView, now
from entrenous.carry.relay_rows import HeldBlob, HeldUpload, Leftover
from entrenous.carry.send_tokens import require_sender, room_for_blob
from entrenous.crypto.hashing import equal_in_constant_time, token_hash
from entrenous.wire.relay_nouns import BlobDeposit

#: An upload checks so often, in bytes and in time, that its row still exists.
_LOOK_BYTES: Final = 64 << 20
_LOOK_EVERY: Final = timedelta(minutes=1)
#: Errors that end an upload. After any other, such as a lost database, it can be resumed.
_HOPELESS: Final = (DamagedBlob, NoSuchBlob, IdInUse, TooLarge, DiskFull)


async def upload_blob(
    deposit: BlobDeposit,
    token: Secret,
    chunks: AsyncIterator[bytes],
    relay: Relay,
    start: int = 0,
) -> bool:
    """Store a blob's bytes from ``start`` on, given in ``chunks``; earlier calls stored the rest.

    Returns:
        False if the same blob is stored already; ``chunks`` is then not read.

    Raises:
        NoSuchMailbox, WrongToken: the token is no valid send token of this mailbox.
        IdInUse: another blob has this id.
        WrongOffset: fewer than ``start`` bytes are stored.
        DamagedBlob: the bytes are not those that the deposit announces.
        TooLarge, TooFarAhead, Expired: it exceeds the relay's limits.
        MailboxFull: the mailbox holds too much, including uploads.
        TooMany: another upload of this blob is under way.
        DiskFull: the disk has no room for it.
        DiskFailed, DatabaseAway: a disk or the database failed, maybe for a moment.
        Exception: what ``chunks`` raised. After this or a failure the upload can be resumed.
    """
    if deposit.size > BLOB_BYTES_MAX:
        raise TooLarge(limit_bytes=BLOB_BYTES_MAX)
    crowded = _is_crowded(deposit.size - start, relay)
    new = _new_upload(deposit, relay.dice.token(16).hex(), now(relay))

    def begin(tx: RowTransaction) -> HeldUpload | None:
        upload = _begin(tx, new, deposit, token, relay)
        if upload is not None and crowded:
            raise DiskFull
        if start and upload is not None and upload.name == new.name:
            raise WrongOffset  # a resumed upload must exist, and none is created
        return upload

    upload = await relay.mail.together(begin)
    if upload is None:
        return False
    if start > await relay.blobs.size(upload.name):
        raise WrongOffset
    try:
        checked = _exact_size(deposit.size - start, _while_wanted(upload, chunks, relay))
        await relay.blobs.keep(upload.name, checked, deposit.sha256, start, deposit.mailbox)
        return await relay.mail.together(lambda tx: _publish(tx, upload, now(relay)))
    except TooMany:
        raise  # the stored bytes belong to the other upload
    except _HOPELESS:
        await _abandon(upload, relay)
        raise
    except (Exception, CancelledError):
        await _keep_for_resumption(upload, relay)
        raise


async def find_blob(blob: BlobId, token: Secret, relay: Relay) -> HeldBlob:
    """Return a blob's row; ``relay.blobs.read(name, ...)`` gives its bytes. Reading is never
    counted.

    Raises:
        NoSuchBlob: it is no longer stored.
        WrongToken: this is not its fetch token.
    """
    present = now(relay)

    def work(view: RowView) -> HeldBlob:
        held = view.get(HeldBlob, blob)
        if held is None or held.due_at <= present:
            raise NoSuchBlob
        if not equal_in_constant_time(held.fetch_lock, token_hash(token)):
            raise WrongToken
        return held

    return await relay.mail.look(work)


async def uploaded_bytes(blob: BlobId, token: Secret, relay: Relay) -> tuple[int, int]:
    """Return how many bytes of a blob are stored, and its full size, to whoever uploads it.

    Raises:
        NoSuchBlob: nothing of it is stored.
        WrongToken: this is not its withdraw token.
    """
    present = now(relay)

    def work(view: RowView) -> HeldBlob | HeldUpload:
        held = view.get(HeldBlob, blob) or view.get(HeldUpload, blob)
        if held is None or held.due_at <= present:
            raise NoSuchBlob
        if not equal_in_constant_time(held.withdraw_lock, token_hash(token)):
            raise WrongToken
        return held

    held = await relay.mail.look(work)
    whole = isinstance(held, HeldBlob)
    return held.size if whole else await relay.blobs.size(held.name), held.size


def _is_crowded(size: int, relay: Relay) -> bool:
    """Return whether the blob would use disk space reserved for letters (relay.md section 9)."""
    room, least = relay.blobs.room(), relay.limits.free_bytes_min
    return bool(least) and room is not None and room - size < least


def _new_upload(deposit: BlobDeposit, name: str, present: datetime) -> HeldUpload:
    due_at = min(deposit.expires_at, present + timedelta(hours=LOOSE_BLOB_HOURS))
    return HeldUpload(
        *(deposit.id, name, deposit.mailbox, deposit.size, deposit.sha256),
        *(deposit.fetch_lock, deposit.withdraw_lock, due_at.replace(microsecond=0)),
    )


def _begin(
    tx: RowTransaction, new: HeldUpload, deposit: BlobDeposit, token: Secret, relay: Relay
) -> HeldUpload | None:
    """Create the upload's row or find it; return None if this very blob is stored already."""
    present = now(relay)
    held = tx.get(HeldBlob, new.blob)
    if held is not None and held.due_at <= present:
        forget_blob(tx, held, present)
        held = None
    if held is not None and _is_same(held, new):
        return None
    require_sender(tx, new.mailbox, token, present)
    if held is not None:
        raise IdInUse
    refuse_date(deposit.expires_at, present, relay.limits)
    upload = _existing_upload(tx, new, present)
    if upload is None:
        room_for_blob(tx, new.mailbox, new.size, relay.limits)
        upload = new
    else:
        upload = replace(upload, due_at=new.due_at)
    tx.put(upload)
    return upload


def _existing_upload(tx: RowTransaction, new: HeldUpload, present: datetime) -> HeldUpload | None:
    """Return the existing upload of this blob, if it can still be resumed."""
    upload = tx.get(HeldUpload, new.blob)
    if upload is not None and upload.due_at <= present:
        forget_upload(tx, upload, present)
        upload = None
    if upload is not None and not _is_same(upload, new):
        raise IdInUse
    return upload


def _publish(tx: RowTransaction, upload: HeldUpload, present: datetime) -> bool:
    """Turn the upload into a blob; return False if another upload of the same blob was faster."""
    held = tx.get(HeldBlob, upload.blob)
    if held is not None and _is_same(held, upload):
        return False
    if held is not None:
        raise IdInUse
    mine = tx.get(HeldUpload, upload.blob)
    if mine is None or mine.name != upload.name or mine.due_at <= present:
        raise NoSuchBlob  # this upload took so long that it expired
    tx.drop(HeldUpload, upload.blob)
    tx.put(
        HeldBlob(
            *(mine.blob, mine.name, mine.mailbox, mine.size, mine.sha256),
            *(mine.fetch_lock, mine.withdraw_lock, None, mine.due_at),
        )
    )
    return True


async def _abandon(upload: HeldUpload, relay: Relay) -> None:
    """Delete the bytes of an upload that cannot succeed."""

    def work(tx: RowTransaction) -> None:
        mine = tx.get(HeldUpload, upload.blob)
        if mine is not None and mine.name == upload.name:
            forget_upload(tx, mine, now(relay))
        elif getattr(tx.get(HeldBlob, upload.blob), "name", None) != upload.name:
            tx.put(Leftover(upload.name, now(relay)))  # the mailbox was deleted meanwhile

    _, left = await relay.mail.together(with_leftovers(work))
    await remove_soon(left, relay)


async def _keep_for_resumption(upload: HeldUpload, relay: Relay) -> None:
    """Keep the stored part of an upload, so that it can be resumed; delete it if its row is gone.

    The row is gone if the mailbox was deleted; bytes that arrived after that are left. An
    unreachable database is ignored here, since the resumed upload reports it.
    """

    def work(tx: RowTransaction) -> None:
        owners = (tx.get(HeldUpload, upload.blob), tx.get(HeldBlob, upload.blob))
        if not any(one is not None and one.name == upload.name for one in owners):
            tx.put(Leftover(upload.name, now(relay)))

    with suppress(Unreachable):
        _, left = await relay.mail.together(with_leftovers(work))
        await remove_soon(left, relay)


async def _while_wanted(
    upload: HeldUpload, chunks: AsyncIterator[bytes], relay: Relay
) -> AsyncIterator[bytes]:
    """Yield the bytes while the upload's row exists; raises NoSuchBlob."""
    came, looked_at = 0, now(relay)
    async for chunk in chunks:
        came += len(chunk)
        if came >= _LOOK_BYTES or now(relay) - looked_at >= _LOOK_EVERY:
            came, looked_at = 0, now(relay)
            if not await _is_wanted(upload, relay):
                raise NoSuchBlob
        yield chunk


async def _is_wanted(upload: HeldUpload, relay: Relay) -> bool:
    """Return whether the upload's row exists; assume so if the database is unreachable."""
    try:
        mine = await relay.mail.look(lambda view: view.get(HeldUpload, upload.blob))
    except DatabaseAway:
        return True
    return mine is not None and mine.name == upload.name


def _is_same(held: HeldBlob | HeldUpload, new: HeldUpload) -> bool:
    placed = (held.mailbox, held.size) == (new.mailbox, new.size)
    locked = equal_in_constant_time(held.fetch_lock, new.fetch_lock)
    taken = equal_in_constant_time(held.withdraw_lock, new.withdraw_lock)
    return placed and locked and taken and equal_in_constant_time(held.sha256, new.sha256)


async def _exact_size(size: int, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield exactly ``size`` bytes; raise DamagedBlob as soon as there are more or fewer."""
    seen = 0
    async for chunk in chunks:
        seen += len(chunk)
        if seen > size:
            raise DamagedBlob
        yield chunk
    if seen != size:
        raise DamagedBlob
