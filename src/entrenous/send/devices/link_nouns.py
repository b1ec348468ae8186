"""The messages and errors of linking another device of the same person (docs/spec/devices.md,
section 2).
"""

from dataclasses import dataclass

from entrenous.base.errors import EntrenousError, Malformed, Refused, Unproven
from entrenous.base.identifiers import DeviceId, MailboxId
from entrenous.base.secret import Secret
from entrenous.send.devices.linked_devices import IntroducedDevice


@dataclass(frozen=True, slots=True)
class LinkCode:
    """Shown by the old device: a mailbox made for this linking, and the token to write to it."""

    relay_url: str
    mailbox: MailboxId
    token: Secret


@dataclass(frozen=True, slots=True)
class LinkAsk:
    """New device to old: where to answer, and a commitment to its key and offer (32 bytes)."""

    mailbox: MailboxId
    token: Secret
    promise: bytes


@dataclass(frozen=True, slots=True)
class LinkAnswer:
    """Old device to new: its X25519 key (32 bytes), and the X-Wing key to seal the offer to."""

    public: bytes
    seal_to: bytes


@dataclass(frozen=True, slots=True)
class LinkShow:
    """New device to old: the committed key and the sealed offer."""

    public: bytes
    sealed_offer: bytes


@dataclass(frozen=True, slots=True)
class LinkGrant:
    """Old device to new: the sealed grant, once the new device is on the list."""

    sealed: bytes


@dataclass(frozen=True, slots=True)
class LinkStop:
    """Either to the other: linking ended here; ``promise`` (32 bytes) says which linking."""

    promise: bytes


LinkMessage = LinkAsk | LinkAnswer | LinkShow | LinkGrant | LinkStop


@dataclass(frozen=True, slots=True)
class Offer:
    """The new device's keys, its mailbox, and the token that deletes that mailbox.

    ``mldsa65_hash`` (32 bytes) names its ML-DSA-65 key. ``name`` is what the user calls it, known
    to their own devices only; if None, the old device chooses.
    """

    ed25519: bytes
    curve25519: bytes
    mldsa65_hash: bytes
    device: DeviceId
    enforces: tuple[int, ...]
    seal_to: bytes
    mailbox: MailboxId
    close: Secret
    name: str | None


@dataclass(frozen=True, slots=True)
class Grant:
    """What the new device receives: the key bundle that lists it, the master key unless that is on
    a sheet, its name, the other devices, and the old device's confirmation of the transcript.
    """

    card: bytes
    master: Secret | None
    name: str
    siblings: tuple[IntroducedDevice, ...]
    proof: bytes


class BadLinkCode(Malformed):
    """
    This is not a link code, or one of its characters is wrong or missing. A link code begins with
    entrenous-link:2: and your other device shows it: entrenous device add
    """


class BadLink(Malformed):
    """
    The other device sent something invalid, so the linking ended and nothing was linked. Begin
    again on your other device: entrenous device add
    """


class LinkOver(Refused):
    """
    This linking has ended: it took longer than ten minutes, its code was used already, or a message
    was out of order. Nothing was linked. Begin again on your other device: entrenous device add
    """


class EndedThere(LinkOver):
    """
    The other device ended this linking, so nothing was linked: somebody said there that the
    pictures differ, or stopped it. If you did neither, somebody may stand between them. Begin again
    with a new code: entrenous device add
    """


class MovedMeanwhile(LinkOver):
    """
    You moved to another relay, on another device of yours, while you compared the pictures here.
    The new device has no mailbox there yet, so nothing was linked. Begin again: entrenous device
    add
    """


class EndedAfterGrant(LinkOver):
    """
    The other device ended this linking after you said yes here: somebody said there that the
    pictures differ, or stopped it. It is on your list all the same, and people are told of it.
    Remove it now: entrenous device revoke NAME --lost
    """


class LinkDiffers(Unproven):
    """
    You said that the two devices show different pictures, so nothing was linked: somebody may stand
    between them. If only one of them asked you, begin again on your other device: entrenous device
    add
    """


class DiffersHere(Unproven):
    """
    You said that the two devices show different pictures, so this device was not linked: somebody
    may stand between them. If you said yes on your other device, a device that is not this one may
    be on your list. Look there: entrenous device list, and remove it: entrenous device revoke NAME
    --lost. To begin again there: entrenous device add
    """


class NotLinkedHere(LinkOver):
    """
    This linking has ended, and this device was not linked: your other device ended it, it took
    longer than ten minutes, its code was used already, or a message was out of order. If your other
    device has put this one on your list, remove it there: entrenous device revoke NAME. To begin
    again there: entrenous device add
    """


class LinkNotProven(Unproven):
    """
    What the other device sent does not match the pictures that both showed, so this device was not
    linked. Begin again on your other device: entrenous device add
    """


class LinkStoppedHere(LinkOver):
    """
    You stopped this linking, so nothing was linked. To begin again on your other device: entrenous
    device add
    """


class StoppedAfterGrant(EntrenousError):
    """
    Stopped, but {name} is on your list already: people are told of it, and linking continues by
    itself. If it never answers, remove it: entrenous device revoke NAME
    """

    family = "interrupted"  # none of the five: nothing failed, the user stopped it


class StoppedAfterLinking(EntrenousError):
    """
    Stopped, but this device is on your list already, so it stays. Linking continues with its next
    command: entrenous inbox
    """

    family = "interrupted"
