"""Create a mailbox, keep its card and prekeys, and delete it with all that it holds
(docs/spec/relay.md sections 2 and 10).
"""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

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
    CARD_BYTES_MAX,
    CLAIMS_OF_ONE_USE,
    CLAIMS_PER_HOUR,
    ONE_TIME_KEYS,
    PREKEY_BYTES_MAX,
    SPENT_KEY_DAYS,
)
from entrenous.base.secret import Secret
from entrenous.carry.expire import EMPTYING, empty_some, noted, remove_soon
from entrenous.carry.relay import Relay, RowTransaction, RowView, now
from entrenous.carry.relay_rows import (
    GoneMailbox,
    HeldCard,
    HeldKey,
    HeldLock,
    HeldMailbox,
    HeldToken,
    LastingKeys,
    SpentKey,
)
from entrenous.carry.send_tokens import closer, owner, reader, room_for_device, sender
from entrenous.crypto.hashing import equal_in_constant_time, sha256
from entrenous.wire.relay_nouns import PrekeyBundle, Prekeys

#: Where shares are whose mailbox a relay of the first schema did not know: whoever had it could
#: end them all.
_NOBODYS: Final = MailboxId(bytes(ID_BYTES))


async def create_mailbox(
    mailbox: MailboxId, owner_lock: bytes, relay: Relay, close_lock: bytes | None = None
) -> bool:
    """Make a mailbox for whoever holds the token of ``owner_lock``; False if it was there before.

    Whoever holds that of ``close_lock`` may delete it (carry/mailbox.py).

    Raises:
        IdInUse: there is one of that name, with other locks; or there was, until lately; or the
            name is nobody's.
        MailboxesClosed: this relay makes no new ones.
    """

    def work(desk: RowTransaction) -> bool:
        if mailbox == _NOBODYS:
            raise IdInUse
        held = desk.get(HeldMailbox, mailbox)
        if held is None and desk.get(GoneMailbox, mailbox) is None:
            if not relay.limits.mailbox_open:
                raise MailboxesClosed
            desk.put(HeldMailbox(mailbox, owner_lock, close_lock=close_lock))
        elif held is None or not _is_same(held, owner_lock, close_lock):
            raise IdInUse
        return held is None

    return await relay.mail.together(work)


async def put_card(mailbox: MailboxId, token: Secret, card: bytes, relay: Relay) -> None:
    """Show ``card`` from now on.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
        TooLarge: more than 128 KiB.
    """
    if len(card) > CARD_BYTES_MAX:
        raise TooLarge(limit_bytes=CARD_BYTES_MAX)

    def work(desk: RowTransaction) -> None:
        owner(desk, mailbox, token)
        desk.put(HeldCard(mailbox, card))

    await relay.mail.together(work)


async def card_of(mailbox: MailboxId, token: Secret, relay: Relay) -> bytes:
    """The card, for the owner or the holder of a send token.

    Raises:
        NoSuchMailbox: no such mailbox, or it has no card yet.
        WrongToken: neither of the two.
    """
    present = now(relay)

    def work(view: RowView) -> bytes:
        reader(view, mailbox, token, present)
        held = view.get(HeldCard, mailbox)
        if held is None:
            raise NoSuchMailbox
        return held.card

    return await relay.mail.look(work)


def _is_same(held: HeldMailbox, owner_lock: bytes, close_lock: bytes | None) -> bool:
    return equal_in_constant_time(held.owner_lock, owner_lock) and equal_in_constant_time(
        held.close_lock or b"", close_lock or b""
    )


_HOUR: Final = timedelta(hours=1)


async def add_prekeys(
    mailbox: MailboxId, token: Secret, device: DeviceId, prekeys: Prekeys, relay: Relay
) -> int:
    """Replace all keys of a device by these; the count of one-time keys held.

    What is handed out together is of one set, since one signature covers a set (identity.md
    section 5). A key that was handed out before is not taken again, nor is one beyond the fiftieth.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
        TooLarge: a key of more than 8 KiB.
        TooManyRegistered: it would be one device too many.
    """
    _refuse_large(prekeys)

    def work(desk: RowTransaction) -> int:
        owner(desk, mailbox, token)
        held = desk.get(LastingKeys, mailbox, device)
        if held is None:
            room_for_device(desk, mailbox)
        _drop_others(desk, mailbox, device, prekeys)
        for signed in prekeys.one_time:
            _add(desk, HeldKey(mailbox, device, sha256(signed), signed))
        desk.put(LastingKeys(mailbox, device, prekeys.fallback, prekeys.xwing))
        return desk.count(HeldKey, mailbox=mailbox, device=device)

    return await relay.mail.together(work)


async def count_prekeys(mailbox: MailboxId, token: Secret, device: DeviceId, relay: Relay) -> int:
    """How many one-time keys are left, for the owner; raises NoSuchMailbox, WrongToken."""

    def work(view: RowView) -> int:
        owner(view, mailbox, token)
        return view.count(HeldKey, mailbox=mailbox, device=device)

    return await relay.mail.look(work)


async def claim_prekeys(
    mailbox: MailboxId, token: Secret, device: DeviceId, relay: Relay
) -> PrekeyBundle:
    """Hand out what is needed to start a session with a device.

    Raises:
        NoSuchMailbox, WrongToken: this is no holder of a send token.
        NoPrekeys: the device has never published any.
        TooMany: more than 20 claims in the hour that began with this token's first; 4 of a token
            that admits one envelope.
    """
    present = now(relay)

    def work(desk: RowTransaction) -> PrekeyBundle:
        desk.put(_counted(sender(desk, mailbox, token, present), present))
        lasting = desk.get(LastingKeys, mailbox, device)
        if lasting is None or lasting.fallback is None or lasting.xwing is None:
            raise NoPrekeys
        one_time = _take(desk, mailbox, device, present)
        return PrekeyBundle(device, one_time, lasting.fallback, lasting.xwing)

    return await relay.mail.together(work)


def _refuse_large(prekeys: Prekeys) -> None:
    every = (*prekeys.one_time, prekeys.fallback, prekeys.xwing)
    if any(len(signed) > PREKEY_BYTES_MAX for signed in every):
        raise TooLarge(limit_bytes=PREKEY_BYTES_MAX)


def _drop_others(
    desk: RowTransaction, mailbox: MailboxId, device: DeviceId, prekeys: Prekeys
) -> None:
    kept = {sha256(signed) for signed in prekeys.one_time}
    for held in desk.find(HeldKey, limit=ONE_TIME_KEYS, mailbox=mailbox, device=device):
        if held.digest not in kept:
            desk.drop(HeldKey, mailbox, device, held.digest)


def _add(desk: RowTransaction, key: HeldKey) -> None:
    spent = desk.get(SpentKey, key.mailbox, key.device, key.digest)
    held = desk.count(HeldKey, mailbox=key.mailbox, device=key.device)
    if spent is None and held < ONE_TIME_KEYS:
        desk.put(key)


def _counted(held: HeldToken, present: datetime) -> HeldToken:
    over_at = held.claims_since + _HOUR
    if held.claims == 0 or present >= over_at:
        return replace(held, claims=1, claims_since=present)
    if held.claims >= (CLAIMS_OF_ONE_USE if held.uses == 1 else CLAIMS_PER_HOUR):
        raise TooMany(retry_after_s=int((over_at - present).total_seconds()))
    return replace(held, claims=held.claims + 1)


def _take(
    desk: RowTransaction, mailbox: MailboxId, device: DeviceId, present: datetime
) -> bytes | None:
    keys = desk.find(HeldKey, limit=1, mailbox=mailbox, device=device)
    for key in keys:
        desk.drop(HeldKey, mailbox, device, key.digest)
        until = present + timedelta(days=SPENT_KEY_DAYS)
        desk.put(SpentKey(mailbox, device, key.digest, until))
    return keys[0].signed if keys else None


async def set_close_lock(
    mailbox: MailboxId, token: Secret, close_lock: bytes, relay: Relay
) -> None:
    """From now on another token deletes this mailbox; raises NoSuchMailbox, WrongToken."""

    def work(desk: RowTransaction) -> None:
        desk.put(replace(owner(desk, mailbox, token), close_lock=close_lock))

    await relay.mail.together(work)


async def close_mailbox(mailbox: MailboxId, token: Secret, relay: Relay) -> None:
    """Delete it; when this returns, all is gone but its name, taken for 30 days, and what bytes of
    blobs the store has not removed yet. May be repeated.

    It is nobody's any more after the first of several transactions; what is left after a crash goes
    with the next sweep.

    Raises:
        NoSuchMailbox, WrongToken: this is neither the owner nor the holder of the close token.
    """

    def work(desk: RowTransaction) -> GoneMailbox:
        gone = desk.get(GoneMailbox, mailbox)
        if gone is not None:
            return gone
        closer(desk, mailbox, token)
        for kind in (HeldMailbox, HeldLock, HeldCard):
            desk.drop(kind, mailbox)
        desk.put(GoneMailbox(mailbox, EMPTYING))
        return GoneMailbox(mailbox, EMPTYING)

    gone, left, more = await relay.mail.together(work), list[str](), True
    while more:
        part = noted(partial(empty_some, gone=gone, present=now(relay)))
        more, names = await relay.mail.together(part)
        left += names
    await remove_soon(left, relay)
