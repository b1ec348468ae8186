"""Circles: groups of people that one name addresses (docs/spec/people.md, section 1)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, NewType

from entrenous.base.errors import NotFound, Refused
from entrenous.base.identifiers import MessageId, MessageName, PersonId
from entrenous.base.limits import CIRCLE_PEOPLE_MAX
from entrenous.device.device import Vault
from entrenous.device.vault_tables import CIRCLE, Table

CircleId = NewType("CircleId", bytes)  # random, 16 bytes


@dataclass(frozen=True, slots=True)
class Circle:
    """A named group of 1 to 256 people, sorted by id. Its members learn its id, but not its name.

    ``sent_to`` are the members who got the latest message to this circle, ``sent_last``. If that
    message is cancelled, ``sent_before`` becomes ``sent_to`` again.

    Raises:
        EmptyCircle, CircleFull.
    """

    id: CircleId
    name: str
    people: tuple[PersonId, ...]
    made_at: datetime
    sent_to: frozenset[PersonId] = frozenset()
    sent_last: MessageId | None = None
    sent_before: frozenset[PersonId] = frozenset()

    def __post_init__(self) -> None:
        if not self.people:
            raise EmptyCircle(name=self.name)
        if len(self.people) > CIRCLE_PEOPLE_MAX:
            raise CircleFull(name=self.name, count=len(self.people), limit=CIRCLE_PEOPLE_MAX)
        if list(self.people) != sorted(set(self.people)):
            raise ValueError("a circle's people must be sorted and distinct")

    @property
    def first_name(self) -> str:
        """Return the first word of the name."""
        return self.name.split()[0]


CIRCLE_TABLE: Final = Table(CIRCLE, Circle)


@dataclass(frozen=True, slots=True)
class MessageParticipants:
    """The sender and the recipients of a message, except us.

    ``claimed_by`` is the sender, whose word is our only source for the other recipients; None for a
    message of ours.
    """

    message: MessageName
    people: frozenset[PersonId]
    claimed_by: PersonId | None = None


class UnknownCircle(NotFound):
    """
    You have no circle called {name}. Nothing was changed. Your circles: {known}. To make one:
    entrenous circle add NAME --person NAME
    """


class CircleFull(Refused):
    """
    The circle {name} would have {count} people, and a circle has at most {limit}. Nothing was
    changed. Make a second circle for the rest.
    """


class EmptyCircle(Refused):
    """
    The circle {name} would have nobody in it, so nothing was changed. Name at least one person with
    --person NAME, or delete the whole circle: entrenous circle remove {name}
    """


class NotInCircle(NotFound):
    """
    {person} is not in the circle {name}. Nothing was changed. To see who is in it: entrenous circle
    list
    """


class NoReachableMember(Refused):
    """
    This device cannot send to anybody in the circle {name}, so nothing was sent. Either you blocked
    everybody in it, or the device on which you added these people has not sent their keys and
    addresses to this device yet. Open Entrenous on that other device, then run here: entrenous
    inbox. To see whom this device knows in the circle: entrenous circle list
    """


def circles(vault: Vault) -> tuple[Circle, ...]:
    """Return every circle, sorted by name."""
    return tuple(sorted(CIRCLE_TABLE.all(vault), key=lambda circle: circle.name))


def circles_by_id(ids: Iterable[CircleId], vault: Vault) -> tuple[Circle, ...]:
    """Return the circles with these ids that still exist."""
    found = (CIRCLE_TABLE.load(one.hex(), vault) for one in ids)
    return tuple(circle for circle in found if circle is not None)


def store_circle(circle: Circle, vault: Vault) -> None:
    CIRCLE_TABLE.store(circle, circle.id.hex(), vault)


def delete_circle(circle: Circle, vault: Vault) -> None:
    """Delete a circle; its people remain contacts."""
    CIRCLE_TABLE.drop(circle.id.hex(), vault)


def remove_from_all_circles(person: PersonId, vault: Vault) -> None:
    """Remove a person from every circle, and delete circles that would become empty."""
    for circle in circles(vault):
        people = tuple(one for one in circle.people if one != person)
        if not people:
            delete_circle(circle, vault)
        elif people != circle.people:
            store_circle(replace(circle, people=people), vault)
