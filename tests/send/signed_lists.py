"""Issue device lists, key bundles and certificates, signed with a person's master key."""

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


def identity_of(person: Person) -> Identity:
    identity = OWN_IDENTITY.load(person.device.vault)
    assert identity is not None
    return identity


def replace_identity(person: Person, identity: Identity) -> None:
    """Overwrite the identity stored on a person's device."""
    OWN_IDENTITY.store(identity, person.device.vault)


def next_device_list(newest: DeviceListStatement, **fields: Any) -> DeviceListStatement:
    """Return the list of the next epoch, linked to ``newest`` by hash, with changed fields."""
    epoch, previous = newest.said.epoch + 1, device_list_head(newest.statement)
    successor = replace(newest.said, epoch=epoch, previous=previous, **fields)
    return read_device_list(write_device_list(successor))


def changed_device_list(newest: DeviceListStatement, **fields: Any) -> DeviceListStatement:
    """Return ``newest`` with changed fields; unless the epoch changes, the two lists conflict."""
    return read_device_list(write_device_list(replace(newest.said, **fields)))


def issue_key_bundle(
    person: Person,
    *,
    same_epoch: bool = False,
    further_devices: tuple[SignedDeviceCertificate, ...] = (),
    **fields: Any,
) -> bytes:
    """Issue a person's next device list, or a conflicting one of the same epoch. Store the new key
    bundle on the person's device and return it. Each further device gets a separate mailbox id.
    """
    identity = identity_of(person)
    assert identity.card is not None
    bundle = read_key_bundle(identity.card)
    further_entries = [
        ListedDevice(
            one.certificate.device, certificate_hash(one), MailboxId(one.certificate.device)
        )
        for one in further_devices
    ]
    devices = sorted((*bundle.newest.said.devices, *further_entries), key=lambda one: one.device)
    new = (changed_device_list if same_epoch else next_device_list)(
        bundle.newest, devices=tuple(devices), **fields
    )
    lists = (*(bundle.lists[:-1] if same_epoch else bundle.lists), new)
    assert identity.master is not None
    issued = sign_bundle(identity.master, lists, (*bundle.certificates, *further_devices))
    replace_identity(
        person, replace(identity, person=verify_key_bundle(issued), card=write_key_bundle(issued))
    )
    return write_key_bundle(issued)


def certify_another_device(
    person: Person, signer: DeviceSigner | None = None
) -> SignedDeviceCertificate:
    """Sign a certificate for a further device, for which nothing exists at a relay."""
    identity = identity_of(person)
    assert identity.master is not None
    return certify_device(
        identity.master, signer or new_device_signer(bytes(32)), DeviceId(bytes(16)), NOON
    )
