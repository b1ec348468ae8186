"""Who may do what and how much: the owner of a mailbox, the holders of its send tokens, and their
quotas (docs/spec/relay.md sections 2 and 3).
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Final

from entrenous.base.errors import (
    Expired,
    MailboxFull,
    NoSuchMailbox,
    TooMany,
    TooManyRegistered,
    WrongToken,
)
from entrenous.base.identifiers import MailboxId
from entrenous.base.limits import (
    GROUP_SHARES_MAX,
    LETTERS_WAITING_MAX,
    LOOSE_BLOBS_MAX,
    LOOSE_BYTES_MAX,
    MAILBOX_BLOBS_MAX,
    MAILBOX_BYTES_MAX,
    PREKEY_DEVICES_MAX,
    SHARES_MAX,
    TOKENS_MAX,
)
from entrenous.base.secret import Secret
from entrenous.carry.relay import Relay, RowTransaction, RowView, now, refuse_ahead
from entrenous.carry.relay_rows import (
    HeldBlob,
    HeldLetter,
    HeldMailbox,
    HeldShare,
    HeldToken,
    HeldUpload,
    LastingKeys,
)
from entrenous.carry.relay_settings import Limits
from entrenous.crypto.hashing import equal_in_constant_time, lock_of
from entrenous.wire.relay_nouns import SendToken, TokenBatch


async def register_token(
    mailbox: MailboxId, token: Secret, granted: SendToken, relay: Relay
) -> bool:
    """Let holders of ``granted`` write to this mailbox; False if they could before.

    Registered again, a token gets the new terms and keeps the count of what was accepted.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
        TooManyRegistered: it would be one too many.
    """
    present = now(relay)

    def work(desk: RowTransaction) -> bool:
        owner(desk, mailbox, token)
        held = desk.get(HeldToken, mailbox, granted.lock)
        if held is None:
            room_for_token(desk, mailbox)
        fresh = HeldToken(mailbox, granted.lock, None, 0, 0, present, None)
        desk.put(replace(held or fresh, uses=granted.uses, due_at=granted.expires_at))
        return held is None

    return await relay.mail.together(work)


async def add_tokens(mailbox: MailboxId, token: Secret, batch: TokenBatch, relay: Relay) -> int:
    """Add many tokens of one use each, and drop others, together; how many are held then.

    May be repeated while none of those that are added was used.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
        Expired: they would hold no more.
        TooManyRegistered: it would be too many.
    """
    present = now(relay)
    # When it came would join what came together; until the first claim nobody reads it.
    that_day = present.replace(hour=0, minute=0, second=0)
    if batch.expires_at <= present:
        raise Expired(when=batch.expires_at)

    def work(desk: RowTransaction) -> int:
        owner(desk, mailbox, token)
        for lock in batch.drop:
            desk.drop(HeldToken, mailbox, lock)
        held = desk.count(HeldToken, mailbox=mailbox)
        new = [lock for lock in batch.add if desk.get(HeldToken, mailbox, lock) is None]
        if new:  # what only drops is taken however many there are
            room_for_tokens(held, len(new))
        for lock in new:
            desk.put(HeldToken(mailbox, lock, 1, 0, 0, that_day, batch.expires_at))
        return held + len(new)

    def look_ahead(view: RowView) -> None:
        view.get(HeldMailbox, mailbox)
        for lock in (*batch.add, *batch.drop):
            view.get(HeldToken, mailbox, lock)

    return await relay.mail.together(work, look_ahead)


async def withdraw_token(mailbox: MailboxId, token: Secret, lock: bytes, relay: Relay) -> None:
    """Stop letting holders of that token write; it need not be registered.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
    """

    def work(desk: RowTransaction) -> None:
        owner(desk, mailbox, token)
        desk.drop(HeldToken, mailbox, lock)

    await relay.mail.together(work)


async def prove_owner(mailbox: MailboxId, token: Secret, relay: Relay) -> None:
    """Nothing, before much is read of somebody; what is done with it asks again.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
    """
    await relay.mail.look(lambda view: owner(view, mailbox, token))


def owner(view: RowView, mailbox: MailboxId, token: Secret) -> HeldMailbox:
    """The mailbox, if ``token`` is its owner's; raises NoSuchMailbox, WrongToken."""
    held = _mailbox(view, mailbox)
    if not equal_in_constant_time(held.owner_lock, lock_of(token)):
        raise WrongToken
    return held


def closer(view: RowView, mailbox: MailboxId, token: Secret) -> HeldMailbox:
    """The mailbox, if ``token`` deletes it: its owner's, or the close token that she gave away.

    Raises:
        NoSuchMailbox, WrongToken.
    """
    held = _mailbox(view, mailbox)
    shown = lock_of(token)
    if not equal_in_constant_time(held.owner_lock, shown) and not equal_in_constant_time(
        held.close_lock or b"", shown
    ):
        raise WrongToken
    return held


def sender(view: RowView, mailbox: MailboxId, token: Secret, present: datetime) -> HeldToken:
    """The send token, if it holds now; raises NoSuchMailbox, WrongToken, RelayClockAhead."""
    _mailbox(view, mailbox)
    held = view.get(HeldToken, mailbox, lock_of(token))
    if held is None or not _is_unused(held):
        raise WrongToken
    if held.due_at is not None and held.due_at <= present:
        refuse_ahead(view, present)
        raise WrongToken
    return held


def reader(view: RowView, mailbox: MailboxId, token: Secret, present: datetime) -> None:
    """Pass the owner or a holder of a send token; raises NoSuchMailbox, WrongToken."""
    if not equal_in_constant_time(_mailbox(view, mailbox).owner_lock, lock_of(token)):
        sender(view, mailbox, token, present)


def spend(desk: RowTransaction, held: HeldToken) -> None:
    """Count one accepted envelope; a token that is used up is forgotten."""
    used = replace(held, used=held.used + 1)
    if used.uses is not None and used.used >= used.uses:
        desk.drop(HeldToken, held.mailbox, held.lock)
    else:
        desk.put(used)


def _is_unused(held: HeldToken) -> bool:
    return held.uses is None or held.used < held.uses


def _mailbox(view: RowView, mailbox: MailboxId) -> HeldMailbox:
    held = view.get(HeldMailbox, mailbox)
    if held is None:
        raise NoSuchMailbox
    return held


_RETRY_S: Final = 3600  # room comes when a person opens her device; asking sooner is no use


def room_for_letter(view: RowView, mailbox: MailboxId, limits: Limits) -> None:
    """Return if one more letter may wait in a mailbox; raises MailboxFull."""
    if view.count(HeldLetter, mailbox=mailbox) >= min(limits.letters, LETTERS_WAITING_MAX):
        raise MailboxFull(retry_after_s=_RETRY_S)


def room_for_share(view: RowView, mailbox: MailboxId) -> None:
    """Return if the share of one more letter may be kept for a mailbox; raises MailboxFull.

    It stays when the letter was fetched, so letters that wait do not bound it.
    """
    if view.count(HeldShare, mailbox=mailbox) >= SHARES_MAX:
        raise MailboxFull(retry_after_s=_RETRY_S)


def room_in_group(view: RowView, group: bytes) -> None:
    """Return if the share of one more device may join a group; raises MailboxFull.

    Whatever ends a group reads all of them in one go, while everybody else waits.
    """
    if view.count(HeldShare, group=group) >= GROUP_SHARES_MAX:
        raise MailboxFull(retry_after_s=_RETRY_S)


def room_for_blob(view: RowView, mailbox: MailboxId, size: int, limits: Limits) -> None:
    """Return if a blob of ``size`` bytes may come into a mailbox; raises MailboxFull.

    What is on its way counts as if it were there.
    """
    coming = view.weigh(HeldUpload, "size", mailbox=mailbox)
    loose = view.weigh(HeldBlob, "size", mailbox=mailbox, envelope=None)
    every = view.weigh(HeldBlob, "size", mailbox=mailbox)
    for (rows, total), (rows_max, bytes_max) in (
        (loose, (LOOSE_BLOBS_MAX, min(limits.loose_bytes, LOOSE_BYTES_MAX))),
        (every, (MAILBOX_BLOBS_MAX, min(limits.mailbox_bytes, MAILBOX_BYTES_MAX))),
    ):
        if rows + coming[0] >= rows_max or total + coming[1] + size > bytes_max:
            raise MailboxFull(retry_after_s=_RETRY_S)


def room_for_token(view: RowView, mailbox: MailboxId) -> None:
    """Return if one more token may open a mailbox to writers; raises TooManyRegistered."""
    room_for_tokens(view.count(HeldToken, mailbox=mailbox), 1)


def room_for_tokens(held: int, more: int) -> None:
    """Return if so many more tokens may join those that are held; raises TooManyRegistered."""
    if held + more > TOKENS_MAX:
        raise TooManyRegistered(limit=TOKENS_MAX, retry_after_s=_RETRY_S)


def room_for_device(view: RowView, mailbox: MailboxId) -> None:
    """Return if one more device may leave its keys at a mailbox; raises TooManyRegistered."""
    if view.count(LastingKeys, mailbox=mailbox) >= PREKEY_DEVICES_MAX:
        raise TooManyRegistered(limit=PREKEY_DEVICES_MAX, retry_after_s=_RETRY_S)


_QUOTA_RETRY_S: Final = 60


class UploadsUnderWay:
    """Bytes that are on their way now, by the lock of the token that brings them."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes: Counter[bytes] = Counter()

    @contextmanager
    def of(self, lock: bytes, size: int) -> Iterator[None]:
        """While ``size`` bytes come; a token's only upload is always let in.

        Raises:
            TooMany: with what this token brings already, it would be too much.
        """
        if self._bytes[lock] and self._bytes[lock] + size > self._bytes_max:
            raise TooMany(retry_after_s=_QUOTA_RETRY_S)
        self._bytes[lock] += size
        try:
            yield
        finally:
            self._bytes[lock] -= size
            if not self._bytes[lock]:
                del self._bytes[lock]

    def __len__(self) -> int:
        return len(self._bytes)
