"""Slips that are planted into a simulated year: drafts that go where they were not meant to go.

Each slip is made from the present state of the simulation and is not sent; its changes to the vault
are undone. The guard has to ask about the recipient that the slip names: the wrong one, or one
whose device may not be the intended person's.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final

from bench.guard.names import LONG, doubled, in_other_letters, in_short, slipped_twice, swapped
from bench.guard.names import Maker as NameMaker
from bench.guard.people import somebody, with_new_phone
from bench.guard.year import Year
from entrenous.base.identifiers import MessageName
from entrenous.base.identity import Contact, Trust
from entrenous.device.identities import CONTACT_TABLE, comparable_name, contacts
from entrenous.device.vault_tables import peer_key
from entrenous.send.guard import inspect_draft
from entrenous.send.message.draft import Draft
from entrenous.send.people.circles import Circle, MessageParticipants, circles
from entrenous.send.people.contact_history import LAST_HEARD_TABLE, LastHeard
from entrenous.send.people.keep_contacts import store_contact

Slip = tuple[Draft, str]  # the draft, and the name about which the guard has to ask
Maker = Callable[[Year], Slip | None]


class Rollback(Exception):
    """Raised to undo all changes of a transaction."""


def plant(slip: Maker, year: Year) -> bool | None:
    """Return whether the guard asks about the slip's name; None if no slip can be made now."""
    spoke = None
    with suppress(Rollback), year.device.vault.transaction():
        planted = slip(year)
        if planted is not None:
            draft, wrong = planted
            spoke = any(
                warning.who == wrong for warning in inspect_draft(draft, year.device).warnings
            )
        raise Rollback
    year.prekey_store.last_used.clear()
    return spoke


def similar_name(year: Year) -> Slip | None:
    """Return a draft to a contact whose name is one typing error away from the intended name.

    Half of these drafts belong to a conversation with the person who was meant.
    """
    meant = year.random_contact_by_frequency()
    other = next(one for one in year.random_contacts(2) if one.person.id != meant.person.id)
    typed = replace(other, name=_one_slip_from(meant.name, year))
    store_contact(typed, year.device)
    return _picture(year, [typed], None, _perhaps(year, _conversation_of(meant))), typed.name


def alike(make: NameMaker, at_least: int = 3) -> Callable[[Year], Slip | None]:
    """Return a function that makes a draft to a contact with a name similar to the intended one.

    ``make`` derives the contact's name from the intended name, which has at least ``at_least``
    characters.
    """

    def slip(year: Year) -> Slip | None:
        every = year.random_contacts(len(contacts(year.device)))
        meant = next(one for one in every if len(one.name) >= at_least)
        other = next(one for one in every if one is not meant)
        taken = {comparable_name(one.name) for one in contacts(year.device)}
        name = make(meant.name, year.rng)
        while comparable_name(name) in taken:
            name = make(meant.name, year.rng)
        typed = replace(other, name=name)
        store_contact(typed, year.device)
        return _picture(year, [typed], None, None), typed.name

    return slip


def wrong_circle(year: Year) -> Slip | None:
    """Return a draft to a circle, though a person or another circle was meant.

    Half of these drafts belong to a conversation with those who were meant.
    """
    to, meant = year.conversation_partners()
    others = [one for one in circles(year.device.vault) if one != meant]
    typed = others[int(year.rng.integers(len(others)))]
    within = _perhaps(year, _conversation_of(*to))
    return _picture(year, year.people_of(typed), typed, within), typed.name


def stale_device(year: Year) -> Slip | None:
    """Return a draft to a contact who lost the device 25 to 200 days ago and did not report it."""
    meant = year.random_contact_by_frequency()
    now = year.clock.now()
    silent = timedelta(days=float(year.rng.uniform(25, 200)))
    key = replace(meant.person.devices[0], created_at=now - timedelta(days=400))
    lost = replace(
        meant,
        since=now - timedelta(days=400),
        person=replace(meant.person, devices=(key,)),
    )
    CONTACT_TABLE.store(lost, meant.person.id.hex(), year.device.vault)
    whose = peer_key(meant.person.id, key.device)
    LAST_HEARD_TABLE.store(LastHeard(now - silent), whose, year.device.vault)
    year.prekey_store.last_used[key.device] = now - silent
    return _picture(year, [lost], None, _conversation_of(lost)), lost.name


def outside_the_conversation(year: Year) -> Slip | None:
    """Return a draft to somebody outside the conversation that the draft belongs to."""
    to, _ = year.conversation_partners()
    outside = [one for one in year.random_contacts(30) if one not in to]
    return _picture(year, [outside[0]], None, _conversation_of(*to)), outside[0].name


def others_picture(year: Year) -> Slip | None:
    """Return a draft with a picture and words for one contact, but addressed to another contact.

    The intended contact got this picture before, and the words address that contact by name.
    """
    meant, typed = year.random_contacts(2)
    file = int(year.rng.integers(20))
    unsent = year.make_message([meant], None, None)
    year.sent(replace(unsent, look=year.looks[file]))
    words = f"Dear {meant.first_name}, here it is again"
    return year.draft(file, words, [typed], None, _conversation_of(typed)), typed.name


def somebody_new(year: Year) -> Slip | None:
    """Return a draft to a contact who was only just added."""
    new = somebody("Wilhelmina", year.device, year.prekey_store)
    store_contact(new, year.device)
    return _picture(year, [new], None, None), new.name


def changed_keys(year: Year) -> Slip | None:
    """Return a draft to a contact with a new device, which may be somebody else's."""
    meant = year.random_contact_by_frequency()
    moved = with_new_phone(meant, year.device, year.prekey_store)
    store_contact(moved, year.device)
    return _picture(year, [moved], None, _conversation_of(moved)), moved.name


def link_in_two_hands(year: Year) -> Slip | None:
    """Return a draft to a contact whose invite link somebody else had too.

    The contact may not be the person who was meant, however often the user has confirmed the name.
    """
    meant = replace(year.random_contact_by_frequency(), trust=Trust.UNKNOWN)
    store_contact(meant, year.device)
    return _picture(year, [meant], None, _conversation_of(meant)), meant.name


SLIPS: Final[Mapping[str, Callable[[Year], Slip | None]]] = {
    "similar name": similar_name,
    "other letters": alike(in_other_letters),
    "doubled letter": alike(doubled),
    "swapped neighbours": alike(swapped),
    "two slips": alike(slipped_twice, LONG),
    "short form": alike(in_short),
    "wrong circle": wrong_circle,
    "stale device": stale_device,
    "out of the talk": outside_the_conversation,
    "other's picture": others_picture,
    "somebody new": somebody_new,
    "changed keys": changed_keys,
    "link in two hands": link_in_two_hands,
}


def _one_slip_from(name: str, year: Year) -> str:
    at = int(year.rng.integers(len(name) - 1))
    letter = chr(97 + int(year.rng.integers(26)))
    slips = (
        name[:at] + letter + name[at + 1 :],
        name[: at + 1] + letter + name[at + 1 :],
        name[: at + 1] + name[at + 2 :],
        name[:at] + name[at + 1] + name[at] + name[at + 2 :],
    )
    taken = {comparable_name(one.name) for one in contacts(year.device)}
    free = [one for one in slips if comparable_name(one) not in taken]
    return free[int(year.rng.integers(len(free)))]


def _conversation_of(*people: Contact) -> MessageParticipants:
    return MessageParticipants(
        MessageName("1-any-talk"), frozenset(one.person.id for one in people)
    )


def _perhaps(year: Year, within: MessageParticipants) -> MessageParticipants | None:
    return within if year.rng.random() < 0.5 else None


def _picture(
    year: Year, to: list[Contact], circle: Circle | None, within: MessageParticipants | None
) -> Draft:
    return year.draft(int(year.rng.integers(40)), None, to, circle, within)
