"""Keep prekeys for sleeping devices; hand each one-time key out once (relay.md section 2)."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from entrenous.carry.mailboxes.room import room_for_device
from entrenous.carry.mailboxes.tokens import owner, sender
from entrenous.carry.moment import now
from entrenous.craft.crypto.hashing import sha256
from entrenous.model.envelope import PrekeyBundle, Prekeys
from entrenous.model.held import HeldKey, HeldToken, LastingKeys, SpentKey
from entrenous.model.ids import DeviceId, MailboxId
from entrenous.model.relay_problem import NoPrekeys, TooLarge, TooMany
from entrenous.model.secret import Secret
from entrenous.ports import MailDesk, MailView, Relay
from entrenous.spec import (
    CLAIMS_OF_ONE_USE,
    CLAIMS_PER_HOUR,
    ONE_TIME_KEYS,
    PREKEY_BYTES_MAX,
    SPENT_KEY_DAYS,
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

    def work(desk: MailDesk) -> int:
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

    def work(view: MailView) -> int:
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

    def work(desk: MailDesk) -> PrekeyBundle:
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


def _drop_others(desk: MailDesk, mailbox: MailboxId, device: DeviceId, prekeys: Prekeys) -> None:
    kept = {sha256(signed) for signed in prekeys.one_time}
    for held in desk.find(HeldKey, limit=ONE_TIME_KEYS, mailbox=mailbox, device=device):
        if held.digest not in kept:
            desk.drop(HeldKey, mailbox, device, held.digest)


def _add(desk: MailDesk, key: HeldKey) -> None:
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


def _take(desk: MailDesk, mailbox: MailboxId, device: DeviceId, present: datetime) -> bytes | None:
    keys = desk.find(HeldKey, limit=1, mailbox=mailbox, device=device)
    for key in keys:
        desk.drop(HeldKey, mailbox, device, key.digest)
        until = present + timedelta(days=SPENT_KEY_DAYS)
        desk.put(SpentKey(mailbox, device, key.digest, until))
    return keys[0].signed if keys else None
