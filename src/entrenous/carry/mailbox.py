"""Create a mailbox, store its key bundle and prekeys, and delete it with its contents
(docs/spec/relay.md sections 2 and 10).
"""

from datetime import datetime, timedelta
from functools import partial
from typing import Final

from msgspec.structs import replace

from entrenous.base.errors import (
    IdInUse,
    MailboxesClosed,
    NoPrekeys,
    NoSuchMailbox,
    TooLarge,
    TooMany,
)
from entrenous.base.identifiers import ID_BYTES, DeviceId, MailboxId
from entrenous.base.limits import (
    ENCRYPTED_KEY_BUNDLE_BYTES_MAX,
    ONE_TIME_KEYS_MAX,
    PREKEY_BYTES_MAX,
    PREKEY_CLAIMS_PER_HOUR_MAX,
    SINGLE_USE_TOKEN_CLAIMS_PER_HOUR_MAX,
    USED_KEY_KEPT_DAYS,
)
from entrenous.base.secret import Secret
from entrenous.carry.expire import (
    UNEMPTIED_MAILBOX_DUE_AT,
    empty_deleted_mailbox_batch,
    remove_request_orphans,
    with_orphan_names,
)
from entrenous.carry.relay import Relay, RowTransaction, RowView, now
from entrenous.carry.relay_rows import (
    DeletedMailbox,
    ReusableKeys,
    StoredKeyBundle,
    StoredLock,
    StoredMailbox,
    StoredOneTimeKey,
    StoredToken,
    UsedOneTimeKey,
)
from entrenous.carry.send_tokens import (
    require_owner_or_close_token,
    require_owner_or_send_token,
    require_owner_token,
    require_room_for_device,
    require_send_token,
)
from entrenous.crypto.hashing import equal_in_constant_time, sha256
from entrenous.wire.relay_nouns import PrekeyBundle, Prekeys

#: This id is reserved: relays with the first schema stored it with shares whose mailbox they did
#: not know. The owner of a mailbox with this id could delete all those shares.
_RESERVED_MAILBOX: Final = MailboxId(bytes(ID_BYTES))


async def create_mailbox(
    mailbox: MailboxId, owner_lock: bytes, relay: Relay, close_lock: bytes | None = None
) -> bool:
    """Create a mailbox.

    ``owner_lock`` is the hash of the owner's token; ``close_lock`` is the hash of the token that
    may delete the mailbox.

    Returns:
        False if the mailbox existed before with the same locks.

    Raises:
        IdInUse: the mailbox exists with other locks, it was deleted recently, or its id is
            reserved.
        MailboxesClosed: this relay makes no new mailboxes.
    """

    def store_new_mailbox(tx: RowTransaction) -> bool:
        if mailbox == _RESERVED_MAILBOX:
            raise IdInUse
        stored = tx.get(StoredMailbox, mailbox)
        if stored is None and tx.get(DeletedMailbox, mailbox) is None:
            if not relay.limits.mailbox_open:
                raise MailboxesClosed
            tx.put(StoredMailbox(mailbox, owner_lock, close_lock=close_lock))
        elif stored is None or not _has_same_locks(stored, owner_lock, close_lock):
            raise IdInUse
        return stored is None

    return await relay.mail.transact(store_new_mailbox)


async def replace_key_bundle(mailbox: MailboxId, token: Secret, card: bytes, relay: Relay) -> None:
    """Replace the mailbox's card: the key bundle that its correspondents read.

    Raises:
        NoSuchMailbox, WrongToken: the mailbox is unknown, or the token is not its owner's.
        TooLarge: the card has more than 128 KiB.
    """
    if len(card) > ENCRYPTED_KEY_BUNDLE_BYTES_MAX:
        raise TooLarge(limit_bytes=ENCRYPTED_KEY_BUNDLE_BYTES_MAX)

    def store_card(tx: RowTransaction) -> None:
        require_owner_token(tx, mailbox, token)
        tx.put(StoredKeyBundle(mailbox, card))

    await relay.mail.transact(store_card)


async def find_key_bundle(mailbox: MailboxId, token: Secret, relay: Relay) -> bytes:
    """Return the card (key bundle); only the owner and holders of a send token may read it.

    Raises:
        NoSuchMailbox: there is no such mailbox, or it has no card yet.
        WrongToken: the token is neither the owner's nor a valid send token.
        RelayClockAhead: the clock may be wrong, so it is unknown whether the send token has
            expired.
    """
    present = now(relay)

    def read_card(view: RowView) -> bytes:
        require_owner_or_send_token(view, mailbox, token, present)
        stored = view.get(StoredKeyBundle, mailbox)
        if stored is None:
            raise NoSuchMailbox
        return stored.card

    return await relay.mail.read(read_card)


def _has_same_locks(stored: StoredMailbox, owner_lock: bytes, close_lock: bytes | None) -> bool:
    return equal_in_constant_time(stored.owner_lock, owner_lock) and equal_in_constant_time(
        stored.close_lock or b"", close_lock or b""
    )


_HOUR: Final = timedelta(hours=1)


async def replace_prekeys(
    mailbox: MailboxId, token: Secret, device: DeviceId, prekeys: Prekeys, relay: Relay
) -> int:
    """Replace all keys of a device, and return how many one-time keys are stored now.

    Keys that are handed out together belong to one set, since one signature covers a set
    (identity.md section 5). A key that has been handed out is not stored again. At most fifty
    one-time keys are stored.

    Raises:
        NoSuchMailbox, WrongToken: the mailbox is unknown, or the token is not its owner's.
        TooLarge: a key has more than 8 KiB.
        TooManyRegistered: the mailbox already has the maximum number of devices.
    """
    _refuse_large_prekeys(prekeys)

    def replace_keys(tx: RowTransaction) -> int:
        require_owner_token(tx, mailbox, token)
        stored = tx.get(ReusableKeys, mailbox, device)
        if stored is None:
            require_room_for_device(tx, mailbox)
        _drop_replaced_one_time_keys(tx, mailbox, device, prekeys)
        for signed in prekeys.one_time:
            _add_one_time_key_if_allowed(
                tx, StoredOneTimeKey(mailbox, device, sha256(signed), signed)
            )
        tx.put(ReusableKeys(mailbox, device, prekeys.fallback, prekeys.xwing))
        return tx.count(StoredOneTimeKey, mailbox=mailbox, device=device)

    return await relay.mail.transact(replace_keys)


async def count_one_time_keys(
    mailbox: MailboxId, token: Secret, device: DeviceId, relay: Relay
) -> int:
    """Return how many one-time keys of a device are left; only the owner may ask.

    Raises NoSuchMailbox, WrongToken.
    """

    def count_keys(view: RowView) -> int:
        require_owner_token(view, mailbox, token)
        return view.count(StoredOneTimeKey, mailbox=mailbox, device=device)

    return await relay.mail.read(count_keys)


async def claim_prekeys(
    mailbox: MailboxId, token: Secret, device: DeviceId, relay: Relay
) -> PrekeyBundle:
    """Hand out the keys that start a session with a device.

    Raises:
        NoSuchMailbox, WrongToken: the mailbox is unknown, or has no such valid send token.
        NoPrekeys: the device has never published any prekeys.
        TooMany: the token was already used for 20 claims within an hour (for 4, if it admits only
            one envelope).
        RelayClockAhead: the clock may be wrong, so it is unknown whether the token has expired.
    """
    present = now(relay)

    def take_keys(tx: RowTransaction) -> PrekeyBundle:
        tx.put(_token_after_claim(require_send_token(tx, mailbox, token, present), present))
        lasting = tx.get(ReusableKeys, mailbox, device)
        if lasting is None or lasting.fallback is None or lasting.xwing is None:
            raise NoPrekeys
        one_time = _take_one_time_key(tx, mailbox, device, present)
        return PrekeyBundle(device, one_time, lasting.fallback, lasting.xwing)

    return await relay.mail.transact(take_keys)


def _refuse_large_prekeys(prekeys: Prekeys) -> None:
    every = (*prekeys.one_time, prekeys.fallback, prekeys.xwing)
    if any(len(signed) > PREKEY_BYTES_MAX for signed in every):
        raise TooLarge(limit_bytes=PREKEY_BYTES_MAX)


def _drop_replaced_one_time_keys(
    tx: RowTransaction, mailbox: MailboxId, device: DeviceId, prekeys: Prekeys
) -> None:
    kept = {sha256(signed) for signed in prekeys.one_time}
    for held in tx.find(StoredOneTimeKey, limit=ONE_TIME_KEYS_MAX, mailbox=mailbox, device=device):
        if held.digest not in kept:
            tx.drop(StoredOneTimeKey, mailbox, device, held.digest)


def _add_one_time_key_if_allowed(tx: RowTransaction, key: StoredOneTimeKey) -> None:
    spent = tx.get(UsedOneTimeKey, key.mailbox, key.device, key.digest)
    held = tx.count(StoredOneTimeKey, mailbox=key.mailbox, device=key.device)
    if spent is None and held < ONE_TIME_KEYS_MAX:
        tx.put(key)


def _token_after_claim(stored: StoredToken, present: datetime) -> StoredToken:
    over_at = stored.claims_since + _HOUR
    if stored.claims == 0 or present >= over_at:
        return replace(stored, claims=1, claims_since=present)
    if stored.claims >= (
        SINGLE_USE_TOKEN_CLAIMS_PER_HOUR_MAX if stored.uses == 1 else PREKEY_CLAIMS_PER_HOUR_MAX
    ):
        raise TooMany(retry_after_s=int((over_at - present).total_seconds()))
    return replace(stored, claims=stored.claims + 1)


def _take_one_time_key(
    tx: RowTransaction, mailbox: MailboxId, device: DeviceId, present: datetime
) -> bytes | None:
    keys = tx.find(StoredOneTimeKey, limit=1, mailbox=mailbox, device=device)
    for key in keys:
        tx.drop(StoredOneTimeKey, mailbox, device, key.digest)
        until = present + timedelta(days=USED_KEY_KEPT_DAYS)
        tx.put(UsedOneTimeKey(mailbox, device, key.digest, until))
    return keys[0].signed if keys else None


async def replace_close_token_hash(
    mailbox: MailboxId, token: Secret, close_lock: bytes, relay: Relay
) -> None:
    """Replace the hash of the close token, the token that permits deleting this mailbox.

    Raises NoSuchMailbox, WrongToken.
    """

    def store_close_lock(tx: RowTransaction) -> None:
        tx.put(replace(require_owner_token(tx, mailbox, token), close_lock=close_lock))

    await relay.mail.transact(store_close_lock)


async def delete_mailbox_with_contents(mailbox: MailboxId, token: Secret, relay: Relay) -> None:
    """Delete a mailbox; repeating this is harmless.

    When this returns, three things are left: the mailbox's id, so that it cannot be used for 30
    days; the tombstones of envelopes; and blob bytes that the store has not removed yet. The first
    of several transactions deletes the mailbox, its card and its lock. After a crash, the next
    sweep deletes the rest.

    Raises:
        NoSuchMailbox, WrongToken: the mailbox is unknown, or the token is neither its owner's nor
            its close token.
    """

    def replace_by_deleted_mailbox(tx: RowTransaction) -> DeletedMailbox:
        deleted_mailbox = tx.get(DeletedMailbox, mailbox)
        if deleted_mailbox is not None:
            return deleted_mailbox
        require_owner_or_close_token(tx, mailbox, token)
        for kind in (StoredMailbox, StoredLock, StoredKeyBundle):
            tx.drop(kind, mailbox)
        tx.put(DeletedMailbox(mailbox, UNEMPTIED_MAILBOX_DUE_AT))
        return DeletedMailbox(mailbox, UNEMPTIED_MAILBOX_DUE_AT)

    deleted_mailbox, orphans, more = (
        await relay.mail.transact(replace_by_deleted_mailbox),
        list[str](),
        True,
    )
    while more:
        part = with_orphan_names(
            partial(
                empty_deleted_mailbox_batch, deleted_mailbox=deleted_mailbox, present=now(relay)
            )
        )
        more, names = await relay.mail.transact(part)
        orphans += names
    await remove_request_orphans(orphans, relay)
