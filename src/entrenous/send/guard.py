"""The guard against the wrong recipient: silent on ordinary sends, and asks for a name otherwise."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from entrenous.base.copies import several
from entrenous.base.errors import as_typed
from entrenous.base.identifiers import RecipientId
from entrenous.base.identity import Contact
from entrenous.device.device import Device
from entrenous.device.identities import as_seen, contacts
from entrenous.send.message.draft import ConfirmsNobody, Doubt, Draft, GuardSaysStop
from entrenous.send.people.circles import Circle, circles, circles_of
from entrenous.send.people.contact_history import messages_sent_to
from entrenous.send.people.keep_contacts import pick, refuse_other_protocols
from entrenous.send.people.people_nouns import TwoLists, YouBlocked
from entrenous.send.recipient_checks import (
    DraftContext,
    easily_taken,
    goes_to_many,
    in_two_alphabets,
    keys_changed,
    meant_for_another,
    named_who_had_it,
    new_in_it,
    not_compared,
    not_heard_of,
    not_in_it,
    put_there_by_its_sender,
    somebody_new,
    told_of,
    unknown_here,
)

_OF_A_PERSON: Final[tuple[Callable[[Contact, DraftContext], Iterator[str]], ...]] = (
    not_compared,
    somebody_new,
    keys_changed,
    easily_taken,
    in_two_alphabets,
    not_in_it,
    put_there_by_its_sender,
    not_heard_of,
    meant_for_another,
)
# What is asked of each person in a circle: their names were not typed now, and whether all of them
# belong to a conversation is asked of the circle.
_IN_A_CIRCLE: Final = tuple(
    reason for reason in _OF_A_PERSON if reason not in {easily_taken, in_two_alphabets, not_in_it}
)
_OF_A_CIRCLE: Final[tuple[Callable[[Circle, DraftContext], Iterator[str]], ...]] = (
    goes_to_many,
    unknown_here,
    new_in_it,
)
_SAID_OF_A_CIRCLE: Final = 5  # reasons about its people that are told one by one


def warn_about(draft: Draft, device: Device) -> tuple[Doubt, ...]:
    """Everything that is odd about this draft: one doubt at most for each circle, which speaks of
    the people in it too, and for each other recipient.

    Raises:
        UnknownPerson, YouBlocked, TwoLists, WeAreTooOld, TheyAreTooOld.
        NotAPicture and its like, when a picture has to be
        looked at.
    """
    scene = _scene(draft, device)
    asked = [_of_circle(circle, scene) for circle in scene.circles]
    asked.extend(_of_person(contact, scene) for contact in _alone(scene))
    return tuple(doubt for doubt in asked if doubt is not None)


def _alone(scene: DraftContext) -> tuple[Contact, ...]:
    """Who gets it, and not by a circle."""
    in_circles = {person for circle in scene.circles for person in circle.people}
    return tuple(contact for contact in scene.to if contact.person.id not in in_circles)


def require_answers(draft: Draft, device: Device) -> None:
    """Let a draft pass only when every doubt was answered by its recipient's name.

    Raises:
        ConfirmsNobody: a name was typed that is not a recipient of this draft.
        GuardSaysStop: a doubt was not answered.
        YouBlocked, TwoLists, WeAreTooOld, TheyAreTooOld, UnknownPerson.
    """
    scene = _scene(draft, device)
    answers = _answers(scene)
    for typed in draft.confirmed:
        if as_seen(typed) not in answers:
            people = (contact.name for contact in _alone(scene))
            named = sorted([*(circle.name for circle in scene.circles), *people])
            raise ConfirmsNobody(typed=typed, to=several(named))
    doubts = open_doubts(draft, device)
    if doubts:
        raise GuardSaysStop(
            reasons="; ".join(doubt.why for doubt in doubts),
            names=" ".join(f"--confirm {as_typed(doubt.answer)}" for doubt in doubts),
        )


def open_doubts(draft: Draft, device: Device) -> list[Doubt]:
    """The doubts that no typed name has answered; a name is the same however it is cased."""
    return [doubt for doubt in warn_about(draft, device) if not answered(doubt, draft.confirmed)]


def answered(doubt: Doubt, typed: Iterable[str]) -> bool:
    """Whether one of the typed names is what the doubt asks for, or the whole name."""
    return not {as_seen(doubt.answer), as_seen(doubt.who)}.isdisjoint(map(as_seen, typed))


def _scene(draft: Draft, device: Device) -> DraftContext:
    known = contacts(device)
    to = pick(draft.to, known)
    for contact in to:
        if contact.blocked:
            raise YouBlocked(name=contact.name)
        if contact.forked:
            raise TwoLists(name=contact.name)
    refuse_other_protocols(to, device)
    return DraftContext(
        draft=draft,
        to=to,
        known=known,
        circles=circles_of(draft.circles, device.vault),
        talks={one.person.id: messages_sent_to(one.person.id, device) for one in to},
        named=named_who_had_it(draft, to, known, device),
        told=told_of(draft, to, device),
        now=device.clock.now(),
        device=device,
    )


def _of_person(contact: Contact, scene: DraftContext) -> Doubt | None:
    why = [text for reason in _OF_A_PERSON for text in reason(contact, scene)]
    return _doubt(contact, why, scene)


def _of_circle(circle: Circle, scene: DraftContext) -> Doubt | None:
    why = [text for reason in _OF_A_CIRCLE for text in reason(circle, scene)]
    present = [contact for contact in scene.to if contact.person.id in circle.people]
    each = [text for one in present for reason in _IN_A_CIRCLE for text in reason(one, scene)]
    why += each[:_SAID_OF_A_CIRCLE]
    if len(each) > _SAID_OF_A_CIRCLE:
        why.append(f"there are {len(each) - _SAID_OF_A_CIRCLE} more reasons of this kind")
    return _doubt(circle, why, scene)


def _doubt(who: Contact | Circle, why: list[str], scene: DraftContext) -> Doubt | None:
    if not why:
        return None
    return Doubt(RecipientId(who.name), ", and ".join(why), _answer(who, scene))


def _answers(scene: DraftContext) -> set[str]:
    """Everything that would answer a doubt about this draft, as it is seen."""
    asked: list[Contact | Circle] = [*scene.to, *scene.circles]
    return {as_seen(name) for one in asked for name in (one.name, _answer(one, scene))}


def _answer(who: Contact | Circle, scene: DraftContext) -> str:
    """The first name, unless somebody else could be meant by it."""
    every: list[Contact | Circle] = [*scene.known, *circles(scene.device.vault)]
    first = as_seen(who.first_name)
    alike = [one for one in every if as_seen(one.first_name) == first and one.name != who.name]
    return who.name if alike else who.first_name
