"""Invites, links, key changes and key comparisons as this device keeps them, and their errors."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from entrenous.base.errors import Malformed, NotFound, Refused, Unproven
from entrenous.base.identifiers import DeviceId, MailboxId, PersonId
from entrenous.base.identity import DeviceListHead
from entrenous.base.secret import Secret
from entrenous.device.vault_tables import (
    CONTACT_CHANGE,
    DEVICE_LIST_FORK,
    DEVICE_LIST_TO_FETCH,
    INVITE,
    INVITE_NOTICE,
    KEY_COMPARISON,
    Table,
)
from entrenous.wire.relay_nouns import SendToken


@dataclass(frozen=True, slots=True)
class Invite:
    """The content of an invite link: a mailbox, a token to write to it, and the expected keys."""

    name: str
    relay_url: str
    mailbox: MailboxId
    person: PersonId
    token: Secret


class UnknownPerson(NotFound):
    """
    You have nobody called {name} here. Nothing was sent or changed. People you can write to:
    {known}. To add somebody with the link they sent you: entrenous person add - --as NAME
    """


class InviteKeysDiffer(Unproven):
    """
    The keys that the relay shows for this invite are not the ones that the invite names, so nobody
    was added. Somebody may be intercepting the connection, or the link is damaged. Ask for a new
    link over a channel you trust.
    """


class NameTaken(Refused):
    """
    You already use the name {name} for a person or a circle. Nothing was changed. Choose another
    name.
    """


class ContactIsBlocked(Refused):
    """
    You blocked {name}. Nothing was sent to anybody. To write to them again: entrenous person
    unblock {name}
    """


class ContradictoryLists(Refused):
    """
    There are two lists of {name}'s devices that contradict each other. So nothing more is sent to
    {name}, and no link from {name} is accepted. Either somebody is intercepting your connection, or
    a stranger has {name}'s keys. Meet {name}, or call a number that you know, and compare your
    keys: entrenous person verify {name} --sas. If {name} gives you a new link, first remove the old
    entry: entrenous person forget {name}
    """


class BadInvite(Malformed):
    """
    This invite link is damaged or incomplete, or was made by another version of Entrenous. Nobody
    was added. Copy the whole link again, from "entrenous:" to its last character. If that does not
    help, update Entrenous ({update}), or ask for a new link.
    """


class BadName(Refused):
    """
    This name cannot be used: a name has 1 to 64 visible characters, no space at either end, and no
    dash at the beginning, because a command would take such a name for an option. Nothing was
    changed. Choose another name.
    """


class NotInvited(Refused):
    """
    Somebody you do not know tried to write to you without an invite from you. They were not added.
    If you want to hear from them, give them a link: entrenous invite
    """


class InviteLinkIsYourOwn(Refused):
    """
    This is your own invite link, so nobody was added. Give it to the people whom you allow to write
    to you. To add somebody, ask for their link.
    """


class ComparisonStage(StrEnum):
    """The state of a key comparison on this device."""

    BEGUN = "begun"  # we began, and they have not answered yet
    ASKED = "asked"  # they began, and we have not answered yet
    ANSWERED = "answered"  # we answered, and their key has not arrived yet
    READY = "ready"  # both public keys are here, so that the signs can be shown
    AGREED = "agreed"  # we said that the signs match, and they have not said so yet


@dataclass(frozen=True, slots=True)
class ComparisonSide:
    """One side of a comparison: its device, the head (32 bytes) of its person's device list, and
    its public key (32 bytes, X25519).
    """

    device: DeviceId
    head: bytes
    public: bytes


@dataclass(frozen=True, slots=True)
class KeyComparisonInProgress:
    """A key comparison with one person.

    ``commitment`` is the commitment of the person who began the comparison to their public key;
    ``their_head`` is the contact's device list head, from the letter with the commitment.
    ``they_agree``: the contact has said that the signs match. ``shown``: this device has shown the
    signs.
    """

    transaction: bytes
    began_at: datetime
    stage: ComparisonStage
    starter: bool
    private: Secret
    mine: ComparisonSide | None = None
    theirs: ComparisonSide | None = None
    their_device: DeviceId | None = None
    commitment: bytes | None = None
    their_head: bytes | None = None
    they_agree: bool = False
    shown: bool = False


KEY_COMPARISON_TABLE: Final = Table(KEY_COMPARISON, KeyComparisonInProgress)


class NothingToCompare(NotFound):
    """
    No comparison with {name} is in progress. To start one: entrenous person verify {name} --sas
    """


class CodeDoesNotMatch(Unproven):
    """
    The code in this picture is not the one that {name}'s device shows for your device, so {name}'s
    keys were not confirmed. Photograph the code again, from {name}'s own screen. If it does not
    match again, somebody may be intercepting the connection: do not send {name} anything private.
    """


class CodeOfOwnDevice(Refused):
    """
    This is the code that your own device shows for {name}. Nothing was changed. {name} has to
    photograph this code, and you have to photograph the code on {name}'s screen.
    """


class NoCodeInPicture(Malformed):
    """
    The code that is needed here was not found in this picture. Nothing was changed. Photograph the
    code again. Hold the camera straight, and make sure that the whole white border around the code
    is visible and that the picture is sharp.
    """


class ComparisonNotReady(Refused):
    """
    {name}'s part of the comparison has not arrived yet, so you cannot confirm anything. Nothing was
    changed. Ask {name} to run this command, with your name instead of YOU (as {name} calls you in
    Entrenous): entrenous person verify YOU --sas. Then run this again: entrenous person verify
    {name} --sas
    """


class ComparisonNotShown(Refused):
    """
    You cannot confirm this yet, because this device has not shown you the pictures and numbers to
    compare. Nothing was changed. Show them first: entrenous person verify {name} --sas. If they are
    the same on {name}'s device: entrenous person verify {name} --sas --same
    """


@dataclass(frozen=True, slots=True)
class IssuedInviteLink:
    """A link that this device made (docs/spec/identity.md section 6).

    ``uses`` is how many people it lets in, and ``name`` what we call the person it is for.
    ``used_by`` are the people who joined by it, in order; ``refused`` those who came after it was
    used up.
    """

    token: SendToken
    uses: int = 1
    name: str | None = None
    used_by: tuple[PersonId, ...] = ()
    refused: tuple[PersonId, ...] = ()

    @property
    def is_used_up(self) -> bool:
        return len(self.used_by) >= self.uses


INVITE_TABLE: Final = Table(INVITE, IssuedInviteLink)


class InviteEvent(StrEnum):
    JOINED = "joined"  # somebody joined by a link that this device made
    # somebody joined by a link of another device of ours, or was added there by their own link
    ELSEWHERE = "elsewhere"
    REFUSED = "refused"  # somebody used a link of this device that was used up
    TOO_LATE = "too late"  # we used somebody's link that was used up


@dataclass(frozen=True, slots=True)
class InviteNotice:
    """A link event, stored until it is shown.

    ``name`` is what we call the person, ``called`` what they call themselves. ``device`` is the
    device with which the person used the link, and ``made_at`` the time at which, by its own
    account, that device was set up; both are None if the event is not about a device. ``meant_for``
    is the name that the link was made for. ``before`` contains the names of the people whom the
    link let in earlier. ``for_one``: the link was for one person. ``alike`` contains the similar
    names of other contacts.
    """

    event: InviteEvent
    at: datetime
    name: str
    called: str
    device: DeviceId | None = None
    made_at: datetime | None = None
    meant_for: str | None = None
    before: tuple[str, ...] = ()
    for_one: bool = False
    alike: tuple[str, ...] = ()


INVITE_NOTICE_TABLE: Final = Table(INVITE_NOTICE, InviteNotice)


class DeviceListContradiction(StrEnum):
    """The kind of contradiction in a device list."""

    FORKED = "forked"  # it contradicts the list that we know
    SPLIT = "split"  # somebody else named a contradicting list that nobody has shown
    HELD_BACK = "held back"  # a letter named a newer list than the one that their relay shows


class FollowedMoveState(StrEnum):
    """The progress of this device's move to a new relay, led by another device of ours."""

    READY = "ready"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class ContactChange:
    """A change to a contact: devices added and removed, and whether trust became "unknown".

    ``lists`` is the contradiction in their lists, or in ours if the name is empty. ``was`` is the
    former name of a person or circle, renamed because two of our devices had given the same name to
    different ones. If ``moving`` is set, no contact changed: this device moves, and ``name`` is its
    new relay.
    """

    name: str
    at: datetime
    devices_added: int
    devices_removed: int
    trust_lost: bool
    lists: DeviceListContradiction | None = None
    was: str | None = None
    moving: FollowedMoveState | None = None


CONTACT_CHANGE_TABLE: Final = Table(CONTACT_CHANGE, ContactChange)


class OwnProgramTooOld(Refused):
    """
    {name}'s program supports protocol versions {floor} to {newest}; Entrenous on this device is
    older and uses {ours}. Nothing was sent to anybody. Update Entrenous: {update}
    """


class ContactProgramTooOld(Refused):
    """
    {name}'s program supports protocol versions {floor} to {newest}; Entrenous on this device is
    newer and uses {ours}. Nothing was sent to anybody. Ask {name} to update Entrenous: {update}
    """


@dataclass(frozen=True, slots=True)
class DeviceListToFetch:
    """A device list of a person that a letter named and that this device does not have: the head
    (hash) of that list, and our attempts to fetch it.

    ``own`` says whether one of the person's own devices wrote that letter, ``proven`` whether the
    letter's author is authenticated.
    """

    head: DeviceListHead
    asked_at: datetime | None = None
    tries: int = 0
    own: bool = False
    proven: bool = True

    @property
    def fetch_priority(self) -> tuple[bool, bool, int]:
        """Return a sort key: of two named lists, the one with the greater key is fetched."""
        return self.own, self.proven, self.head.epoch


DEVICE_LIST_TO_FETCH_TABLE: Final = Table(DEVICE_LIST_TO_FETCH, DeviceListToFetch)


@dataclass(frozen=True, slots=True)
class DeviceListForkEvidence:
    """The evidence of two contradictory lists: the key bundle that this device had, and the list
    head named elsewhere.

    ``shown`` is the other key bundle, if there was one.
    """

    at: datetime
    known: bytes
    other: DeviceListHead
    shown: bytes | None = None


DEVICE_LIST_FORK_TABLE: Final = Table(DEVICE_LIST_FORK, DeviceListForkEvidence)
