"""Calculate a single deadline without a case, and show which version of the law applies and how the
date was found.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

from entrenous.base.errors import NotFound, Refused
from entrenous.base.language import day_in_words, duration_in_words, long_day_in_words, translated
from entrenous.respond.law.counting import PeriodEnd, PeriodUnit, count_period, read_period
from entrenous.respond.law.counting_rules import CountingRule, counting_rule_for
from entrenous.respond.law.deadlines import (
    MAY_BE_PAUSED_NOTE,
    RequiredAct,
    clause_in_words,
    deadline_clauses_of,
    is_in_time,
    names_pause,
    pause_length,
    pauses_when_asked,
    place_whose_clocks_count,
    required_act,
)
from entrenous.respond.law.law_tables import shipped_routes
from entrenous.respond.law.legal_route import Route
from entrenous.respond.law.places import Place
from entrenous.respond.law.zones import capital_zone, moment_at_place_in_words, place_in_words


class RequestEvent(StrEnum):
    """What happened to a request; the first two start a deadline."""

    SENT = "sent"
    RECEIVED = "received"
    ASKED = "asked"  # the addressee asked for more information
    SUPPLIED = "supplied"  # the addressee got that information
    ANSWERED = "answered"


class NoSuchRoute(NotFound):
    """
    There is no legal route called {route} in this release, so no deadline was calculated. To list
    the routes for a place: entrenous law routes --place GB
    """


class NoStartingEvent(Refused):
    """
    None of the events that you gave starts a deadline, so no deadline was calculated. Say when the
    request was received or sent, for example: --event received=2026-02-20T00:10:00+05:30
    """


class EventsOutOfOrder(Refused):
    """
    The event "{later}" cannot be earlier than "{earlier}", so no deadline was calculated. Check
    both times, and whether each ends with its offset from UTC, such as +05:30.
    """


@dataclass(frozen=True, slots=True)
class ClauseDueTime:
    """One clause of a rule. ``due_at`` is None if the clause names no duration or gives no date."""

    clause: str
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class CountedDeadline:
    """A deadline with its calculation. ``due_at`` (aware UTC) is the date of the first clause that
    has one.

    ``route`` is the version of the law in force on the day of the event; if none was, the next
    version after that day, or else the last one.
    """

    route: Route
    place: Place
    in_force: bool
    due_at: datetime | None
    clauses: tuple[ClauseDueTime, ...]
    calculation: tuple[str, ...]

    @property
    def rule(self) -> str:
        """The clause that sets the date; the whole rule if no clause does."""
        dated = (one.clause for one in self.clauses if one.due_at)
        return next(dated, self.route.deadline_rule)


def count_deadline(
    route_id: str,
    events: Mapping[RequestEvent, datetime],
    place: Place,
    routes: tuple[Route, ...] | None = None,
) -> CountedDeadline:
    """Calculate the deadline of a route from the events so far.

    Args:
        route_id: the id of one version of a route, or of a family. A family is the id that all
            versions of a route share; the version in force on the day of the event counts.
        events: the events so far, with their times (aware).
        place: where the addressee has to act. If the law does not apply there, the law's own place
            counts instead.
        routes: the shipped table if None.

    Raises:
        NoSuchRoute, NoStartingEvent, EventsOutOfOrder.
    """
    table = shipped_routes() if routes is None else routes
    versions = [one for one in table if one.family == route_id] or [
        one for one in table if one.id == route_id
    ]
    if not versions:
        raise NoSuchRoute(route=route_id)
    start = _starting_time(events)
    where = place_whose_clocks_count(versions[0].jurisdiction, (place,))
    day = start.astimezone(capital_zone(where)).date()
    in_force = [one for one in versions if one.is_in_force(day)]
    if not in_force:
        return _deadline_when_not_in_force(_next_or_last_version(versions, day), day, where)
    counted = _count_clauses(in_force[0], events, where, day)
    if where == place:
        return counted
    named_place, law_place = place_in_words(place), place_in_words(where)
    elsewhere = translated(
        "This law is that of {own}, so the clocks and holidays of {own} count, not those of "
        "{asked}."
    ).format(own=law_place, asked=named_place)
    return replace(counted, calculation=(elsewhere, *counted.calculation))


def _starting_time(events: Mapping[RequestEvent, datetime]) -> datetime:
    """Return the time at which the deadline starts; raises NoStartingEvent, EventsOutOfOrder."""
    start = events.get(RequestEvent.RECEIVED) or events.get(RequestEvent.SENT)
    if start is None:
        raise NoStartingEvent
    order = [event for event in RequestEvent if event in events]
    for earlier, later in (
        (RequestEvent.SENT, one) for one in order if RequestEvent.SENT in events
    ):
        if events[later] < events[earlier]:
            raise EventsOutOfOrder(earlier=earlier.value, later=later.value)
    asked, supplied = events.get(RequestEvent.ASKED), events.get(RequestEvent.SUPPLIED)
    if asked and supplied and supplied < asked:
        raise EventsOutOfOrder(earlier=RequestEvent.ASKED.value, later=RequestEvent.SUPPLIED.value)
    return start


def _next_or_last_version(versions: list[Route], day: date) -> Route:
    """Return the first version that begins after that day, or else the last one."""
    later = [one for one in versions if one.in_force_from and one.in_force_from > day]
    return min(later, key=lambda one: one.in_force_from or day) if later else versions[-1]


def _deadline_when_not_in_force(route: Route, day: date, place: Place) -> CountedDeadline:
    first, last = route.in_force_from, route.in_force_until
    not_then = [translated("{law} was not in force on that day.").format(law=_cite_route(route))]
    if first and first > day:
        not_then.append(translated("It began on {day}.").format(day=day_in_words(first)))
    if last and last < day:
        not_then.append(translated("It ended on {day}.").format(day=day_in_words(last)))
    there = translated("The event was on {day} in {place}.").format(
        day=long_day_in_words(day), place=place_in_words(place)
    )
    clauses = tuple(ClauseDueTime(clause, None) for clause in deadline_clauses_of(route))
    return CountedDeadline(route, place, False, None, clauses, (there, " ".join(not_then)))


def _count_clauses(
    route: Route, events: Mapping[RequestEvent, datetime], place: Place, day: date
) -> CountedDeadline:
    rule = counting_rule_for(route)
    clauses = deadline_clauses_of(route)
    endings = [(one, _count_clause_end(one, route, rule, events, place)) for one in clauses]
    due_at = next((end.due_at for _, end in endings if end and end.due_at), None)
    return CountedDeadline(
        route=route,
        place=place,
        in_force=True,
        due_at=due_at,
        clauses=tuple(
            ClauseDueTime(clause, end.due_at if end else None) for clause, end in endings
        ),
        calculation=(
            *_note_start(route, rule, events, place, day),
            *(line for one in endings for line in _note_clause(*one, place, len(endings) > 1)),
            *_note_requests_for_more(route, rule, events, place, due_at),
            *_note_silence_of_law(clauses, rule),
            _note_counting_rule(rule),
        ),
    )


def _count_clause_end(
    clause: str,
    route: Route,
    rule: CountingRule,
    events: Mapping[RequestEvent, datetime],
    place: Place,
) -> PeriodEnd | None:
    period = read_period(clause)
    if period is None:
        return None
    start = _starting_time(events)
    if required_act(route, clause) is RequiredAct.CONFIRM:
        start = events.get(RequestEvent.SENT) or start
    end = count_period(start, period, rule, place)
    pause = _pause_length(route, events, end.due_at)
    return count_period(start + pause, period, rule, place) if pause else end


def _pause_length(
    route: Route, events: Mapping[RequestEvent, datetime], due_at: datetime | None
) -> timedelta:
    asked, supplied = events.get(RequestEvent.ASKED), events.get(RequestEvent.SUPPLIED)
    return pause_length(route, asked, supplied, due_at)


def _note_start(
    route: Route,
    rule: CountingRule,
    events: Mapping[RequestEvent, datetime],
    place: Place,
    day: date,
) -> Iterator[str]:
    known = RequestEvent.RECEIVED if RequestEvent.RECEIVED in events else RequestEvent.SENT
    when = moment_at_place_in_words(events[known], place)
    sentence = (
        translated("The request was received on {when}.")
        if known is RequestEvent.RECEIVED
        else translated("The request was sent on {when}.")
    )
    yield sentence.format(when=when)
    if known is RequestEvent.SENT:
        yield translated(
            "When it was received is not known: if that was later, their time ends later."
        )
        if rule.receipt:
            yield f"{translated(rule.receipt)} ({rule.receipt_source})"
    if route.deadline_from:
        yield translated("By this law their time runs from: {deadline_from}.").format(
            deadline_from=translated(route.deadline_from)
        )
    bounds = [_cite_route(route)]
    if route.in_force_from:
        since = translated("in force from {day}")
        bounds.append(since.format(day=day_in_words(route.in_force_from)))
    if route.in_force_until:
        until = translated("in force until {day}")
        bounds.append(until.format(day=day_in_words(route.in_force_until)))
    yield translated("The law of that day, {day} in {place}: {law}.").format(
        day=long_day_in_words(day), place=place_in_words(place), law=", ".join(bounds)
    )


def _note_clause(clause: str, end: PeriodEnd | None, place: Place, several: bool) -> Iterator[str]:  # noqa: FBT001 - one caller
    if end is None:
        yield translated("The law names no duration here, but says: {clause}.").format(
            clause=clause_in_words(clause)
        )
        return
    if several:
        yield translated("Clause: {clause}.").format(clause=clause_in_words(clause))
    yield from end.calculation
    if end.due_at:
        yield translated("They have until {moment}.").format(
            moment=moment_at_place_in_words(end.due_at, place)
        )


def _note_requests_for_more(
    route: Route,
    rule: CountingRule,
    events: Mapping[RequestEvent, datetime],
    place: Place,
    due_at: datetime | None,
) -> Iterator[str]:
    asked, answered = events.get(RequestEvent.ASKED), events.get(RequestEvent.ANSWERED)
    if asked and pauses_when_asked(route, asked, due_at):
        yield translated("They asked for more on {moment}. {cite_asked}.").format(
            moment=moment_at_place_in_words(asked, place), cite_asked=translated(rule.cite_asked)
        )
        pause = _pause_length(route, events, due_at)
        yield (
            translated("The pause of {duration} is added.").format(
                duration=duration_in_words(pause)
            )
            if pause
            else translated(MAY_BE_PAUSED_NOTE)
        )
    elif asked and not names_pause(route):  # a question after the end changes nothing either
        yield translated(
            "They asked for more, but their time does not pause: this law names no pause."
        )
    if answered and due_at:
        late = answered - due_at
        yield (
            translated("They answered in time.")
            if is_in_time(answered, due_at)
            else translated("They answered {duration} late.").format(
                duration=duration_in_words(late)
            )
        )


def _note_silence_of_law(clauses: tuple[str, ...], rule: CountingRule) -> Iterator[str]:
    periods = [period for period in map(read_period, clauses) if period]
    if rule.silent_hours and any(one.unit is PeriodUnit.HOURS for one in periods):
        yield translated(rule.silent_hours)
    if rule.silent and any(one.unit is not PeriodUnit.HOURS for one in periods):
        yield translated(rule.silent)


def _note_counting_rule(rule: CountingRule) -> str:
    if rule.verified:
        words = translated("Counted by {law}: {source}, read on {day}.")
    else:
        words = translated(
            "Counted by {law} (not checked at an official text): {source}, read on {day}."
        )
    return words.format(law=rule.law, source=rule.source, day=rule.read_on)


def _cite_route(route: Route) -> str:
    return f"{route.law}, {route.provision}"
