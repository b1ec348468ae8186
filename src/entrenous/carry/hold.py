"""Hold a blob: stream its bytes to disk, then write the row that says whose they are
(docs/spec/relay.md section 4).
"""

from asyncio import CancelledError
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

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
from entrenous.carry.expire import forget_blob, forget_upload, noted, remove_soon
from entrenous.carry.relay import Relay, RowTransaction, RowView, now
from entrenous.carry.relay_rows import HeldBlob, HeldUpload, Leftover
from entrenous.carry.send_tokens import room_for_blob, sender
from entrenous.crypto.hashing import equal_in_constant_time, lock_of
from entrenous.wire.relay_nouns import BlobDeposit

#: After so much of an upload, or so long, it looks whether anybody still wants it.
_LOOK_BYTES: Final = 64 << 20
_LOOK_EVERY: Final = timedelta(minutes=1)
#: What ends an upload. After all else the rest may come: a database or a bucket that was away for a
#: moment has cost nothing that is here.
_HOPELESS: Final = (DamagedBlob, NoSuchBlob, IdInUse, TooLarge, DiskFull)


async def upload_blob(
    deposit: BlobDeposit,
    token: Secret,
    chunks: AsyncIterator[bytes],
    relay: Relay,
    start: int = 0,
) -> bool:
    """Store a blob; False if the same one is here already, and then ``chunks`` is not read.

    ``chunks`` are its bytes from ``start`` on; those before came with an earlier call.

    Raises:
        NoSuchMailbox, WrongToken: this is no holder of a send token.
        IdInUse: there is another blob of that id.
        WrongOffset: less than ``start`` bytes of it are here.
        DamagedBlob: the bytes are not those that the deposit announces.
        TooLarge, TooFarAhead, Expired: beyond what a relay takes.
        MailboxFull: so much is in the mailbox already, or on its way there.
        TooMany: another upload of it is under way.
        DiskFull: the disk has no room for it.
        DiskFailed, DatabaseAway: a disk or the database failed, maybe for a moment.
        Exception: what ``chunks`` raised. After this and a failure what came until then stays, and
            may be added to.
    """
    if deposit.size > BLOB_BYTES_MAX:
        raise TooLarge(limit_bytes=BLOB_BYTES_MAX)
    crowded = _is_crowded(deposit.size - start, relay)
    coming = _coming(deposit, relay.dice.token(16).hex(), now(relay))

    def begin(desk: RowTransaction) -> HeldUpload | None:
        upload = _begin(desk, coming, deposit, token, relay)
        if upload is not None and crowded:
            raise DiskFull
        return upload

    upload = await relay.mail.together(begin if start == 0 else _only_begun(begin, coming))
    if upload is None:
        return False
    if start > await relay.blobs.size(upload.name):
        raise WrongOffset
    try:
        bytes_of_it = _as_announced(deposit.size - start, _while_wanted(upload, chunks, relay))
        await relay.blobs.keep(upload.name, bytes_of_it, deposit.sha256, start, deposit.mailbox)
        return await relay.mail.together(lambda desk: _give(desk, upload, now(relay)))
    except TooMany:
        raise  # what is here belongs to the other upload
    except _HOPELESS:
        await _abandon(upload, relay)
        raise
    except (Exception, CancelledError):
        await _leave(upload, relay)
        raise


async def find_blob(blob: BlobId, token: Secret, relay: Relay) -> HeldBlob:
    """What is known of a blob; its bytes are ``relay.blobs.read(name, ...)``. Never counts.

    Raises:
        NoSuchBlob: it is not here any more.
        WrongToken: this is not its fetch token.
    """
    present = now(relay)

    def work(view: RowView) -> HeldBlob:
        held = view.get(HeldBlob, blob)
        if held is None or held.due_at <= present:
            raise NoSuchBlob
        if not equal_in_constant_time(held.fetch_lock, lock_of(token)):
            raise WrongToken
        return held

    return await relay.mail.look(work)


async def uploaded_bytes(blob: BlobId, token: Secret, relay: Relay) -> tuple[int, int]:
    """How many bytes of a blob are here, and how many it has; for who brought it.

    Raises:
        NoSuchBlob: nothing of it is here.
        WrongToken: this is not its withdraw token.
    """
    present = now(relay)

    def work(view: RowView) -> HeldBlob | HeldUpload:
        held = view.get(HeldBlob, blob) or view.get(HeldUpload, blob)
        if held is None or held.due_at <= present:
            raise NoSuchBlob
        if not equal_in_constant_time(held.withdraw_lock, lock_of(token)):
            raise WrongToken
        return held

    held = await relay.mail.look(work)
    whole = isinstance(held, HeldBlob)
    return held.size if whole else await relay.blobs.size(held.name), held.size


def _is_crowded(size: int, relay: Relay) -> bool:
    """Whether the disk would lack the room that letters need (relay.md section 9)."""
    room, least = relay.blobs.room(), relay.limits.free_bytes_min
    return bool(least) and room is not None and room - size < least


def _coming(deposit: BlobDeposit, name: str, present: datetime) -> HeldUpload:
    """The row of a blob of which nothing is here yet."""
    due_at = min(deposit.expires_at, present + timedelta(hours=LOOSE_BLOB_HOURS))
    return HeldUpload(
        *(deposit.id, name, deposit.mailbox, deposit.size, deposit.sha256),
        *(deposit.fetch_lock, deposit.withdraw_lock, due_at.replace(microsecond=0)),
    )


def _begin(
    desk: RowTransaction, coming: HeldUpload, deposit: BlobDeposit, token: Secret, relay: Relay
) -> HeldUpload | None:
    """Write the upload down, or find it again; None if these very bytes are here already."""
    present = now(relay)
    held = desk.get(HeldBlob, coming.blob)
    if held is not None and held.due_at <= present:
        forget_blob(desk, held, present)
        held = None
    if held is not None and _is_same(held, coming):
        return None
    sender(desk, coming.mailbox, token, present)
    if held is not None:
        raise IdInUse
    refuse_date(deposit.expires_at, present, relay.limits)
    upload = _begun(desk, coming, present)
    if upload is None:
        room_for_blob(desk, coming.mailbox, coming.size, relay.limits)
    going = coming if upload is None else replace(upload, due_at=coming.due_at)
    desk.put(going)
    return going


def _only_begun(
    begin: Callable[[RowTransaction], HeldUpload | None], coming: HeldUpload
) -> Callable[[RowTransaction], HeldUpload | None]:
    """The same for a rest: a beginning must be here, so that it leaves nothing where none is."""

    def work(desk: RowTransaction) -> HeldUpload | None:
        upload = begin(desk)
        if upload is not None and upload.name == coming.name:
            raise WrongOffset
        return upload

    return work


def _begun(desk: RowTransaction, coming: HeldUpload, present: datetime) -> HeldUpload | None:
    """The same upload, if it was begun before and can still go on."""
    upload = desk.get(HeldUpload, coming.blob)
    if upload is not None and upload.due_at <= present:
        forget_upload(desk, upload, present)
        upload = None
    if upload is not None and not _is_same(upload, coming):
        raise IdInUse
    return upload


def _give(desk: RowTransaction, upload: HeldUpload, present: datetime) -> bool:
    """Give the stored bytes to their blob; False if another upload of the same was faster."""
    held = desk.get(HeldBlob, upload.blob)
    if held is not None and _is_same(held, upload):
        return False
    if held is not None:
        raise IdInUse
    mine = desk.get(HeldUpload, upload.blob)
    if mine is None or mine.name != upload.name or mine.due_at <= present:
        raise NoSuchBlob  # this upload took so long that its bytes are swept away, maybe just now
    desk.drop(HeldUpload, upload.blob)
    desk.put(
        HeldBlob(
            *(mine.blob, mine.name, mine.mailbox, mine.size, mine.sha256),
            *(mine.fetch_lock, mine.withdraw_lock, None, mine.due_at),
        )
    )
    return True


async def _abandon(upload: HeldUpload, relay: Relay) -> None:
    """Forget the bytes of an upload that can't succeed."""

    def work(desk: RowTransaction) -> None:
        mine = desk.get(HeldUpload, upload.blob)
        if mine is not None and mine.name == upload.name:
            forget_upload(desk, mine, now(relay))
        elif getattr(desk.get(HeldBlob, upload.blob), "name", None) != upload.name:
            desk.put(Leftover(upload.name, now(relay)))  # its mailbox was deleted meanwhile

    _, left = await relay.mail.together(noted(work))
    await remove_soon(left, relay)


async def _leave(upload: HeldUpload, relay: Relay) -> None:
    """Leave what came for the rest to come; what nobody owns any more goes.

    Its row may be gone: a mailbox was deleted. The store removed what there was then, and more came
    after that. A database that is away now has said so, or says it to whoever brings the rest.
    """

    def work(desk: RowTransaction) -> None:
        owners = (desk.get(HeldUpload, upload.blob), desk.get(HeldBlob, upload.blob))
        if not any(one is not None and one.name == upload.name for one in owners):
            desk.put(Leftover(upload.name, now(relay)))

    with suppress(Unreachable):
        _, left = await relay.mail.together(noted(work))
        await remove_soon(left, relay)


async def _while_wanted(
    upload: HeldUpload, chunks: AsyncIterator[bytes], relay: Relay
) -> AsyncIterator[bytes]:
    """Pass the bytes on as long as the upload's row is there; raises NoSuchBlob."""
    came, looked_at = 0, now(relay)
    async for chunk in chunks:
        came += len(chunk)
        if came >= _LOOK_BYTES or now(relay) - looked_at >= _LOOK_EVERY:
            came, looked_at = 0, now(relay)
            if not await _is_wanted(upload, relay):
                raise NoSuchBlob
        yield chunk


async def _is_wanted(upload: HeldUpload, relay: Relay) -> bool:
    """Whether its row is there; it is as long as nobody can tell, so that nothing is lost."""
    try:
        mine = await relay.mail.look(lambda view: view.get(HeldUpload, upload.blob))
    except DatabaseAway:
        return True
    return mine is not None and mine.name == upload.name


def _is_same(held: HeldBlob | HeldUpload, coming: HeldUpload) -> bool:
    placed = (held.mailbox, held.size) == (coming.mailbox, coming.size)
    locked = equal_in_constant_time(held.fetch_lock, coming.fetch_lock)
    taken = equal_in_constant_time(held.withdraw_lock, coming.withdraw_lock)
    return placed and locked and taken and equal_in_constant_time(held.sha256, coming.sha256)


async def _as_announced(size: int, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass ``size`` bytes on; raise DamagedBlob at the first moment that there are more or less."""
    seen = 0
    async for chunk in chunks:
        seen += len(chunk)
        if seen > size:
            raise DamagedBlob
        yield chunk
    if seen != size:
        raise DamagedBlob
