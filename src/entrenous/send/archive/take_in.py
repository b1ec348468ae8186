"""Take an archive's records in: what is here already stays as it is (docs/spec/archive.md 5)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from entrenous.craft.wire.text import is_name
from entrenous.model.archive import TakenIn
from entrenous.model.circle import Circle
from entrenous.model.ids import BlobId
from entrenous.ports import Device
from entrenous.send.acquaintance.people import as_seen, contacts, free_name
from entrenous.send.archive.parts import (
    CIRCLES,
    CONTACTS,
    LISTS,
    PROTECTION_DRAWER,
    PROTECTIONS,
    Item,
    files_of,
    within,
)
from entrenous.send.archive.take_cases import take_cases
from entrenous.send.archive.take_messages import (
    NOBODY,
    take_ledger,
    take_received,
    take_sent,
    take_traces,
)
from entrenous.send.archive.write import whose
from entrenous.send.circle.kept import circles, keep_circle
from entrenous.send.devices.sync.records import date_changes
from entrenous.send.drawers import CIRCLE, CONTACT, LIST, lay


@dataclass(frozen=True, slots=True)
class Taken:
    """What was new, and the files that it names; ``sealed`` are those that are ciphertext."""

    told: TakenIn
    files: frozenset[BlobId]
    sealed: frozenset[BlobId]


def take_in(items: Sequence[Item], made_at: datetime, device: Device) -> Taken:
    """Store what is new; call it inside the vault's ``together``.

    Raises:
        BadArchive: two records contradict each other.
    """
    people, in_circles = _take_people(items, device), _take_circles(items, device)
    ledger = take_ledger(items, device)
    take_sent(items, device)
    received, cases = take_received(items, device), take_cases(items, device)
    told = TakenIn(
        made_at,
        people=people,
        circles=in_circles,
        sent=len(ledger.new),
        received=len(received),
        traces=take_traces(items, ledger, device),
        cases=len(cases.new),
        protections=_take_protections(items, device),
        other_cases=cases.others,
        erased_cases=cases.erased,
    )
    date_changes(device)
    sealed = frozenset(blob for one in received for blob in one.kept)
    plain = (blob for noun in (*ledger.new, *cases.new) for blob in files_of(noun))
    return Taken(told, sealed.union(plain), sealed)


def _take_people(items: Sequence[Item], device: Device) -> int:
    """People, and what was proven of their lists, so that no relay takes us back to older ones."""
    known = {contact.person.id for contact in contacts(device)} | {whose(device)}
    fresh = [item.noun for item in within(CONTACTS, items) if item.noun.person.id not in known]
    taken = _names(device)
    for contact in fresh:
        name = _as_name(contact.name)
        if as_seen(name) in taken:
            name = free_name(name, device)
        taken.add(as_seen(name))
        person = replace(contact.person, name=_as_name(contact.person.name))
        named = replace(contact, name=name, person=person)
        lay(named, CONTACT, contact.person.id.hex(), device.vault)
    new = {contact.person.id.hex() for contact in fresh}
    for item in within(LISTS, items):
        if item.key in new:
            device.vault.put(LIST, item.key, item.data)
    return len(fresh)


def _take_circles(items: Sequence[Item], device: Device) -> int:
    fresh: list[Circle] = [
        item.noun
        for item in within(CIRCLES, items)
        if device.vault.get(CIRCLE, item.noun.id.hex()) is None
    ]
    for circle in fresh:
        keep_circle(replace(circle, name=free_name(_as_name(circle.name), device)), device.vault)
    return len(fresh)


def _as_name(untrusted: str) -> str:
    """A name that may be shown and typed."""
    return untrusted if is_name(untrusted) else NOBODY


def _names(device: Device) -> set[str]:
    """As they are seen, those of everybody and of every circle."""
    people = {as_seen(contact.name) for contact in contacts(device)}
    return people | {as_seen(circle.name) for circle in circles(device.vault)}


def _take_protections(items: Sequence[Item], device: Device) -> int:
    fresh = [
        item
        for item in within(PROTECTIONS, items)
        if device.vault.get(PROTECTION_DRAWER, item.noun.claim) is None
    ]
    for item in fresh:
        device.vault.put(PROTECTION_DRAWER, item.noun.claim, item.data)
    return len(fresh)
