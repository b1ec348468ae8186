"""Invites, links, key changes and key comparisons as this device keeps them, and their errors."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from entrenous.base.errors import Malformed, NotFound, Refused, Unproven
from entrenous.base.identifiers import DeviceId, MailboxId, PersonId
from entrenous.base.secret import Secret
from entrenous.wire.relay_nouns import SendToken


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


class ThatIsYou(Refused):
    """This is your own invite link. Give it to the people who may write to you; to add somebody,
    ask for their link.
    """


class Stage(StrEnum):
    """How far a comparing has come on this device."""

    BEGUN = "begun"  # by us; they have yet to answer
    ASKED = "asked"  # by them; we have yet to answer
    ANSWERED = "answered"  # by us; their key has yet to come
    READY = "ready"  # both see the signs
    AGREED = "agreed"  # we said that they are the same; they have yet to say it


@dataclass(frozen=True, slots=True)
class Half:
    """One side of a comparing: its device, the head of its list (32 bytes), and its public key (32
    bytes, X25519).
    """

    device: DeviceId
    head: bytes
    public: bytes


@dataclass(frozen=True, slots=True)
class Comparing:
    """A comparing with one person.

    ``commitment`` is what the one who began promised of their key, and ``their_head`` the head of
    their list in the letter that promised it; ``they_agree`` that they have said that the signs are
    the same.
    """

    transaction: bytes
    began_at: datetime
    stage: Stage
    starter: bool
    private: Secret
    mine: Half | None = None
    theirs: Half | None = None
    their_device: DeviceId | None = None
    commitment: bytes | None = None
    their_head: bytes | None = None
    they_agree: bool = False


class NothingToCompare(NotFound):
    """
    There is nothing of {name}'s to compare at the moment. Begin: entrenous person verify {name}
    --sas
    """


class OtherKeys(Unproven):
    """
    The code in this picture is not the one that {name}'s device shows to yours, so {name}'s keys do
    not count as compared. Photograph the code again, from {name}'s own screen. If it is refused
    again, somebody may stand between you: do not send {name} anything private.
    """


class OwnCode(Refused):
    """
    This is the code that your own device shows to {name}, so nothing was noted. {name} reads it;
    you photograph the one on {name}'s screen.
    """


class NoCode(Malformed):
    """
    No code was found in this picture, so nothing was noted. Photograph it again: straight, sharp,
    and with the light frame around it.
    """


class NotComparedYet(Refused):
    """
    {name}'s part is not here yet, so there is nothing to agree to. They run: entrenous person
    verify YOU --sas. Then look again: entrenous person verify {name} --sas
    """


@dataclass(frozen=True, slots=True)
class MadeLink:
    """A link that this device made (docs/spec/identity.md section 6).

    ``uses`` is how many people it lets in, ``name`` what we call the one whom it is for.
    ``used_by`` came in by it, in this order; ``refused`` came after all uses were gone.
    """

    token: SendToken
    uses: int = 1
    name: str | None = None
    used_by: tuple[PersonId, ...] = ()
    refused: tuple[PersonId, ...] = ()

    @property
    def is_used_up(self) -> bool:
        """Whether it lets nobody in any more."""
        return len(self.used_by) >= self.uses


class LinkEvent(StrEnum):
    """What happened with a link."""

    JOINED = "joined"  # somebody came in by a link that this device made
    ELSEWHERE = "elsewhere"  # the same on another device of ours, or we added somebody there
    REFUSED = "refused"  # somebody came by a link of this device whose uses were gone
    TOO_LATE = "too late"  # we came by somebody's link whose uses were gone


@dataclass(frozen=True, slots=True)
class LinkNotice:
    """One such event, until it has been told.

    ``name`` is what we call them, ``called`` what they call themselves. ``device`` is the one that
    came, ``made_at`` when it was set up by its own word; both None where the event is not about a
    device. ``meant_for`` is the name that the link was made for, ``before`` are those whom it let
    in before, ``for_one`` says that it was for one person, and ``alike`` are people whose names are
    easily taken for this one.
    """

    event: LinkEvent
    at: datetime
    name: str
    called: str
    device: DeviceId | None = None
    made_at: datetime | None = None
    meant_for: str | None = None
    before: tuple[str, ...] = ()
    for_one: bool = False
    alike: tuple[str, ...] = ()


class Contradiction(StrEnum):
    """What is wrong with a list that somebody named."""

    FORKED = "forked"  # it contradicts the one that we know
    SPLIT = "split"  # somebody else names one that contradicts it, and nobody has shown that one
    HELD_BACK = "held back"  # it is newer than the one that their relay shows


class Moving(StrEnum):
    """How far this device has followed another one of ours to a relay."""

    READY = "ready"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Changed:
    """What changed about somebody: how many devices came and went, and whether she counts as
    unknown since then.

    ``lists`` is what is wrong with their lists; without a name it is about our own. ``was`` is what
    we called them, or a circle, until two devices of ours turned out to call two so. ``moving`` is
    about this very device, and the name is that of a relay.
    """

    name: str
    at: datetime
    came: int
    went: int
    in_doubt: bool
    lists: Contradiction | None = None
    was: str | None = None
    moving: Moving | None = None


class WeAreTooOld(Refused):
    """
    {name} speaks protocol {floor} to {newest}; this Entrenous speaks {ours}. Update it:
    {update}. Nothing was sent to anybody.
    """


class TheyAreTooOld(Refused):
    """
    {name} speaks protocol {floor} to {newest}, which this Entrenous, that speaks {ours}, does not
    any more. Nothing was sent to anybody. They have to update theirs: {update}
    """
