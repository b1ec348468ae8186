"""The guard checks a draft for signs of a wrong recipient before the message is sent. All signs
about one recipient or circle make one warning, and the user answers the warning by typing the name
of that recipient or circle. This module also records to whom each message went, since the checks of
later drafts depend on it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from entrenous.base.copies import join_names
from entrenous.base.errors import quote_for_shell
from entrenous.base.identifiers import MessageId, PersonId, RecipientId
from entrenous.base.identity import Contact
from entrenous.base.language import plural, translated
from entrenous.device.device import Device
from entrenous.device.identities import comparable_name, contacts
from entrenous.device.sent_messages import Message
from entrenous.send.message.draft import (
    ConfirmedNameNotRecipient,
    Draft,
    RecipientWarning,
    UnansweredWarnings,
)
from entrenous.send.people.circles import Circle, circles, circles_by_id, store_circle
from entrenous.send.people.contact_history import (
    SentRecord,
    add_sent_record,
    forget_sent_records_of_message,
    latest_messages_sent_to,
)
from entrenous.send.people.keep_contacts import (
    contacts_named,
    require_common_protocol,
    select_contacts_by_name,
)
from entrenous.send.people.people_nouns import ContactIsBlocked, ContradictoryLists
from entrenous.send.recipient_checks import (
    DraftContext,
    check_changed_keys,
    check_circle,
    check_first_message,
    check_mixed_alphabets,
    check_new_members,
    check_others_named_in_text,
    check_outside_conversation,
    check_sender_claimed_recipients,
    check_silent_devices,
    check_similar_names,
    check_trust,
    check_unknown_members,
    device_silence_to_ask_about,
    former_recipients_named,
    had_media_at_current_trust,
    sender_claimed_recipients,
)

_CHECKS_OF_PERSON: Final[tuple[Callable[[Contact, DraftContext], Iterator[str]], ...]] = (
    check_trust,
    check_first_message,
    check_changed_keys,
    check_similar_names,
    check_mixed_alphabets,
    check_outside_conversation,
    check_sender_claimed_recipients,
    check_silent_devices,
    check_others_named_in_text,
)
# The checks for each person in a circle. Checks of the name are left out, since nobody typed the
# name. Membership in the conversation is checked for the circle as a whole.
_CHECKS_OF_CIRCLE_MEMBER: Final = tuple(
    reason
    for reason in _CHECKS_OF_PERSON
    if reason not in {check_similar_names, check_mixed_alphabets, check_outside_conversation}
)
_CHECKS_OF_CIRCLE: Final[tuple[Callable[[Circle, DraftContext], Iterator[str]], ...]] = (
    check_circle,
    check_unknown_members,
    check_new_members,
)
_MEMBER_REASONS_SHOWN_MAX: Final = 5  # at most this many reasons about members are listed singly


@dataclass(frozen=True, slots=True)
class DraftInspection:
    """What the guard found in a draft for the recipients ``to``.

    ``warnings`` has at most one warning for each circle, which covers all its members, and at most
    one for each other recipient. ``names`` are the circles and the recipients outside of them.
    ``answers`` are all names that the user may type, normalized: those of recipients and circles.
    """

    draft: Draft
    to: tuple[Contact, ...]
    warnings: tuple[RecipientWarning, ...]
    names: tuple[str, ...]
    answers: frozenset[str]

    def with_typed_names(self, typed: Iterable[str]) -> "DraftInspection":
        """Return this inspection with ``typed`` added to the names that were typed before."""
        return replace(self, draft=replace(self.draft, confirmed=self.draft.confirmed.union(typed)))

    @property
    def unanswered(self) -> tuple[RecipientWarning, ...]:
        """Return the warnings that no typed name answers; upper and lower case count as equal."""
        typed = self.draft.confirmed
        return tuple(warning for warning in self.warnings if not answers_warning(warning, typed))

    def require_answers(self) -> None:
        """Check that every warning is answered, and that every typed name belongs to this draft.

        Raises:
            ConfirmedNameNotRecipient: a typed name belongs to no recipient and to no circle of this
                draft.
            UnansweredWarnings: a warning is unanswered.
        """
        for typed in self.draft.confirmed:
            if comparable_name(typed) not in self.answers:
                raise ConfirmedNameNotRecipient(typed=typed, to=join_names(self.names))
        if self.unanswered:
            raise UnansweredWarnings(
                reasons="; ".join(warning.why for warning in self.unanswered),
                names=" ".join(
                    f"--confirm {quote_for_shell(warning.answer)}" for warning in self.unanswered
                ),
            )


def inspect_draft(draft: Draft, device: Device) -> DraftInspection:
    """Inspect a draft, and return what was found.

    This reads the vault, and may decode pictures and ask relays.

    Raises:
        UnknownPerson, ContactIsBlocked, ContradictoryLists, OwnProgramTooOld, ContactProgramTooOld.
        NotAPicture and similar errors, if a picture has to be examined.
    """
    context = _draft_context(draft, device)
    outside = _recipients_outside_circles(context)
    asked = [_circle_warning(circle, context) for circle in context.circles]
    asked.extend(_person_warning(contact, context) for contact in outside)
    people = (contact.name for contact in outside)
    return DraftInspection(
        draft=draft,
        to=context.to,
        warnings=tuple(warning for warning in asked if warning is not None),
        names=tuple(sorted([*(circle.name for circle in context.circles), *people])),
        answers=_names_that_answer_warnings(context),
    )


def _recipients_outside_circles(context: DraftContext) -> tuple[Contact, ...]:
    """Return the recipients who are in none of the draft's circles."""
    in_circles = {person for circle in context.circles for person in circle.people}
    return tuple(contact for contact in context.to if contact.person.id not in in_circles)


def answers_warning(warning: RecipientWarning, typed: Iterable[str]) -> bool:
    """Return whether a typed name is the one that the warning asks for, or the whole name of the
    recipient or circle.
    """
    return not {comparable_name(warning.answer), comparable_name(warning.who)}.isdisjoint(
        map(comparable_name, typed)
    )


def _draft_context(draft: Draft, device: Device) -> DraftContext:
    known = contacts(device)
    recipients = select_contacts_by_name(draft.to, known)
    for contact in recipients:
        if contact.blocked:
            raise ContactIsBlocked(name=contact.name)
        if contact.forked:
            raise ContradictoryLists(name=contact.name)
    require_common_protocol(recipients, device)
    return DraftContext(
        draft=draft,
        to=recipients,
        known=known,
        circles=circles_by_id(draft.circles, device.vault),
        sent_records={
            one.person.id: latest_messages_sent_to(one.person.id, device) for one in recipients
        },
        named_in_text=former_recipients_named(draft, recipients, known, device),
        claimed=sender_claimed_recipients(draft, recipients, device),
        now=device.clock.now(),
        device=device,
    )


def _person_warning(contact: Contact, context: DraftContext) -> RecipientWarning | None:
    why = [text for reason in _CHECKS_OF_PERSON for text in reason(contact, context)]
    return _make_warning(contact, why, context)


def _circle_warning(circle: Circle, context: DraftContext) -> RecipientWarning | None:
    why = [text for reason in _CHECKS_OF_CIRCLE for text in reason(circle, context)]
    present = [contact for contact in context.to if contact.person.id in circle.people]
    each = [
        text
        for one in present
        for reason in _CHECKS_OF_CIRCLE_MEMBER
        for text in reason(one, context)
    ]
    why += each[:_MEMBER_REASONS_SHOWN_MAX]
    if len(each) > _MEMBER_REASONS_SHOWN_MAX:
        why.append(
            plural(
                "there is {count} more reason of this kind",
                "there are {count} more reasons of this kind",
                len(each) - _MEMBER_REASONS_SHOWN_MAX,
            )
        )
    return _make_warning(circle, why, context)


def _make_warning(
    recipient: Contact | Circle, why: list[str], context: DraftContext
) -> RecipientWarning | None:
    if not why:
        return None
    return RecipientWarning(
        RecipientId(recipient.name),
        translated(", and ").join(why),
        _expected_answer(recipient, context),
    )


def _names_that_answer_warnings(context: DraftContext) -> frozenset[str]:
    """Return every name that the user may type for this draft, normalized."""
    asked: list[Contact | Circle] = [*context.to, *context.circles]
    names = (name for one in asked for name in (one.name, _expected_answer(one, context)))
    return frozenset(map(comparable_name, names))


def _expected_answer(recipient: Contact | Circle, context: DraftContext) -> str:
    """Return the first word of the recipient's or circle's name, or the whole name if another
    contact or circle has the same first word.
    """
    every: list[Contact | Circle] = [*context.known, *circles(context.device.vault)]
    first = comparable_name(recipient.first_name)
    alike = [
        one
        for one in every
        if comparable_name(one.first_name) == first and one.name != recipient.name
    ]
    return recipient.name if alike else recipient.first_name


def record_message_recipients(message: Message, draft: Draft, device: Device) -> None:
    """Record who gets a checked message, for the checks of later drafts. Call it in the
    transaction that stores the message.
    """
    recipients = contacts_named(draft.to, device)
    for contact in recipients:
        add_sent_record(
            contact.person.id, _make_sent_record(message, draft, contact, device), device
        )
    recipient_ids = {contact.person.id for contact in recipients}
    for circle in circles_by_id(draft.circles, device.vault):
        sent_to = frozenset[PersonId](recipient_ids.intersection(circle.people))
        before, last = circle.sent_to, message.id
        updated = replace(circle, sent_to=sent_to, sent_last=last, sent_before=before)
        store_circle(updated, device.vault)


def undo_recipient_record(message: MessageId, device: Device) -> None:
    """Undo :func:`record_message_recipients` for a message that was not sent.

    People and circle members who were new before the message count as new again.
    """
    forget_sent_records_of_message(message, device)
    for circle in circles(device.vault):
        if circle.sent_last == message:
            restored = replace(circle, sent_to=circle.sent_before, sent_last=None)
            store_circle(restored, device.vault)


def _make_sent_record(
    message: Message, draft: Draft, contact: Contact, device: Device
) -> SentRecord:
    sent_records, now = latest_messages_sent_to(contact.person.id, device), device.clock.now()
    before = sent_records[-1].asked_at if sent_records else None
    asked = device_silence_to_ask_about(contact, sent_records, now, device) is not None
    devices = frozenset(key.device for key in contact.person.devices)
    return SentRecord(
        at=message.sent_at,
        message=message.id,
        devices=devices,
        trust=contact.trust,
        media=bool(draft.files) or had_media_at_current_trust(contact, sent_records),
        asked_at=now if asked else before,
    )
