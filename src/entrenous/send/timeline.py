"""The messages exchanged between this person and others, a page at a time; no relay is asked."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from entrenous.base.identifiers import MessageId, MessageName, PersonId
from entrenous.base.language import translated
from entrenous.device.device import Device
from entrenous.device.identities import contacts, own_device
from entrenous.device.sent_copies import copy_state
from entrenous.device.sent_messages import SendState, UnknownMessage
from entrenous.device.vault_tables import inbox_key
from entrenous.send.clock_sanity import time_certainly_passed
from entrenous.send.conversations import other_recipients
from entrenous.send.inbox import (
    has_expired,
    name_of_message,
    received_message_by_key,
    text_to_show,
)
from entrenous.send.message.react import reactions_to
from entrenous.send.message.states import InboxState, ReceivedMessage
from entrenous.send.message_index import (
    TimelinePlace,
    copies_of_message,
    hide_from_timeline,
    newest_place_per_person,
    timeline_places_with,
    unopened_message_keys,
)
from entrenous.wire.relay_nouns import EnvelopeState


@dataclass(frozen=True, slots=True)
class Correspondent:
    """A person with whom messages were exchanged: when the newest was sent, and how many of theirs
    wait to be opened.
    """

    person: PersonId
    at: datetime
    waiting: int


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One message between two people. ``person`` is the other one.

    ``state`` is in words. ``text`` of a received message is known once the message was opened,
    unless its openings are limited, until the message expires. ``reply`` is the name of the
    answered message, and ``reactions`` pairs each reaction (an emoji) with the names
    of those who reacted with it. ``also`` are the names of further people who have a copy;
    "somebody" stands for unknown people. ``marked`` says whether any file of this person's copy, or
    of ours if the message was received, has a mark; ``waits_to_leave``, whether a copy for this
    person is still waiting to leave this device; ``refused``, whether a relay has refused a copy;
    ``taken_back``, whether we took back all copies.
    """

    name: MessageName
    place: TimelinePlace
    state: str
    text: str | None
    files: int
    expires_at: datetime | None
    opens: int | None = None
    waiting: bool = False
    can_show: bool = False
    marked: bool = False
    waits_to_leave: bool = False
    refused: bool = False
    taken_back: bool = False
    reply: MessageName | None = None
    reactions: tuple[tuple[str, tuple[str, ...]], ...] = ()
    also: tuple[str, ...] = ()

    @property
    def person(self) -> PersonId:
        return self.place.person

    @property
    def at(self) -> datetime:
        return self.place.at

    @property
    def mine(self) -> bool:
        return self.place.mine


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """Some messages, oldest first, and how many older ones there are."""

    entries: tuple[TimelineEntry, ...]
    older: int


def correspondents(device: Device) -> tuple[Correspondent, ...]:
    """Return everybody with whom messages were exchanged, those with the newest message first."""
    waiting = count_unopened(device)
    found = (
        Correspondent(place.person, place.at, waiting[place.person])
        for place in newest_place_per_person(device.vault)
    )
    return tuple(sorted(found, key=lambda one: one.at, reverse=True))


def count_unopened(device: Device) -> Counter[PersonId]:
    """Count the unopened messages of each sender. A message that has expired is recorded as expired
    and not counted.
    """
    now, found = time_certainly_passed(device), Counter[PersonId]()
    for key, ends_at in unopened_message_keys(device.vault):
        received = (
            None if ends_at is None or ends_at > now else received_message_by_key(key, device)
        )
        if received is None or received.state is InboxState.WAITING:
            found[PersonId(bytes.fromhex(key.partition(" ")[0]))] += 1
    return found


def timeline_page(person: PersonId, device: Device, skip: int, count: int) -> TimelinePage:
    """Return up to ``count`` messages to and from one person, without the newest ``skip``.

    Raises:
        DeviceWithoutRelay.
    """
    places = timeline_places_with(person, device.vault)
    shown = places.newest(skip, count)
    names, me = names_by_person(device), own_device(device).person.id
    entries = (_timeline_entry(place, names, me, device) for place in shown)
    older = max(0, len(places) - skip - len(shown))
    return TimelinePage(tuple(one for one in entries if one is not None), older)


def hide_sent_message(name: str, person: PersonId, device: Device) -> None:
    """Remove a message that we sent from the timeline with one person. It stays in the ledger, so
    that a leak of it can be traced. Raises UnknownMessage.

    While their copy waits to leave this device, this does nothing: a hidden message would still be
    sent, and could no longer be stopped.
    """
    message = device.ledger.message_named(name)
    copies = copies_of_message(message.id, device.vault)
    if any(one.person == person and one.departure is SendState.WAITING for one in copies):
        return
    places = timeline_places_with(person, device.vault)
    for place in places.newest(0, len(places)):
        if place.mine and place.message == message.id:
            hide_from_timeline(place, device.vault)


def names_by_person(device: Device) -> Mapping[PersonId, str]:
    """Return the name of each known person, and "you" for ourselves."""
    known = {one.person.id: one.name for one in contacts(device)}
    return known | {own_device(device).person.id: translated("you")}


def _timeline_entry(
    place: TimelinePlace, names: Mapping[PersonId, str], me: PersonId, device: Device
) -> TimelineEntry | None:
    if place.mine:
        return _sent_entry(place, names, me, device)
    received = received_message_by_key(inbox_key(place.person, place.message), device)
    return None if received is None else _received_entry(place, received, names, me, device)


def _received_entry(
    place: TimelinePlace,
    received: ReceivedMessage,
    names: Mapping[PersonId, str],
    me: PersonId,
    device: Device,
) -> TimelineEntry:
    return TimelineEntry(
        name=received.name,
        place=place,
        state=translated(received.state.value),
        text=text_to_show(received, device),
        files=_file_count(received),
        expires_at=received.expires_at,
        opens=received.opens,
        waiting=received.state is InboxState.WAITING,
        can_show=(
            received.state is InboxState.OPENED
            and received.key is not None
            and not has_expired(received, device)
        ),
        marked=received.manifest is not None and any(received.manifest.marks),
        reply=None if received.reply is None else name_of_message(received.reply, device),
        reactions=_reactions_with_names(received.sender, received.id, names, device),
        also=tuple(other_recipients(received, me, names)),
    )


def _file_count(received: ReceivedMessage) -> int:
    """Count the files; the first blob of a message lists them."""
    sealed = received.manifest.blobs if received.manifest is not None else received.kept
    return max(0, len(sealed) - 1)


def _sent_entry(
    place: TimelinePlace, names: Mapping[PersonId, str], me: PersonId, device: Device
) -> TimelineEntry | None:
    try:
        message = device.ledger.message(place.message)
    except UnknownMessage:
        return None
    copies = copies_of_message(message.id, device.vault)
    theirs = [copy for copy in copies if copy.person == place.person]
    others = dict.fromkeys(copy.person for copy in copies if copy.person != place.person)
    labels = {copy.person: copy.to for copy in copies}
    return TimelineEntry(
        name=message.name,
        place=place,
        state=", ".join(dict.fromkeys(copy_state(one, message, device).state for one in theirs)),
        text=message.caption,
        files=len(message.pictures) + len(message.clips) + len(message.sounds),
        expires_at=message.expires_at,
        marked=bool(message.pictures or message.clips or message.sounds),
        refused=any(copy.departure is SendState.REFUSED for copy in theirs),
        waits_to_leave=any(copy.departure is SendState.WAITING for copy in theirs),
        taken_back=all(copy.state is EnvelopeState.TAKEN_BACK for copy in copies),
        reactions=_reactions_with_names(me, message.id, names, device),
        also=tuple(names.get(one, labels[one]) for one in others),
    )


def _reactions_with_names(
    sender: PersonId, message: MessageId, names: Mapping[PersonId, str], device: Device
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    by_sign = dict[str, list[str]]()
    for one in reactions_to(sender, message, device):
        if one.reaction.text:
            by_sign.setdefault(one.reaction.text, []).append(names.get(one.by, ""))
    return tuple((sign, tuple(filter(None, by))) for sign, by in by_sign.items())
