"""Make a device: keys for its owner and for itself, a mailbox at her relay."""

from entrenous.craft.crypto.device import identity_key, new_account, signing_key
from entrenous.craft.crypto.hashing import person_id
from entrenous.craft.crypto.master import MASTER_BYTES, new_master, public_master
from entrenous.craft.crypto.statements import sign_card, sign_certificate
from entrenous.craft.wire.card import (
    device_key,
    write_card,
    write_card_statement,
    write_certificate,
)
from entrenous.craft.wire.cbor import BadCbor
from entrenous.craft.wire.text import as_url, is_name
from entrenous.model.card import Certificate
from entrenous.model.identity import BadRelayAddress, Home, Identity
from entrenous.model.ids import ID_BYTES, DeviceId, MailboxId
from entrenous.model.person import BadName, DeviceKey, MasterKey, Person
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.drawers import SELF
from entrenous.send.moment import this_second
from entrenous.send.prekeys import publish_prekeys
from entrenous.send.self import keep_account, keep_identity, who_am_i
from entrenous.send.shown_card import shown_card

_UNFINISHED = "set-up-unfinished"


def set_up(name: str, relay_url: str | None, device: Device) -> Identity:
    """Give an empty vault its owner; without a relay it can mark and trace, and needs no keys.

    Raises:
        BadName, BadRelayAddress, NotEncrypted, RelayUnreachable, ProtocolTooOld.
    """
    if not is_name(name):
        raise BadName
    if relay_url is None:
        identity = Identity(name, _new_device_id(device), this_second(device))
        keep_identity(identity, device)
        return identity
    return _with_relay(name, _address(relay_url), device)


def _address(relay_url: str) -> str:
    try:
        return as_url(relay_url.rstrip("/"))
    except BadCbor:
        raise BadRelayAddress from None


def _with_relay(name: str, relay_url: str, device: Device) -> Identity:
    home = Home(relay_url, MailboxId(device.dice.token(ID_BYTES)), Secret(device.dice.token(32)))
    master = new_master(device.dice.token(MASTER_BYTES))
    account = new_account()
    key = _certified(master, account, device)
    person = _person(name, public_master(master), home, key)
    statement = write_card_statement(person, this_second(device))
    card = write_card(statement, sign_card(master, statement))
    identity = Identity(name, key.device, key.created_at, home, person, card, master)
    with device.vault.together():
        keep_account(account, device)
        keep_identity(identity, device)
        device.vault.put(SELF, _UNFINISHED, b"")
    finish_set_up(device)
    return identity


def finish_set_up(device: Device) -> None:
    """Make the mailbox and publish what others need, unless that was done; may be repeated.

    A set-up that was killed in between is finished by the next command.

    Raises:
        NotEncrypted, RelayUnreachable, ProtocolTooOld.
    """
    if device.vault.get(SELF, _UNFINISHED) is None:
        return
    me = who_am_i(device)
    device.courier.create_mailbox(me.home.relay_url, me.home.mailbox, me.home.owner)
    shown = shown_card(me.card, me.person.id, me.home.mailbox)
    device.courier.publish_card(me.home.relay_url, me.home.mailbox, me.home.owner, shown)
    publish_prekeys(device)
    device.vault.drop(SELF, _UNFINISHED)


def _certified(master: Secret, account: Secret, device: Device) -> DeviceKey:
    certificate = Certificate(
        person=person_id(public_master(master)),
        device=_new_device_id(device),
        ed25519=signing_key(account),
        curve25519=identity_key(account),
        created_at=this_second(device),
    )
    return device_key(certificate, sign_certificate(master, write_certificate(certificate)))


def _person(name: str, master: MasterKey, home: Home, key: DeviceKey) -> Person:
    return Person(
        id=person_id(master),
        name=name,
        master=master,
        relay_url=home.relay_url,
        mailbox=home.mailbox,
        epoch=1,
        devices=(key,),
    )


def _new_device_id(device: Device) -> DeviceId:
    return DeviceId(device.dice.token(ID_BYTES))
