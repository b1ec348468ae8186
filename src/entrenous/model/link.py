"""Linking a further device of the same person (docs/spec/devices.md section 2)."""

from dataclasses import dataclass
from datetime import datetime

from entrenous.model.errors import EntrenousError, Malformed, NotFound, Refused, Unproven
from entrenous.model.ids import DeviceId, MailboxId
from entrenous.model.move import SiblingHome
from entrenous.model.secret import Secret
from entrenous.model.window import LentToken


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
class Grant:
    """What the new device is given: the card that lists it, the master key unless that is on a
    sheet, what its person calls it, its siblings, and the old device's word for the transcript.
    """

    card: bytes
    master: Secret | None
    name: str
    siblings: tuple[Introduced, ...]
    proof: bytes


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


class TooManyDevices(Refused):
    """
    You have 16 devices already, and a list holds no more. Revoke one that you do not use: entrenous
    device revoke NAME
    """


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
