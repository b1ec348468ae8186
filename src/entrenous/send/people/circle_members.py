"""Who is in a circle: add, remove, and find circles by name."""

from dataclasses import dataclass, replace

from entrenous.base.identifiers import ID_BYTES, PersonId, RecipientId
from entrenous.base.identity import Contact
from entrenous.device.device import Device
from entrenous.device.identities import as_seen, contacts
from entrenous.send.clock_sanity import this_second
from entrenous.send.devices.sync_records import date_changes
from entrenous.send.people.circles import (
    Circle,
    CircleId,
    NobodyInReach,
    NotInCircle,
    UnknownCircle,
    circles,
    drop_circle,
    keep_circle,
)
from entrenous.send.people.keep_contacts import contacts_named, refuse_bad_name
from entrenous.send.people.people_nouns import NameTaken


@dataclass(frozen=True, slots=True)
class Recipients:
    """Whom some names mean: people, each once, and the circles that were named; and who was
    ``passed_over`` in these, since we blocked them.
    """

    people: tuple[RecipientId, ...]
    circles: tuple[CircleId, ...] = ()
    passed_over: tuple[str, ...] = ()


def recipients(names: list[str], device: Device) -> Recipients:
    """The people whom these names of people and circles mean, each once; in a circle, whoever was
    blocked is passed over.

    Raises:
        UnknownPerson: one of them is neither.
        NobodyInReach: they are circles, and nobody in them can be sent to from here.
    """
    people, named = list[Contact](), list[Circle]()
    for name in names:
        circle = _found(name, device)
        people.extend(contacts_named([name], device) if circle is None else _in(circle, device))
        named.extend([] if circle is None else [circle])
    if named and not people:
        raise NobodyInReach(name=named[0].name)
    each = dict.fromkeys(RecipientId(contact.name) for contact in people)
    blocked = (one.name for circle in named for one in people_in(circle, device) if one.blocked)
    circles_meant = tuple(dict.fromkeys(circle.id for circle in named))
    return Recipients(tuple(each), circles_meant, tuple(dict.fromkeys(blocked)))


def circle_named(name: str, device: Device) -> Circle:
    """The circle that we call so, whatever its case.

    Raises:
        UnknownCircle.
    """
    circle = _found(name, device)
    if circle is None:
        known = ", ".join(one.name for one in circles(device.vault))
        raise UnknownCircle(name=name, known=known or "none yet")
    return circle


def people_meant(name: str, device: Device) -> frozenset[PersonId]:
    """Everybody whom a person's or a circle's name means, blocked or not; nobody, if it is neither
    of anybody nor of a circle.
    """
    if (circle := _found(name, device)) is not None:
        return frozenset(circle.people)
    seen = as_seen(name)
    return frozenset(one.person.id for one in contacts(device) if as_seen(one.name) == seen)


def people_in(circle: Circle, device: Device) -> tuple[Contact, ...]:
    """Everybody in a circle, by name."""
    return tuple(one for one in contacts(device) if one.person.id in circle.people)


def circles_with(name: str, device: Device) -> tuple[str, ...]:
    """The names of the circles that somebody is in; raises UnknownPerson."""
    (contact,) = contacts_named([name], device)
    return tuple(one.name for one in circles(device.vault) if contact.person.id in one.people)


def add_to_circle(name: str, people: list[str], device: Device) -> Circle:
    """Add people to a circle, which is made if there is none of that name.

    Raises:
        BadName, NameTaken, UnknownPerson, CircleFull, EmptyCircle.
    """
    coming = _ids(people, device)
    known = _found(name, device)
    if known is None:
        _refuse_taken(name, device)
    with device.vault.together():
        circle = (
            Circle(CircleId(device.dice.token(ID_BYTES)), name, coming, this_second(device))
            if known is None
            else replace(known, people=tuple(sorted({*known.people, *coming})))
        )
        keep_circle(circle, device.vault)
        date_changes(device)
    return circle


def remove_from_circle(name: str, people: list[str], device: Device) -> Circle | None:
    """Take people out of a circle, or let go of all of it when none are named: then None.

    Raises:
        UnknownCircle, UnknownPerson, NotInCircle, EmptyCircle.
    """
    circle = circle_named(name, device)
    left = _without(circle, people, device) if people else None
    with device.vault.together():
        if left is None:
            drop_circle(circle, device.vault)
        else:
            keep_circle(left, device.vault)
        date_changes(device)
    return left


def _without(circle: Circle, people: list[str], device: Device) -> Circle:
    going = contacts_named(people, device)
    for contact in going:
        if contact.person.id not in circle.people:
            raise NotInCircle(person=contact.name, name=circle.name)
    gone = {contact.person.id for contact in going}
    return replace(circle, people=tuple(one for one in circle.people if one not in gone))


def _found(name: str, device: Device) -> Circle | None:
    every = circles(device.vault)
    return next((one for one in every if as_seen(one.name) == as_seen(name)), None)


def _in(circle: Circle, device: Device) -> list[Contact]:
    return [one for one in people_in(circle, device) if not one.blocked]


def _ids(names: list[str], device: Device) -> tuple[PersonId, ...]:
    return tuple(sorted({one.person.id for one in contacts_named(names, device)}))


def _refuse_taken(name: str, device: Device) -> None:
    refuse_bad_name(name)
    if any(as_seen(one.name) == as_seen(name) for one in contacts(device)):
        raise NameTaken(name=name)
