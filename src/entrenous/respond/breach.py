"""A breach of an organisation's own systems, and the organisation's duties to the authority and to
the people concerned.

The duties are those of GDPR Art. 33 and 34, as stated in facts/laws/. The organisation itself has
to notify; nothing is sent from here.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from entrenous.base.errors import NotFound, Refused
from entrenous.base.language import day_in_words, moment_in_words, translated
from entrenous.device.device import Device
from entrenous.respond.case_file import edit_case
from entrenous.respond.law.deadlines import (
    Deadline,
    DeadlineState,
    addressee_place,
    clause_due_at,
    deadline_in_words,
    deadlines_of_case,
)
from entrenous.respond.law.law_tables import shipped_routes
from entrenous.respond.law.legal_route import Route
from entrenous.respond.law.places import Place, law_reaches
from entrenous.respond.law.zones import moment_at_place_in_words
from entrenous.respond.nouns import Breach, Case, ImpossibleTime
from entrenous.respond.situation import Situation


class NoBreachLaw(NotFound):
    """
    Entrenous knows no law for this place that requires an organisation to report a breach to an
    authority, so no deadline was calculated. There may still be such a law: ask the person who
    handles data protection for you. If the case names no place, say where the organisation is:
    entrenous case about NAME --place DE
    """


class CaseHasNoBreach(Refused):
    """
    Case {name} has no record of a breach of your own systems, so nothing was changed. If it is
    about such a breach, record when you became aware of it: entrenous case breach {name} --aware-at
    TIME
    """


# ids that all versions of a route share
_BREACH_ROUTE_FAMILIES: Final = ("eu-gdpr-33", "uk-gdpr-33")


def find_breach_law(places: tuple[Place, ...], aware_at: datetime) -> Route:
    """Return the law about breaches that is in force at ``aware_at`` for an organisation in one of
    these places; raises NoBreachLaw.
    """
    for route in shipped_routes():
        fits = route.family in _BREACH_ROUTE_FAMILIES and route.is_in_force(aware_at.date())
        if fits and places and law_reaches(route.jurisdiction, places):
            return route
    raise NoBreachLaw


def case_with_breach(case: Case, aware_at: datetime, now: datetime) -> Case:
    """Return the case with the time from which the organisation's deadline runs.

    Raises:
        ImpossibleTime: ``aware_at`` is in the future, or later than a notification that was
            recorded.
        NoBreachLaw: no known law applies in the case's places.
    """
    if aware_at > now:
        raise ImpossibleTime(what="becoming aware", when="in the future")
    known = case.breach or Breach(find_breach_law(case.situation.places, aware_at), aware_at)
    if any(
        at is not None and at < aware_at for at in (known.notified_at, known.people_notified_at)
    ):
        raise ImpossibleTime(
            what="becoming aware", when="later than the notification that you recorded"
        )
    route = find_breach_law(case.situation.places, aware_at)
    return replace(case, breach=replace(known, route=route, aware_at=aware_at))


def record_breach(name: str, aware_at: datetime, device: Device) -> Case:
    """Record, or correct, the time (in UTC) at which the organisation became aware of its breach.

    Raises NoSuchCase, NotAllAdults, CaseClosed, ImpossibleTime, NoBreachLaw.
    """
    now = device.clock.now()
    step = "noted a breach of the organisation's own systems"
    return edit_case(name, device, lambda case: case_with_breach(case, aware_at, now), step)


def record_breach_notified(
    name: str,
    at: datetime,
    device: Device,
    *,
    notified: bool = False,
    people_notified: bool = False,
) -> Case:
    """Record that the authority was notified (``notified``), that the people concerned were told
    (``people_notified``), or both, at the time ``at`` (aware UTC).

    A time that is already recorded is not changed. Raises NoSuchCase, NotAllAdults, CaseClosed,
    CaseHasNoBreach, ImpossibleTime.
    """
    now = device.clock.now()

    def add_notification_times(case: Case) -> Case:
        breach = case.breach
        if breach is None:
            raise CaseHasNoBreach(name=name)
        if not breach.aware_at <= at <= now:
            if at > now:
                raise ImpossibleTime(what="notification", when="in the future")
            raise ImpossibleTime(
                what="notification", when="earlier than the time of becoming aware"
            )
        marked = replace(
            breach,
            notified_at=breach.notified_at or at if notified else breach.notified_at,
            people_notified_at=breach.people_notified_at or at
            if people_notified
            else breach.people_notified_at,
        )
        return replace(case, breach=marked)

    whom = " and ".join(
        [
            *(["the authority"] if notified else []),
            *(["the people concerned"] if people_notified else []),
        ]
    )
    return edit_case(name, device, add_notification_times, f"noted that {whom} heard of the breach")


def breach_duties_in_words(case: Case, now: datetime) -> tuple[str, ...]:
    """Return the organisation's duties, line by line; empty if the case has no breach."""
    if case.breach is None:
        return ()
    own_deadlines = [deadline for deadline in deadlines_of_case(case, now) if deadline.yours]
    return tuple(_breach_lines(case.breach, own_deadlines))


def _breach_lines(breach: Breach, own_deadlines: list[Deadline]) -> Iterator[str]:
    route = breach.route
    aware = moment_in_words(breach.aware_at)
    yield translated("You became aware of it on {when}. The time runs from then.").format(
        when=aware
    )
    for deadline in own_deadlines:
        words = deadline_in_words(deadline)
        yield f"{words[:1].upper()}{words[1:]}."
    yield translated("Tell {addressee}:").format(addressee=translated(route.addressee))
    for element in route.elements:
        yield f"- {translated(element)}"
    yield translated(route.caution)
    yield (
        translated("The authority was notified on {when}.").format(
            when=moment_in_words(breach.notified_at)
        )
        if breach.notified_at
        else translated("The authority was notified: not noted yet.")
    )
    yield (
        translated("The people concerned were told on {when}.").format(
            when=moment_in_words(breach.people_notified_at)
        )
        if breach.people_notified_at
        else translated("The people concerned were told: not noted yet.")
    )
    yield translated("Source: {source}, read on {day}. No legal advice.").format(
        source=route.source, day=day_in_words(route.read_on)
    )


def breach_next_step(case: Case, now: datetime) -> str:
    """Return the next step about a breach, or "" if there is none to take."""
    breach = case.breach
    if breach is None or breach.notified_at is not None:
        return ""
    deadline = next(one for one in deadlines_of_case(case, now) if one.yours and one.due_at)
    late = deadline.state is DeadlineState.MISSED
    reasons = translated("Say why it is later: the law asks for the reasons.") if late else ""
    return " ".join(
        filter(
            None,
            (
                translated(
                    "Tell {addressee}, unless a risk to people is unlikely: {deadline}."
                ).format(
                    addressee=translated(breach.route.addressee),
                    deadline=deadline_in_words(deadline),
                ),
                reasons,
                translated(
                    "You can add later what you do not know yet. When you have told them, "
                    "note it: entrenous case breach {name} --notified"
                ).format(name=case.name),
            ),
        )
    )


def unstored_breach_deadline_text(places: tuple[Place, ...], aware_at: datetime) -> str:
    """Return a text with the deadline for notifying the authority of a breach that is not stored,
    because somebody under 18 is concerned.

    Raises NoBreachLaw.
    """
    route = find_breach_law(places, aware_at)
    place = addressee_place(route, Situation(places))
    due_at = clause_due_at(aware_at, route.deadline_rule)  # the earlier end, as in deadlines.py
    shown = (
        moment_at_place_in_words(due_at, place, None) if due_at else translated(route.deadline_rule)
    )
    return translated(
        "Your organisation has until {shown} to tell {addressee} ({law}, {provision}). "
        "Nothing about it is stored here. {caution}"
    ).format(
        shown=shown,
        addressee=translated(route.addressee),
        law=route.law,
        provision=route.provision,
        caution=translated(route.caution),
    )
