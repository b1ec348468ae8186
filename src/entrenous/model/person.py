"""Who: people, their devices, and the keys that we trust for them (docs/spec/identity.md)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from entrenous.model.errors import Malformed, NotFound, Refused, Unproven
from entrenous.model.ids import DeviceId, MailboxId, PersonId
from entrenous.model.secret import Secret


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A person's public master keys; both must verify (32 bytes Ed25519, 1,952 bytes ML-DSA-65)."""

    ed25519: bytes
    mldsa65: bytes


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """One device on its owner's list: its public keys, certified by her master key.

    ``mldsa65_hash`` (32 bytes) names its ML-DSA-65 key, which comes with what that key signed.
    ``mailbox`` is where it receives, ``enforces`` what its program holds its person to
    (:class:`.card.Enforces`).
    """

    device: DeviceId
    mailbox: MailboxId
    ed25519: bytes
    curve25519: bytes
    mldsa65_hash: bytes
    created_at: datetime
    enforces: tuple[int, ...] = ()

    @property
    def keys(self) -> tuple[DeviceId, bytes, bytes, bytes]:
        """What makes it this device and no other: it may receive elsewhere, but under another key
        it is another one, whatever it is called.
        """
        return self.device, self.ed25519, self.curve25519, self.mldsa65_hash


@dataclass(frozen=True, slots=True)
class Person:
    """A person as she presents herself: keys, devices, and where her relay is.

    Everything but ``name`` is proven by the master keys; the name is only what she calls herself.
    ``epoch`` counts her device lists and ``head`` (32 bytes) names the one that this is.
    """

    id: PersonId
    name: str
    master: MasterKey
    relay_url: str
    epoch: int
    head: bytes
    devices: tuple[DeviceKey, ...]


class Trust(StrEnum):
    """What is known of somebody's keys (docs/spec/people.md section 2); the words are shown."""

    UNKNOWN = "unknown"  # nothing vouches for them, or what did holds no longer
    BY_LINK = "by link"  # an invite link, which others may have read or changed on its way
    COMPARED = "compared"  # both people compared what both devices show


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody this device knows.

    ``name`` is how *we* call them; ``send_token`` lets us put a letter into their mailbox.
    ``changed_at`` is when their devices last changed. Of somebody ``blocked`` nothing is taken, and
    nothing is sent to them, nor to somebody whose lists are ``forked``. ``receipts`` is the
    person's answer when asked whether somebody known by link gets receipts; None: not asked yet.
    """

    name: str
    person: Person
    send_token: Secret
    trust: Trust
    since: datetime
    blocked: bool = False
    changed_at: datetime | None = None
    forked: bool = False
    receipts: bool | None = None

    @property
    def first_name(self) -> str:
        """The first word of what we call them."""
        return self.name.split()[0]

    @property
    def compared(self) -> bool:
        """Whether both people compared keys: an invite link does not count as that."""
        return self.trust is Trust.COMPARED

    @property
    def gets_receipts(self) -> bool:
        """Whether receipts are owed to them, as far as that depends on their keys."""
        return self.compared or (self.trust is Trust.BY_LINK and self.receipts is True)


@dataclass(frozen=True, slots=True)
class Invite:
    """What an invite link carries: where to write, a capability to write, and whose keys to
    expect.
    """

    name: str
    relay_url: str
    mailbox: MailboxId
    person: PersonId
    token: Secret


class UnknownPerson(NotFound):
    """
    You have nobody called {name} here. People you can write to: {known}. Add somebody with the link
    they send you: entrenous person add - --as NAME
    """


class NotTheirKeys(Unproven):
    """
    The keys that the relay shows for this invite are not the ones the invite names, so nobody was
    added. Somebody may be standing in between, or the link is damaged. Ask for a new link over a
    channel you trust.
    """


class BadSignature(Unproven):
    """A signature on this {what} does not hold, so it was not accepted. It was changed on the way,
    or it is not from whom it claims to be.
    """


class NameTaken(Refused):
    """
    You already call somebody, or a circle, {name}. Choose another name.
    """


class YouBlocked(Refused):
    """
    You blocked {name}, so nothing is sent to them. Nothing was sent to anybody. To write to them
    again: entrenous person unblock {name}
    """


class TwoLists(Refused):
    """
    There are two lists of {name}'s devices that contradict each other, so nothing is sent to them,
    nothing was sent to anybody, and no link of theirs is taken. Either somebody stands in between,
    or somebody else has their keys. Meet, or call a number that you know, and compare:
    entrenous person verify {name} --sas. If they hand you a new link, first forget them:
    entrenous person forget {name}
    """


class BadInvite(Malformed):
    """This invite link is damaged or incomplete. Copy the whole link again, from "entrenous:" to
    its last letter, or ask for a new one.
    """


class BadName(Refused):
    """
    A name has 1 to 64 characters that can be seen, no spaces at its ends, and no dash at its
    beginning, which a command would take for an option. Choose another one.
    """


class NotInvited(Refused):
    """Somebody whom you do not know, and who has no invite of yours, wanted to write to you. They
    were not added. If you want to hear from them, give them a link: entrenous invite
    """


class OnThisMachine(Refused):
    """
    This person's address leads to a program on your own machine, and your own relay is elsewhere,
    so nothing was asked there and nobody was added. Ask the person for a new link.
    """


class ThatIsYou(Refused):
    """This is your own invite link. Give it to the people who may write to you; to add somebody,
    ask for their link.
    """
