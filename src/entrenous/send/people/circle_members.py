"""Add people to circles, remove them, and find circles by name."""

from dataclasses import dataclass, replace

from entrenous.base.identifiers import ID_BYTES, PersonId, RecipientId
from entrenous.base.identity import Contact
from entrenous.base.language import translated
from entrenous.device.device import Device
from entrenous.device.identities import comparable_name, contacts
from entrenous.send.clock_sanity import now_in_whole_seconds
from entrenous.send.devices.sync_records import record_change_times
from entrenous.send.people.circles import (
    Circle,
    CircleId,
    NoReachableMember,
    NotInCircle,
    UnknownCircle,
    circles,
    delete_circle,
    store_circle,
)
from entrenous.send.people.keep_contacts import contacts_named, refuse_bad_name
from entrenous.send.people.people_nouns import NameTaken


@dataclass(frozen=True, slots=True)
class ResolvedRecipients:
    """The recipients to whom a list of names refers: each person once, and the named circles.

    ``passed_over`` are the blocked members of these circles.
    """

    people: tuple[RecipientId, ...]
    circles: tuple[CircleId, ...] = ()
    passed_over: tuple[str, ...] = ()


def resolve_recipients(names: list[str], device: Device) -> ResolvedRecipients:
    """Resolve names of people and circles to recipients, leaving out a circle's blocked members.

    Raises:
        UnknownPerson: a name is neither a person's nor a circle's.
        NoReachableMember: only circles were named, and none has a member to whom a message can be
            sent.
    """
    people, named = list[Contact](), list[Circle]()
    for name in names:
        circle = _find_circle(name, device)
        if circle is None:
            people.extend(contacts_named([name], device))
        else:
            people.extend(one for one in members_of(circle, device) if not one.blocked)
            named.append(circle)
    if named and not people:
        raise NoReachableMember(name=named[0].name)
    each = dict.fromkeys(RecipientId(contact.name) for contact in people)
    blocked = (one.name for circle in named for one in members_of(circle, device) if one.blocked)
    circles_meant = tuple(dict.fromkeys(circle.id for circle in named))
    return ResolvedRecipients(tuple(each), circles_meant, tuple(dict.fromkeys(blocked)))


def circle_named(name: str, device: Device) -> Circle:
    """Return the circle with this name, ignoring case; raises UnknownCircle."""
    circle = _find_circle(name, device)
    if circle is None:
        known = ", ".join(one.name for one in circles(device.vault))
        raise UnknownCircle(name=name, known=known or translated("none yet"))
    return circle


def person_ids_named(name: str, device: Device) -> frozenset[PersonId]:
    """Return the ids of everybody that a person's or circle's name refers to, blocked or not.

    The result is empty for an unknown name.
    """
    if (circle := _find_circle(name, device)) is not None:
        return frozenset(circle.people)
    seen = comparable_name(name)
    return frozenset(one.person.id for one in contacts(device) if comparable_name(one.name) == seen)


def members_of(circle: Circle, device: Device) -> tuple[Contact, ...]:
    """Return a circle's members, sorted by name."""
    return tuple(one for one in contacts(device) if one.person.id in circle.people)


def names_of_circles_with(name: str, device: Device) -> tuple[str, ...]:
    """Return the names of the circles that a person is in; raises UnknownPerson."""
    (contact,) = contacts_named([name], device)
    return tuple(one.name for one in circles(device.vault) if contact.person.id in one.people)


def create_or_extend_circle(name: str, people: list[str], device: Device) -> Circle:
    """Add people to a circle, creating it if there is none with that name.

    Raises:
        BadName, NameTaken, UnknownPerson, CircleFull, EmptyCircle.
    """
    added = tuple(sorted({one.person.id for one in contacts_named(people, device)}))
    known = _find_circle(name, device)
    if known is None:
        refuse_bad_name(name)
        if any(comparable_name(one.name) == comparable_name(name) for one in contacts(device)):
            raise NameTaken(name=name)
    with device.vault.transaction():
        circle = (
            Circle(
                CircleId(device.random_source.token(ID_BYTES)),
                name,
                added,
                now_in_whole_seconds(device),
            )
            if known is None
            else replace(known, people=tuple(sorted({*known.people, *added})))
        )
        store_circle(circle, device.vault)
        record_change_times(device)
    return circle


def remove_from_circle_or_delete(name: str, people: list[str], device: Device) -> Circle | None:
    """Remove people from a circle. If ``people`` is empty, delete the circle and return None.

    Raises:
        UnknownCircle, UnknownPerson, NotInCircle, EmptyCircle.
    """
    circle = circle_named(name, device)
    left = _without_people(circle, people, device) if people else None
    with device.vault.transaction():
        if left is None:
            delete_circle(circle, device.vault)
        else:
            store_circle(left, device.vault)
        record_change_times(device)
    return left


def _without_people(circle: Circle, people: list[str], device: Device) -> Circle:
    removed = contacts_named(people, device)
    for contact in removed:
        if contact.person.id not in circle.people:
            raise NotInCircle(person=contact.name, name=circle.name)
    removed_ids = {contact.person.id for contact in removed}
    return replace(circle, people=tuple(one for one in circle.people if one not in removed_ids))


def _find_circle(name: str, device: Device) -> Circle | None:
    every = circles(device.vault)
    return next((one for one in every if comparable_name(one.name) == comparable_name(name)), None)
