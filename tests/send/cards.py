"""Make further key bundles of a person, signed with that person's master key."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from entrenous.base.identifiers import DeviceId, MailboxId
from entrenous.base.identity import DeviceListStatement, ListedDevice, SignedDeviceCertificate
from entrenous.crypto.identity_keys import DeviceSigner, new_device_signer
from entrenous.crypto.statements import certificate_hash, device_list_head, verify_key_bundle
from entrenous.device.identities import OWN_IDENTITY, Identity
from entrenous.send.devices.own_key_bundle import certify_device, sign_bundle
from entrenous.wire.key_bundle import (
    read_device_list,
    read_key_bundle,
    write_device_list,
    write_key_bundle,
)
from tests.send.send_device import Person

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def identity_of(who: Person) -> Identity:
    identity = OWN_IDENTITY.load(who.device.vault)
    assert identity is not None
    return identity


def becomes(who: Person, identity: Identity) -> None:
    """Replace the identity stored on a person's device."""
    OWN_IDENTITY.store(identity, who.device.vault)


def after(newest: DeviceListStatement, **fields: Any) -> DeviceListStatement:
    """Return the next device list: the next epoch, linked to ``newest`` by hash."""
    said = newest.said
    following = replace(
        said, epoch=said.epoch + 1, previous=device_list_head(newest.statement), **fields
    )
    return read_device_list(write_device_list(following))


def instead(newest: DeviceListStatement, **fields: Any) -> DeviceListStatement:
    """Return a conflicting device list of the same epoch."""
    return read_device_list(write_device_list(replace(newest.said, **fields)))


def issue_key_bundle(
    who: Person,
    *,
    same_epoch: bool = False,
    further: tuple[SignedDeviceCertificate, ...] = (),
    **fields: Any,
) -> bytes:
    """Issue a person's next device list, or a conflicting one of the same epoch. Store the new key
    bundle on the person's device and return it. ``further`` devices get mailboxes of their own.
    """
    identity = identity_of(who)
    assert identity.card is not None
    card = read_key_bundle(identity.card)
    listed = [
        ListedDevice(
            one.certificate.device, certificate_hash(one), MailboxId(one.certificate.device)
        )
        for one in further
    ]
    devices = sorted((*card.newest.said.devices, *listed), key=lambda one: one.device)
    new = (instead if same_epoch else after)(card.newest, devices=tuple(devices), **fields)
    lists = (*(card.lists[:-1] if same_epoch else card.lists), new)
    assert identity.master is not None
    issued = sign_bundle(identity.master, lists, (*card.certificates, *further))
    becomes(who, replace(identity, person=verify_key_bundle(issued), card=write_key_bundle(issued)))
    return write_key_bundle(issued)


def another_device(who: Person, signer: DeviceSigner | None = None) -> SignedDeviceCertificate:
    """Certify a device of a person; it has no session, prekeys or mailbox."""
    identity = identity_of(who)
    assert identity.master is not None
    return certify_device(
        identity.master, signer or new_device_signer(bytes(32)), DeviceId(bytes(16)), NOON
    )
