"""Hold a blob: its bytes stream to disk, then a row says whose they are (relay.md section 4).

The database is the arbiter. A name is written down as a leftover before its first byte is stored,
and crossed out in the transaction that gives it to a blob; so whatever happens in between,
carry/expire.py knows every name that nobody owns.
"""

import hashlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from entrenous.carry.accept import refuse_date
from entrenous.carry.expire import forget_blob, remove_leftovers
from entrenous.carry.moment import now
from entrenous.carry.room import room_for_blob
from entrenous.carry.tokens import sender
from entrenous.craft.crypto.hashing import lock_of, same
from entrenous.model.envelope import (
    BlobDeposit,
    DamagedBlob,
    IdInUse,
    NoSuchBlob,
    TooLarge,
    WrongToken,
)
from entrenous.model.held import ComingBlob, HeldBlob, Leftover
from entrenous.model.ids import BlobId
from entrenous.model.secret import Secret
from entrenous.ports import MailDesk, MailView, Relay
from entrenous.spec import BLOB_BYTES_MAX, LOOSE_BLOB_HOURS


async def bring_blob(
    deposit: BlobDeposit, token: Secret, chunks: AsyncIterator[bytes], relay: Relay
) -> bool:
    """Store a blob; False if the same one is here already, and then ``chunks`` is not read.

    Raises:
        NoSuchMailbox, WrongToken: this is no holder of a send token.
        IdInUse: there is another blob of that id.
        DamagedBlob: the bytes are not those that the deposit announces.
        TooLarge, TooFarAhead, Expired: beyond what a relay takes.
        MailboxFull: so much is in the mailbox already, or on its way there.
        DiskFull, DiskFailed: nothing was stored.
    """
    if deposit.size > BLOB_BYTES_MAX:
        raise TooLarge(limit_bytes=BLOB_BYTES_MAX)
    present, name = now(relay), relay.dice.token(16).hex()
    blob = _loose(deposit, name, present)
    if not await relay.mail.together(lambda desk: _begin(desk, deposit, blob, token, present)):
        return False
    given = False
    try:
        await relay.blobs.keep(name, _as_announced(deposit, chunks))
        given = await relay.mail.together(lambda desk: _give(desk, blob, now(relay)))
    finally:
        if not given:
            await _abandon(blob, present, relay)
    return given


async def find_blob(blob: BlobId, token: Secret, relay: Relay) -> HeldBlob:
    """What is known of a blob; its bytes are ``relay.blobs.read(name, ...)``. Never counts.

    Raises:
        NoSuchBlob: it is not here any more.
        WrongToken: this is not its fetch token.
    """
    present = now(relay)

    def work(view: MailView) -> HeldBlob:
        held = view.get(HeldBlob, blob)
        if held is None or held.due_at <= present:
            raise NoSuchBlob
        if not same(held.fetch_lock, lock_of(token)):
            raise WrongToken
        return held

    return await relay.mail.look(work)


def _loose(deposit: BlobDeposit, name: str, present: datetime) -> HeldBlob:
    """The row of a blob that no envelope names yet."""
    due_at = min(deposit.expires_at, present + timedelta(hours=LOOSE_BLOB_HOURS))
    return HeldBlob(
        *(deposit.id, name, deposit.mailbox, deposit.size, deposit.sha256),
        *(deposit.fetch_lock, deposit.withdraw_lock, None, due_at.replace(microsecond=0)),
    )


def _begin(
    desk: MailDesk, deposit: BlobDeposit, blob: HeldBlob, token: Secret, present: datetime
) -> bool:
    """Write the name down; False if these very bytes are here already."""
    held = desk.get(HeldBlob, blob.blob)
    if held is not None and held.due_at <= present:
        forget_blob(desk, held, present)
        held = None
    if held is not None and _is_same(held, blob):
        return False
    sender(desk, deposit.mailbox, token, present)
    if held is not None:
        raise IdInUse
    refuse_date(deposit.expires_at, present)
    room_for_blob(desk, deposit.mailbox, deposit.size)
    until = present + timedelta(hours=LOOSE_BLOB_HOURS)
    desk.put(ComingBlob(blob.name, deposit.mailbox, deposit.size, until))
    desk.put(Leftover(blob.name, until))
    return True


def _give(desk: MailDesk, blob: HeldBlob, present: datetime) -> bool:
    """Give the stored bytes to their blob; False if another upload of the same was faster."""
    leftover = desk.get(Leftover, blob.name)
    if leftover is None or leftover.due_at <= present:
        raise NoSuchBlob  # this upload took so long that its bytes are swept away, maybe just now
    held = desk.get(HeldBlob, blob.blob)
    if held is not None and not _is_same(held, blob):
        raise IdInUse
    if held is None:
        desk.put(blob)
        desk.drop(Leftover, blob.name)
        desk.drop(ComingBlob, blob.name)
    return held is None


async def _abandon(blob: HeldBlob, present: datetime, relay: Relay) -> None:
    """Forget the bytes of an upload that failed; one may be cancelled after it succeeded."""

    def work(desk: MailDesk) -> None:
        held = desk.get(HeldBlob, blob.blob)
        if held is None or held.name != blob.name:
            desk.drop(ComingBlob, blob.name)
            desk.put(Leftover(blob.name, present))

    await relay.mail.together(work)
    await remove_leftovers(relay)


def _is_same(held: HeldBlob, blob: HeldBlob) -> bool:
    placed = (held.mailbox, held.size) == (blob.mailbox, blob.size)
    locked = same(held.fetch_lock, blob.fetch_lock) and same(held.withdraw_lock, blob.withdraw_lock)
    return placed and locked and same(held.sha256, blob.sha256)


async def _as_announced(deposit: BlobDeposit, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass the bytes on, and raise DamagedBlob at the first moment that they can't be right."""
    seen, digest = 0, hashlib.sha256()
    async for chunk in chunks:
        seen += len(chunk)
        if seen > deposit.size:
            raise DamagedBlob
        digest.update(chunk)
        yield chunk
    if seen != deposit.size or not same(digest.digest(), deposit.sha256):
        raise DamagedBlob
