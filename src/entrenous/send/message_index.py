"""Indexes of messages by person and of copies by message, so that a page of a conversation reads
only its own messages.

Functions that change an index must be called in the transaction that stores the message.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from entrenous.base.identifiers import MessageId, PersonId
from entrenous.device.device import Vault
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, CopyDelivery
from entrenous.device.vault_tables import (
    COPIES_BY_MESSAGE,
    TIMELINE,
    UNOPENED_MESSAGE,
    inbox_key,
)
from entrenous.send.message.states import InboxState, ReceivedMessage

_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SENT_SIDE, _RECEIVED_SIDE = "out", "in"


@dataclass(frozen=True, slots=True, order=True)
class TimelinePlace:
    """The place of one message in the timeline with one person; places sort as the messages do."""

    person: PersonId
    at: datetime
    sequence: int
    mine: bool
    message: MessageId


def index_received(received: ReceivedMessage, vault: Vault) -> None:
    """Add a received message to the indexes, or update it there."""
    place = TimelinePlace(
        received.sender, received.sent_at, received.sequence, mine=False, message=received.id
    )
    vault.put(TIMELINE, _place_key(place), b"")
    key = inbox_key(received.sender, received.id)
    if received.state is InboxState.WAITING:
        ends_at = received.expires_at
        vault.put(
            UNOPENED_MESSAGE,
            key,
            b"" if ends_at is None else str(int(ends_at.timestamp())).encode(),
        )
    else:
        vault.drop(UNOPENED_MESSAGE, key)


def index_copy(copy: CopyDelivery, sent_at: datetime, vault: Vault) -> None:
    """Add a copy of a message that we sent to the indexes."""
    vault.put(TIMELINE, _place_key(_timeline_place_of(copy, sent_at)), b"")
    vault.put(COPIES_BY_MESSAGE, _copy_key(copy), b"")


def drop_copy_from_indexes(copy: CopyDelivery, sent_at: datetime, vault: Vault) -> None:
    """Remove from the indexes a copy that was never sent."""
    vault.drop(TIMELINE, _place_key(_timeline_place_of(copy, sent_at)))
    vault.drop(COPIES_BY_MESSAGE, _copy_key(copy))


def hide_from_timeline(place: TimelinePlace, vault: Vault) -> None:
    """Remove a message from the timeline. The message itself is kept, so that a leak of it can be
    traced.
    """
    vault.drop(TIMELINE, _place_key(place))


def newest_place_per_person(vault: Vault) -> tuple[TimelinePlace, ...]:
    """Return the place of the newest message with each person."""
    by_person = {key.partition(" ")[0]: key for key in vault.keys(TIMELINE)}
    return tuple(map(_parse_place_key, by_person.values()))


def newest_sent_places(count: int, vault: Vault) -> tuple[TimelinePlace, ...]:
    """Return the newest ``count`` places of messages that we sent, oldest first. A message has one
    place for each recipient.
    """
    mine = [key for key in vault.keys(TIMELINE) if f" {_SENT_SIDE} " in key]
    return tuple(map(_parse_place_key, sorted(mine, key=lambda key: key.split(" ")[1])[-count:]))


def timeline_places_with(person: PersonId, vault: Vault) -> "LazyTimelinePlaces":
    """Return the places of the messages to and from one person, oldest first."""
    return LazyTimelinePlaces(vault.keys(TIMELINE, f"{person.hex()} "))


class LazyTimelinePlaces:
    """The places of messages with one person, which are read only when needed."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    def newest(self, skip: int, count: int) -> tuple[TimelinePlace, ...]:
        """Return up to ``count`` places, oldest first, without the newest ``skip``."""
        end = max(0, len(self._keys) - skip)
        return tuple(map(_parse_place_key, self._keys[max(0, end - count) : end]))


def copies_of_message(message: MessageId, vault: Vault) -> tuple[CopyDelivery, ...]:
    """Return the copies of a message that went, or will go, through a relay."""
    start = f"{message.hex()} "
    envelopes = (key.removeprefix(start) for key in vault.keys(COPIES_BY_MESSAGE, start))
    found = (COPY_DELIVERY_TABLE.load(envelope, vault) for envelope in envelopes)
    return tuple(copy for copy in found if copy is not None)


def unopened_message_keys(vault: Vault) -> Iterator[tuple[str, datetime | None]]:
    """Yield the inbox keys of messages that wait to be opened, and when each message expires."""
    for key, ends in vault.items(UNOPENED_MESSAGE):
        yield key, datetime.fromtimestamp(int(ends), UTC) if ends else None


def _timeline_place_of(copy: CopyDelivery, sent_at: datetime) -> TimelinePlace:
    return TimelinePlace(copy.person, sent_at, 0, mine=True, message=copy.message)


def _copy_key(copy: CopyDelivery) -> str:
    return f"{copy.message.hex()} {copy.envelope.hex()}"


def _place_key(place: TimelinePlace) -> str:
    microseconds = (place.at - _UNIX_EPOCH) // timedelta(microseconds=1)
    side = _SENT_SIDE if place.mine else _RECEIVED_SIDE
    head = f"{place.person.hex()} {microseconds:018d} {place.sequence:012d}"
    return f"{head} {side} {place.message.hex()}"


def _parse_place_key(key: str) -> TimelinePlace:
    person, microseconds, sequence, side, message = key.split(" ")
    return TimelinePlace(
        PersonId(bytes.fromhex(person)),
        _UNIX_EPOCH + timedelta(microseconds=int(microseconds)),
        int(sequence),
        side == _SENT_SIDE,
        MessageId(bytes.fromhex(message)),
    )
