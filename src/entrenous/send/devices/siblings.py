"""The other devices of the same person: known by name here, and a contact that no list shows."""

from collections.abc import Iterable
from dataclasses import replace

from entrenous.craft.wire.text import numbered
from entrenous.model.identity import Identity
from entrenous.model.ids import DeviceId, MailboxId
from entrenous.model.link import Sibling, UnknownDevice
from entrenous.model.person import Contact, Person, Trust
from entrenous.ports import Device
from entrenous.send.devices.first_token import NO_TOKEN
from entrenous.send.devices.self import DEVICE_NAME, IDENTITY
from entrenous.send.drawers import SELF, SIBLING, lay, take, take_all

_FIRST_NAME = "device 1"


def siblings(device: Device) -> tuple[Sibling, ...]:
    """Our other devices, by name."""
    found = take_all(Sibling, SIBLING, device.vault)
    return tuple(sorted(found, key=lambda one: one.name.casefold()))


def keep_sibling(sibling: Sibling, device: Device) -> None:
    """Store what is known of another device of ours."""
    lay(sibling, SIBLING, sibling.device.hex(), device.vault)


def sibling_of(key: DeviceId, device: Device) -> Sibling | None:
    """What is known of this device of ours."""
    return take(Sibling, SIBLING, key.hex(), device.vault)


def sibling_named(name: str, device: Device) -> Sibling:
    """The other device that we call so, whatever its case.

    Raises:
        UnknownDevice.
    """
    known = siblings(device)
    for one in known:
        if one.name.casefold() == name.strip().casefold():
            return one
    raise UnknownDevice(name=name, known=", ".join(one.name for one in known) or "none yet")


def mailbox_of(one: DeviceId, person: Person) -> MailboxId | None:
    """Where a device of somebody receives; None if she has no such device."""
    return next((key.mailbox for key in person.devices if key.device == one), None)


def own_name(device: Device) -> str:
    """What this device is called."""
    return (device.vault.get(SELF, DEVICE_NAME) or _FIRST_NAME.encode()).decode()


def free_device_name(wanted: str | None, taken: Iterable[str]) -> str:
    """``wanted``, or the first of "device 2", "device 3" that no other one has."""
    names = {name.casefold() for name in taken}
    if wanted is not None and wanted.casefold() not in names:
        return wanted
    stem, number = wanted or "device", 2
    while numbered(stem, number).casefold() in names:
        number += 1
    return numbered(stem, number)


def ourselves(device: Device) -> Contact | None:
    """The other devices of ours as somebody to write to; None without a relay."""
    identity = take(Identity, SELF, IDENTITY, device.vault)
    if identity is None or identity.person is None:
        return None
    others = tuple(key for key in identity.person.devices if key.device != identity.device)
    person = replace(identity.person, devices=others)
    return Contact(identity.name, person, NO_TOKEN, Trust.COMPARED, since=identity.created_at)
