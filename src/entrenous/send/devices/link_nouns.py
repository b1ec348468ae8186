"""The messages that link a further device of the same person, and what can go wrong
(docs/spec/devices.md, section 2).
"""

from dataclasses import dataclass

from entrenous.base.errors import EntrenousError, Malformed, Refused, Unproven
from entrenous.base.identifiers import DeviceId, MailboxId
from entrenous.base.secret import Secret
from entrenous.send.devices.linked_devices import Introduced


@dataclass(frozen=True, slots=True)
class LinkCode:
    """What the old device shows: a mailbox that was made for this, and the token to write there."""

    relay_url: str
    mailbox: MailboxId
    token: Secret


@dataclass(frozen=True, slots=True)
class LinkAsk:
    """From the new device: where to answer, and a promise of its key and its offer (32 bytes)."""

    mailbox: MailboxId
    token: Secret
    promise: bytes


@dataclass(frozen=True, slots=True)
class LinkAnswer:
    """From the old device: its key (X25519, 32 bytes), and the one to seal to (X-Wing)."""

    public: bytes
    seal_to: bytes


@dataclass(frozen=True, slots=True)
class LinkShow:
    """From the new device: the key and the offer (sealed) that it promised."""

    public: bytes
    sealed_offer: bytes


@dataclass(frozen=True, slots=True)
class LinkGrant:
    """From the old device: that the new one is on the list, sealed."""

    sealed: bytes


@dataclass(frozen=True, slots=True)
class LinkStop:
    """From either: it ended there; with the promise of the linking that did (32 bytes)."""

    promise: bytes


LinkMessage = LinkAsk | LinkAnswer | LinkShow | LinkGrant | LinkStop


@dataclass(frozen=True, slots=True)
class Offer:
    """What the new device is: its keys, where it receives, and what deletes that mailbox.

    ``mldsa65_hash`` (32 bytes) names its ML-DSA-65 key. ``name`` is what its person calls it, for
    her own devices only; None: the old one chooses.
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
    """What the new device is given: the card that lists it, the master key unless that is on a
    sheet, what its person calls it, its siblings, and the old device's word for the transcript.
    """

    card: bytes
    master: Secret | None
    name: str
    siblings: tuple[Introduced, ...]
    proof: bytes


class BadLinkCode(Malformed):
    """
    This is no link code, or a character of it is wrong or missing. It begins with
    entrenous-link:2: and your other device shows it: entrenous device add
    """


class BadLink(Malformed):
    """
    What came from the other device is not what belongs there, so the linking ended and nothing was
    linked. Begin again on your other device: entrenous device add
    """


class LinkOver(Refused):
    """
    This linking has ended: it took longer than ten minutes, its code was used already, or something
    came that was out of order. Nothing was linked. Begin again on your other device: entrenous
    device add
    """


class EndedThere(LinkOver):
    """
    The other device ended this linking, so nothing was linked: somebody said there that the
    pictures differ, or stopped it. If you did neither, somebody may stand between them. Begin again
    with a new code: entrenous device add
    """


class MovedMeanwhile(LinkOver):
    """
    You moved to another relay, on another device of yours, while the pictures were compared here.
    The new device has nothing there yet, so nothing was linked. Begin again: entrenous device add
    """


class EndedAfterGrant(LinkOver):
    """
    The other device ended this linking after you said yes here: somebody said there that the
    pictures differ, or stopped it. It is on your list all the same, and people are told of it. Take
    it off now: entrenous device revoke NAME --lost
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
    may stand between them. If your other device was told yes, a device that is not this one may be
    on your list. Look there: entrenous device list, and take it off: entrenous device revoke NAME
    --lost. To begin again there: entrenous device add
    """


class NotLinkedHere(LinkOver):
    """
    This linking has ended, and this device was not linked: your other device ended it, it took
    longer than ten minutes, its code was used already, or something came that was out of order. If
    your other device has put this one on your list, take it off there: entrenous device revoke
    NAME. To begin again there: entrenous device add
    """


class LinkNotProven(Unproven):
    """
    What the other device granted does not fit what both showed, so this device was not linked.
    Begin again on your other device: entrenous device add
    """


class StoppedAfterGrant(EntrenousError):
    """
    Stopped, but {name} is on your list already: people are told of it, and it goes on by itself. If
    it never answers, take it off again: entrenous device revoke NAME
    """

    family = "interrupted"  # none of the five: nothing failed, a person stopped it


class StoppedAfterLinking(EntrenousError):
    """
    Stopped, but this device is on your list already, so it stays. It goes on with its next command:
    entrenous inbox
    """

    family = "interrupted"
