"""When each device of somebody was last heard of: by its last letter, or its newest prekey."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from entrenous.craft.crypto.statements import verify_prekey
from entrenous.craft.wire.identity.prekey import read_prekey
from entrenous.model.card import BadPrekey
from entrenous.model.errors import EntrenousError
from entrenous.model.ids import DeviceId, PersonId
from entrenous.model.person import Contact, DeviceKey
from entrenous.model.talk import Heard
from entrenous.ports import Device, Vault
from entrenous.send.drawers import HEARD, lay, peer_key, take
from entrenous.send.odd_clock import is_lately
from entrenous.send.tokens.place import way_to
from entrenous.send.tokens.use import token_for

_ASK_AGAIN: Final = timedelta(hours=24)  # each time costs them a one-time key


def hear(person: PersonId, key: DeviceId, device: Device) -> None:
    """Note that a letter from this device came just now."""
    lay(Heard(device.clock.now()), HEARD, peer_key(person, key), device.vault)


def heard_at(contact: Contact, key: DeviceKey, device: Device) -> datetime:
    """When a device was last heard of: its last letter or prekey, or when we first knew of it."""
    whose, now = peer_key(contact.person.id, key.device), device.clock.now()
    heard = take(Heard, HEARD, whose, device.vault)
    moments = [contact.since, key.created_at, *([] if heard is None else [heard.at])]
    past = [one for one in moments if one <= now]  # the others are from a clock that was ahead
    return max(past, default=max(moments))


def ask_after(contact: Contact, key: DeviceKey, device: Device) -> None:
    """Ask their relay for the device's newest X-Wing prekey, which it replaces every week as long
    as its program runs (docs/spec/identity.md section 5), and note when that was made.

    A relay that does not answer, or shows an old one, leaves things as they are.
    """
    whose, now = peer_key(contact.person.id, key.device), device.clock.now()
    heard = take(Heard, HEARD, whose, device.vault)
    looked_at = None if heard is None else heard.looked_at
    if looked_at is not None and is_lately(looked_at, _ASK_AGAIN, device):
        return
    at = heard_at(contact, key, device)
    with suppress(EntrenousError):
        at = max(at, min(now, _newest_prekey(contact, key, device)))
    lay(Heard(at, now), HEARD, whose, device.vault)


def forget_heard(person: PersonId, vault: Vault) -> None:
    """Forget when a person's devices were heard of."""
    for key in vault.keys(HEARD, person.hex()):
        vault.drop(HEARD, key)


def _newest_prekey(contact: Contact, key: DeviceKey, device: Device) -> datetime:
    token = token_for(contact, key.device, device)
    url, mailbox = way_to(contact.person, key, device)
    bundle = device.courier.claim_prekeys(url, mailbox, token, key.device)
    signed = read_prekey(bundle.xwing)
    if signed.batch is None:
        raise BadPrekey
    verify_prekey(signed, signed.batch, key, mailbox)
    return signed.prekey.made_at
