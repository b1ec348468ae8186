"""The other devices of the same person, known by name here."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from entrenous.base.errors import NotFound, Refused
from entrenous.base.identifiers import DeviceId, MailboxId
from entrenous.base.identity import Person
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.vault_tables import SIBLING, load_record, load_records, store_record
from entrenous.send.tokens.token_ranges import LentToken
from entrenous.wire.text import numbered


class HomeIs(IntEnum):
    """What a mailbox is to the device that receives there; the numbers travel."""

    LEFT = 0  # it moved out, and still reads it
    PRESENT = 1  # its people write to it there, or its vault opens by that relay
    FOLLOWS = 2  # it is ready to move there, since another device leads
    LEADS = 3  # it is ready to move there, and so are the others to be


@dataclass(frozen=True, slots=True)
class SiblingHome:
    """A mailbox of another device of ours, and what deletes it."""

    relay_url: str
    mailbox: MailboxId
    close: Secret
    what: HomeIs


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another device of the same person: what she calls it, and what deletes its mailbox (None
    where that is not known yet). ``heard`` tells whether it has written to this one yet, and
    ``homes`` are its mailboxes, once it has told of more than one, by a letter under the list
    ``told_under``.
    """

    device: DeviceId
    name: str
    close: Secret | None
    heard: bool = False
    homes: tuple[SiblingHome, ...] = ()
    told_under: int = 0


@dataclass(frozen=True, slots=True)
class Introduced:
    """A sibling as the new device hears of it, with tokens for its first letters there."""

    sibling: Sibling
    lent: tuple[LentToken, ...]


@dataclass(frozen=True, slots=True)
class Closing:
    """A mailbox that is to be deleted, not before a moment (None: now); ``name`` is that of the
    device which receives there, None where it was made for a linking or is none of hers any more.
    ``closed_at`` is when its relay said that it was; after ``give_up_at`` it is asked no more.
    ``others`` are tokens that may delete it where the first one does not; ``refused`` tells that
    its relay took none of them.
    """

    relay_url: str
    mailbox: MailboxId
    token: Secret
    not_before: datetime | None = None
    name: str | None = None
    closed_at: datetime | None = None
    give_up_at: datetime | None = None
    others: tuple[Secret, ...] = ()
    refused: bool = False


class UnknownDevice(NotFound):
    """
    You have no other device called {name}. Your other devices: {known}. All of them: entrenous
    device list
    """


class ThisDevice(Refused):
    """
    That is this very device, and a device is revoked from another one. On another device of yours:
    entrenous device revoke NAME
    """


class DeviceNameTaken(Refused):
    """
    You call another device of yours {name}. Choose another name: --as NAME
    """


class NoOtherDevice(Refused):
    """
    This device has no relay, so it has no keys that another device could share, and nothing was
    linked. A device with a relay is set up in a folder of its own: ENTRENOUS_HOME=DIR entrenous
    setup --name YOU --relay URL
    """


class TooManyDevices(Refused):
    """
    You have 16 devices already, and a list holds no more. Revoke one that you do not use: entrenous
    device revoke NAME
    """


def siblings(device: Device) -> tuple[Sibling, ...]:
    """Our other devices, by name."""
    found = load_records(Sibling, SIBLING, device.vault)
    return tuple(sorted(found, key=lambda one: one.name.casefold()))


def keep_sibling(sibling: Sibling, device: Device) -> None:
    """Store what is known of another device of ours."""
    store_record(sibling, SIBLING, sibling.device.hex(), device.vault)


def sibling_of(key: DeviceId, device: Device) -> Sibling | None:
    """What is known of this device of ours."""
    return load_record(Sibling, SIBLING, key.hex(), device.vault)


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


def free_device_name(wanted: str | None, taken: Iterable[str]) -> str:
    """``wanted``, or the first of "device 2", "device 3" that no other one has."""
    names = {name.casefold() for name in taken}
    if wanted is not None and wanted.casefold() not in names:
        return wanted
    stem, number = wanted or "device", 2
    while numbered(stem, number).casefold() in names:
        number += 1
    return numbered(stem, number)
