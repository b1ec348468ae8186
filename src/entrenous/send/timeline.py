"""What went to and fro between this person and another, as one list; no relay is asked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from entrenous.base.identifiers import MessageId, MessageName, PersonId
from entrenous.device.device import Device
from entrenous.device.identities import own_device
from entrenous.device.sent_copies import copy_state
from entrenous.device.sent_messages import Message, SealedCopy
from entrenous.send.inbox import name_of_message, received_messages
from entrenous.send.message.react import reactions_to
from entrenous.send.message.states import InboxState, Received
from entrenous.send.status import copies_by_message


@dataclass(frozen=True, slots=True)
class Entry:
    """One message between two people. ``person`` is the other one.

    ``state`` is in words. ``text`` of a received message is known once it was opened. ``reply`` is
    the name of the message that it answers, and ``reactions`` are who reacted, and how.
    """

    name: MessageName
    person: PersonId
    at: datetime
    mine: bool
    state: str
    text: str | None
    files: int
    expires_at: datetime | None
    opens: int | None = None
    waiting: bool = False
    can_show: bool = False
    reply: MessageName | None = None
    reactions: tuple[tuple[PersonId, str], ...] = ()


def timeline(device: Device, person: PersonId | None = None) -> tuple[Entry, ...]:
    """Return everything sent and received, oldest first; with ``person``, what was between us.

    Raises:
        OfflineDevice.
    """
    me = own_device(device).person.id
    entries = [*_received(device, person), *_sent(me, device, person)]
    return tuple(sorted(entries, key=lambda entry: entry.at))


def _received(device: Device, person: PersonId | None) -> Iterator[Entry]:
    for one in received_messages(device):
        if person in {None, one.sender}:
            yield Entry(
                name=one.name,
                person=one.sender,
                at=one.sent_at,
                mine=False,
                state=one.state.value,
                text=one.text,
                files=max(0, len(one.kept) - 1),
                expires_at=one.expires_at,
                opens=one.opens,
                waiting=one.state is InboxState.WAITING,
                can_show=_is_kept(one),
                reply=None if one.reply is None else name_of_message(one.reply, device),
                reactions=_reactions(one.sender, one.id, device) if person else (),
            )


def _is_kept(received: Received) -> bool:
    return received.state is InboxState.OPENED and received.key is not None


def _sent(me: PersonId, device: Device, person: PersonId | None) -> Iterator[Entry]:
    copies = copies_by_message(device)
    for message in device.ledger.messages():
        for to in dict.fromkeys(copy.person for copy in copies[message.id]):
            if person in {None, to}:
                yield _entry(message, to, copies, device, me if person else None)


def _entry(
    message: Message,
    to: PersonId,
    copies: Mapping[MessageId, list[SealedCopy]],
    device: Device,
    me: PersonId | None,
) -> Entry:
    theirs = [copy for copy in copies[message.id] if copy.person == to]
    states = dict.fromkeys(copy_state(copy, message, device).state for copy in theirs)
    return Entry(
        name=message.name,
        person=to,
        at=message.sent_at,
        mine=True,
        state=", ".join(states),
        text=message.caption,
        files=len(message.pictures) + len(message.clips) + len(message.sounds),
        expires_at=message.expires_at,
        reactions=() if me is None else _reactions(me, message.id, device),
    )


def _reactions(
    sender: PersonId, message: MessageId, device: Device
) -> tuple[tuple[PersonId, str], ...]:
    found = reactions_to(sender, message, device)
    return tuple((one.by, one.reaction.text or "") for one in found if one.reaction.text)
