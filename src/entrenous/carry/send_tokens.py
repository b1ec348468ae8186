"""Check the permissions and quotas of the owner of a mailbox and of the holders of its send tokens
(docs/spec/relay.md sections 2, 3 and 9).
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from msgspec.structs import replace

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
    LETTERS_WAITING_MAX,
    MAILBOX_BLOBS_MAX,
    MAILBOX_BYTES_MAX,
    PREKEY_DEVICES_MAX,
    SHARES_PER_GROUP_MAX,
    SHARES_PER_MAILBOX_MAX,
    TOKENS_PER_MAILBOX_MAX,
    UNREFERENCED_BLOB_BYTES_MAX,
    UNREFERENCED_BLOBS_MAX,
)
from entrenous.base.secret import Secret
from entrenous.carry.relay import Relay, RowTransaction, RowView, now, refuse_clock_ahead
from entrenous.carry.relay_rows import (
    ReusableKeys,
    StoredBlob,
    StoredLetter,
    StoredMailbox,
    StoredShare,
    StoredToken,
    StoredUpload,
)
from entrenous.carry.relay_settings import RelayLimits
from entrenous.crypto.hashing import equal_in_constant_time, token_hash
from entrenous.wire.relay_nouns import SendToken, SendTokenChanges


async def register_send_token(
    mailbox: MailboxId, token: Secret, granted: SendToken, relay: Relay
) -> bool:
    """Allow holders of the token ``granted`` to write to this mailbox.

    A token that is registered again gets the new terms and keeps its count of uses.

    Returns:
        False if the token was registered before.

    Raises:
        NoSuchMailbox, WrongToken: the mailbox is unknown, or the token is not its owner's.
        TooManyRegistered: the mailbox already has the maximum number of tokens.
    """
    present = now(relay)

    def store_token(tx: RowTransaction) -> bool:
        require_owner_token(tx, mailbox, token)
        stored = tx.get(StoredToken, mailbox, granted.lock)
        if stored is None:
            require_room_for_tokens(tx.count(StoredToken, mailbox=mailbox), 1)
        fresh = StoredToken(mailbox, granted.lock, None, 0, 0, present, None)
        tx.put(replace(stored or fresh, uses=granted.uses, due_at=granted.expires_at))
        return stored is None

    return await relay.mail.transact(store_token)


async def add_and_drop_send_tokens(
    mailbox: MailboxId, token: Secret, batch: SendTokenChanges, relay: Relay
) -> int:
    """Add many single-use tokens and drop others, in one transaction.

    This may be repeated until one of the added tokens has been used.

    Returns:
        The number of tokens registered afterwards.

    Raises:
        NoSuchMailbox, WrongToken: the mailbox is unknown, or the token is not its owner's.
        Expired: the batch's expiry is past.
        RelayClockAhead: the clock may be wrong, so it is unknown whether the expiry is past.
        TooManyRegistered: there would be too many tokens.
    """
    present = now(relay)
    # Only the date is stored, since the exact time would reveal which tokens were added together.
    # When the token is first used to claim prekeys, the time of the claim replaces the date.
    today = present.replace(hour=0, minute=0, second=0)

    def replace_tokens(tx: RowTransaction) -> int:
        require_owner_token(tx, mailbox, token)
        if batch.expires_at <= present:
            refuse_clock_ahead(tx, present)
            raise Expired(when=batch.expires_at)
        for lock in batch.drop:
            tx.drop(StoredToken, mailbox, lock)
        registered = tx.count(StoredToken, mailbox=mailbox)
        new = [lock for lock in batch.add if tx.get(StoredToken, mailbox, lock) is None]
        if new:  # a batch that only removes tokens is always accepted
            require_room_for_tokens(registered, len(new))
        for lock in new:
            tx.put(StoredToken(mailbox, lock, 1, 0, 0, today, batch.expires_at))
        return registered + len(new)

    def prefetch_tokens(view: RowView) -> None:
        view.get(StoredMailbox, mailbox)
        for lock in (*batch.add, *batch.drop):
            view.get(StoredToken, mailbox, lock)

    return await relay.mail.transact(replace_tokens, prefetch_tokens)


async def drop_send_token(
    mailbox: MailboxId, owner_token: Secret, send_token_hash: bytes, relay: Relay
) -> None:
    """Drop a send token, if it is registered, so that its holders can no longer write.

    Raises:
        NoSuchMailbox, WrongToken: the mailbox is unknown, or ``owner_token`` is not its owner's.
    """

    def drop_token(tx: RowTransaction) -> None:
        require_owner_token(tx, mailbox, owner_token)
        tx.drop(StoredToken, mailbox, send_token_hash)

    await relay.mail.transact(drop_token)


async def check_owner_token(mailbox: MailboxId, token: Secret, relay: Relay) -> None:
    """Check the owner's token before a large body is read; the rule that handles the request checks
    it again.

    Raises:
        NoSuchMailbox, WrongToken: the mailbox is unknown, or the token is not its owner's.
    """
    await relay.mail.read(lambda view: require_owner_token(view, mailbox, token))


def require_owner_token(view: RowView, mailbox: MailboxId, token: Secret) -> StoredMailbox:
    """Return the mailbox, if ``token`` is its owner's; raises NoSuchMailbox, WrongToken."""
    stored = _require_mailbox(view, mailbox)
    if not equal_in_constant_time(stored.owner_lock, token_hash(token)):
        raise WrongToken
    return stored


def require_owner_or_close_token(view: RowView, mailbox: MailboxId, token: Secret) -> StoredMailbox:
    """Return the mailbox, if ``token`` may delete it: the owner's token or the close token.

    Raises:
        NoSuchMailbox, WrongToken.
    """
    stored = _require_mailbox(view, mailbox)
    shown = token_hash(token)
    if not equal_in_constant_time(stored.owner_lock, shown) and not equal_in_constant_time(
        stored.close_lock or b"", shown
    ):
        raise WrongToken
    return stored


def require_send_token(
    view: RowView, mailbox: MailboxId, token: Secret, present: datetime
) -> StoredToken:
    """Return the send token if it is valid; raises NoSuchMailbox, WrongToken, RelayClockAhead."""
    _require_mailbox(view, mailbox)
    stored = view.get(StoredToken, mailbox, token_hash(token))
    if stored is None or (stored.uses is not None and stored.used >= stored.uses):
        raise WrongToken
    if stored.due_at is not None and stored.due_at <= present:
        refuse_clock_ahead(view, present)
        raise WrongToken
    return stored


def require_owner_or_send_token(
    view: RowView, mailbox: MailboxId, token: Secret, present: datetime
) -> None:
    """Check that ``token`` is the owner's or a valid send token.

    Raises NoSuchMailbox, WrongToken, RelayClockAhead.
    """
    if not equal_in_constant_time(_require_mailbox(view, mailbox).owner_lock, token_hash(token)):
        require_send_token(view, mailbox, token, present)


def count_token_use(tx: RowTransaction, stored: StoredToken) -> None:
    """Count one accepted envelope, unless the token is unlimited; delete the token if it is used
    up.
    """
    if stored.uses is None:
        return
    used = replace(stored, used=stored.used + 1)
    if used.used >= stored.uses:
        tx.drop(StoredToken, stored.mailbox, stored.lock)
    else:
        tx.put(used)


def _require_mailbox(view: RowView, mailbox: MailboxId) -> StoredMailbox:
    stored = view.get(StoredMailbox, mailbox)
    if stored is None:
        raise NoSuchMailbox
    return stored


# Seconds. A mailbox usually has room again only after its owner has fetched letters, so asking
# sooner is useless.
_FULL_MAILBOX_RETRY_S: Final = 3600


def require_room_for_letter(view: RowView, mailbox: MailboxId, limits: RelayLimits) -> None:
    """Raise MailboxFull unless one more letter may wait in a mailbox."""
    if view.count(StoredLetter, mailbox=mailbox) >= min(limits.letters, LETTERS_WAITING_MAX):
        raise MailboxFull(retry_after_s=_FULL_MAILBOX_RETRY_S)


def require_room_for_share(view: RowView, mailbox: MailboxId) -> None:
    """Raise MailboxFull unless a mailbox may have one more share.

    A share (the relay's half of a content key) stays stored after its letter was fetched, so the
    limit on waiting letters does not limit the shares.
    """
    if view.count(StoredShare, mailbox=mailbox) >= SHARES_PER_MAILBOX_MAX:
        raise MailboxFull(retry_after_s=_FULL_MAILBOX_RETRY_S)


def require_room_in_group(view: RowView, group: bytes) -> None:
    """Raise MailboxFull unless one more share may join a group.

    The limit exists because ending a group reads all its shares in one transaction, for which other
    requests wait.
    """
    if view.count(StoredShare, group=group) >= SHARES_PER_GROUP_MAX:
        raise MailboxFull(retry_after_s=_FULL_MAILBOX_RETRY_S)


def require_room_for_blob(
    view: RowView, mailbox: MailboxId, size: int, limits: RelayLimits
) -> None:
    """Raise MailboxFull unless a mailbox may have one more blob of ``size`` bytes.

    Unfinished uploads count with their full size.
    """
    coming = view.count_and_sum(StoredUpload, "size", mailbox=mailbox)
    loose = view.count_and_sum(StoredBlob, "size", mailbox=mailbox, envelope=None)
    every = view.count_and_sum(StoredBlob, "size", mailbox=mailbox)
    for (rows, total), (rows_max, bytes_max) in (
        (
            loose,
            (
                UNREFERENCED_BLOBS_MAX,
                min(limits.unclaimed_blob_bytes_max, UNREFERENCED_BLOB_BYTES_MAX),
            ),
        ),
        (every, (MAILBOX_BLOBS_MAX, min(limits.mailbox_bytes, MAILBOX_BYTES_MAX))),
    ):
        if rows + coming[0] >= rows_max or total + coming[1] + size > bytes_max:
            raise MailboxFull(retry_after_s=_FULL_MAILBOX_RETRY_S)


def require_room_for_tokens(registered: int, more: int) -> None:
    """Raise TooManyRegistered unless ``more`` tokens may join those that are registered."""
    if registered + more > TOKENS_PER_MAILBOX_MAX:
        raise TooManyRegistered(limit=TOKENS_PER_MAILBOX_MAX, retry_after_s=_FULL_MAILBOX_RETRY_S)


def require_room_for_device(view: RowView, mailbox: MailboxId) -> None:
    """Raise TooManyRegistered unless one more device may publish keys at a mailbox."""
    if view.count(ReusableKeys, mailbox=mailbox) >= PREKEY_DEVICES_MAX:
        raise TooManyRegistered(limit=PREKEY_DEVICES_MAX, retry_after_s=_FULL_MAILBOX_RETRY_S)


_UPLOAD_QUOTA_RETRY_S: Final = 60


class UploadsInProgress:
    """The number of bytes that are being uploaded, by the hash of the send token."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes: Counter[bytes] = Counter()

    @contextmanager
    def admit_upload(self, token_hash: bytes, size: int) -> Iterator[None]:
        """While the block runs, count ``size`` bytes as being uploaded with the token. An upload is
        always admitted if the token has no other upload in progress.

        Raises:
            TooMany: the token would upload too much at once.
        """
        if self._bytes[token_hash] and self._bytes[token_hash] + size > self._bytes_max:
            raise TooMany(retry_after_s=_UPLOAD_QUOTA_RETRY_S)
        self._bytes[token_hash] += size
        try:
            yield
        finally:
            self._bytes[token_hash] -= size
            if not self._bytes[token_hash]:
                del self._bytes[token_hash]

    def __len__(self) -> int:
        return len(self._bytes)
