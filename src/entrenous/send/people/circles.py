"""Circles: people whom we send to together, by one name (docs/spec/people.md, section 1)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NewType

from entrenous.base.errors import NotFound, Refused
from entrenous.base.identifiers import MessageId, MessageName, PersonId
from entrenous.base.limits import CIRCLE_PEOPLE_MAX
from entrenous.device.device import Vault
from entrenous.device.vault_tables import CIRCLE, load_record, load_records, store_record

CircleId = NewType("CircleId", bytes)  # random, 16 bytes


@dataclass(frozen=True, slots=True)
class Circle:
    """A name of ours for 1 to 256 people, ascending by id; it says nothing to them.

    ``sent_to`` are those of them who got the last message that went to this circle, ``sent_last``;
    should that be called off, it is ``sent_before`` again.

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
            raise ValueError("the people of a circle are ascending, each once")

    @property
    def first_name(self) -> str:
        """The first word of its name."""
        return self.name.split()[0]


@dataclass(frozen=True, slots=True)
class Conversation:
    """Who has a message that a draft belongs to: its sender and everybody it went to, but us.

    ``told_by`` is its sender, on whose word alone it is who else has it; None of a message of ours.
    """

    message: MessageName
    people: frozenset[PersonId]
    told_by: PersonId | None = None


class UnknownCircle(NotFound):
    """
    You have no circle {name}. Your circles: {known}. Make one: entrenous circle add NAME --person
    NAME
    """


class CircleFull(Refused):
    """
    {name} would have {count} people, and a circle has at most {limit}. Nothing was changed. Make a
    second one for the rest.
    """


class EmptyCircle(Refused):
    """
    {name} would have nobody in it, so nothing was changed. Name somebody with --person NAME, or
    let go of the whole circle: entrenous circle remove {name}
    """


class NotInCircle(NotFound):
    """
    {person} is not in {name}. Nothing was changed. See who is: entrenous circle list
    """


class NobodyInReach(Refused):
    """
    Nobody in {name} can be sent to from this device, so nothing was sent: you blocked them, or the
    device of yours that put them there has not told this one of them yet. Open Entrenous there,
    then here: entrenous inbox. Who is in it, as far as is known here: entrenous circle list
    """


def circles(vault: Vault) -> tuple[Circle, ...]:
    """Every circle, by name."""
    return tuple(sorted(load_records(Circle, CIRCLE, vault), key=lambda circle: circle.name))


def circles_of(ids: Iterable[CircleId], vault: Vault) -> tuple[Circle, ...]:
    """Those of these circles that there still are."""
    found = (load_record(Circle, CIRCLE, one.hex(), vault) for one in ids)
    return tuple(circle for circle in found if circle is not None)


def keep_circle(circle: Circle, vault: Vault) -> None:
    """Store a new or changed circle."""
    store_record(circle, CIRCLE, circle.id.hex(), vault)


def drop_circle(circle: Circle, vault: Vault) -> None:
    """Let go of a circle; its people stay."""
    vault.drop(CIRCLE, circle.id.hex())


def leave_circles(person: PersonId, vault: Vault) -> None:
    """Take somebody out of every circle; one that had nobody else goes with them."""
    for circle in circles(vault):
        people = tuple(one for one in circle.people if one != person)
        if not people:
            drop_circle(circle, vault)
        elif people != circle.people:
            keep_circle(replace(circle, people=people), vault)
