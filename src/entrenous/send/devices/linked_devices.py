"""The other devices of the same person, as this device knows them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

from entrenous.base.errors import NotFound, Refused
from entrenous.base.identifiers import DeviceId, MailboxId
from entrenous.base.identity import Person
from entrenous.base.language import translated
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.vault_tables import DELETED_MAILBOX, LINKED_DEVICE, MAILBOX_TO_DELETE, Table
from entrenous.send.tokens.token_ranges import LentToken
from entrenous.wire.text import append_number


class MailboxUse(IntEnum):
    """How a device uses one of its mailboxes; the numbers are part of the wire format."""

    LEFT = 0  # the device moved away, and still reads the mailbox
    PRESENT = 1  # contacts write to the device there, or its vault unlocks through that relay
    FOLLOWS = 2  # the device is ready to move there, led by another device
    LEADS = 3  # the device is ready to move there, and leads the others


@dataclass(frozen=True, slots=True)
class LinkedMailbox:
    """A mailbox of another device of ours, and the token that deletes it."""

    relay_url: str
    mailbox: MailboxId
    close: Secret
    what: MailboxUse


@dataclass(frozen=True, slots=True)
class LinkedDevice:
    """Another device of the same person.

    ``close`` is the token that deletes its mailbox, None if not known yet. ``has_written`` says
    whether it has written to this device. ``homes`` are its mailboxes, if it announced several, and
    ``homes_epoch`` is the number (epoch) of the device list at that announcement.
    """

    device: DeviceId
    name: str
    close: Secret | None
    has_written: bool = False
    homes: tuple[LinkedMailbox, ...] = ()
    homes_epoch: int = 0


LINKED_DEVICE_TABLE: Final = Table(LINKED_DEVICE, LinkedDevice)


@dataclass(frozen=True, slots=True)
class IntroducedDevice:
    """A linked device as introduced to a new device, with tokens for the first letters to it."""

    linked: LinkedDevice
    lent: tuple[LentToken, ...]


@dataclass(frozen=True, slots=True)
class MailboxDeletion:
    """A mailbox to be deleted, not before ``not_before`` (None: now).

    ``name`` is the name of the revoked device that receives there. It is None if the mailbox was
    made for a linking, was prepared here for a move, or was left by its device. ``closed_at`` is
    when the relay confirmed the deletion; after ``give_up_at`` the relay is not asked again.
    ``others`` are tokens that may delete the mailbox if ``token`` does not; ``refused`` is set once
    the relay accepted none of them.
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


DELETED_MAILBOX_TABLE: Final = Table(DELETED_MAILBOX, MailboxDeletion)


MAILBOX_TO_DELETE_TABLE: Final = Table(MAILBOX_TO_DELETE, MailboxDeletion)


class UnknownDevice(NotFound):
    """
    You have no other device called {name}. Nothing was changed. Your other devices: {known}. To see
    more about them: entrenous device list
    """


class CannotRevokeThisDevice(Refused):
    """
    That is the device you are using, and a device can only be revoked from another one. Nothing was
    changed. Run this on another device of yours: entrenous device revoke NAME
    """


class TooManyDevices(Refused):
    """
    You already have 16 devices, the most that Entrenous allows. Nothing was changed. Revoke one
    that you do not use: entrenous device revoke NAME
    """


def own_linked_devices(device: Device) -> tuple[LinkedDevice, ...]:
    """Return our other devices, sorted by name."""
    found = LINKED_DEVICE_TABLE.all(device.vault)
    return tuple(sorted(found, key=lambda one: one.name.casefold()))


def store_linked_device(linked: LinkedDevice, device: Device) -> None:
    LINKED_DEVICE_TABLE.store(linked, linked.device.hex(), device.vault)


def linked_device_by_id(key: DeviceId, device: Device) -> LinkedDevice | None:
    return LINKED_DEVICE_TABLE.load(key.hex(), device.vault)


def linked_device_named(name: str, device: Device) -> LinkedDevice:
    """Return our other device with this name, ignoring case; raises UnknownDevice."""
    known = own_linked_devices(device)
    for one in known:
        if one.name.casefold() == name.strip().casefold():
            return one
    raise UnknownDevice(
        name=name, known=", ".join(one.name for one in known) or translated("none yet")
    )


def mailbox_of_device(device_id: DeviceId, person: Person) -> MailboxId | None:
    """Return the mailbox of a person's device; None if they have no such device."""
    return next((key.mailbox for key in person.devices if key.device == device_id), None)


def free_device_name(wanted: str | None, taken: Iterable[str]) -> str:
    """Return ``wanted`` if that name is not taken. Otherwise return the first free name with a
    number from 2 on: "NAME 2" for ``wanted``, or "device 2" if ``wanted`` is None.
    """
    names = {name.casefold() for name in taken}
    if wanted is not None and wanted.casefold() not in names:
        return wanted
    stem, number = wanted or "device", 2
    while append_number(stem, number).casefold() in names:
        number += 1
    return append_number(stem, number)
