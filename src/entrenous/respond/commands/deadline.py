"""``entrenous law deadline`` and ``entrenous case calendar``: the date by which somebody has to
act.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.base.environment import SystemClock
from entrenous.base.language import translated
from entrenous.respond.calendar_file import (
    CalendarEntry,
    calendar_entry_uid,
    format_calendar_file,
    running_deadline_entries,
)
from entrenous.respond.law.deadlines import clause_in_words, deadlines_of_case
from entrenous.respond.law.one_deadline import CountedDeadline, RequestEvent, count_deadline
from entrenous.respond.law.places import Place, parse_place
from entrenous.respond.law.zones import capital_zone, moment_at_place_in_words
from entrenous.terminal.output import print_json, print_line
from entrenous.terminal.output_files import write_new
from entrenous.terminal.typed_input import JsonFlag, parse_time

_EXIT_NO_DATE: Final = 1  # exit status: there is no date
_EVENT_YEAR_MAX: Final = 2200  # holidays and time zones are not known further ahead
CalendarFileOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Also write a calendar file (.ics).")
]
PlainTitlesOption = Annotated[
    bool, typer.Option("--plain-titles", help="Name the law in the calendar, not Reminder 1.")
]
AlarmOption = Annotated[
    int | None,
    typer.Option(metavar="HOURS", min=0, help="Let the calendar remind you before the deadline."),
]


def deadline(
    route: Annotated[str, typer.Argument(help="A route of: entrenous law routes")],
    event: Annotated[
        list[str],
        typer.Option(
            metavar="WHAT=TIME",
            help="An event (received, sent, asked, supplied or answered) and its time with "
            "UTC offset.",
        ),
    ],
    country: Annotated[
        str,
        typer.Option(
            metavar="PLACE", help="The country where they have to act: IN, Germany, US-CA."
        ),
    ],
    region: Annotated[
        str | None,
        typer.Option(metavar="REGION", help="The state or region in the country: CA, BY."),
    ] = None,
    ics: CalendarFileOption = None,
    plain_titles: PlainTitlesOption = False,
    alarm: AlarmOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Work out the date by which somebody has to act under a law, and show each step. Exit status
    1: there is no date.
    """
    result = count_deadline(route, _parse_events(event), _parse_place(country, region))
    if ics is not None and result.due_at is not None:
        now = SystemClock().now()
        words = f"{result.route.law}, {result.route.provision}: {clause_in_words(result.rule)}"
        entry = CalendarEntry(result.due_at, words, calendar_entry_uid(now, words))
        shown = format_calendar_file(
            [entry], now, plain_titles=plain_titles, alarm=_alarm_lead_time(alarm)
        )
        write_new(ics, shown)
    if as_json:
        print_json(_deadline_json(result))
    else:
        for line in result.calculation:
            print_line(f"  {line}")
        print_line(_deadline_in_words(result))
    raise typer.Exit(0 if result.due_at else _EXIT_NO_DATE)


def calendar(
    context: typer.Context,
    name: str,
    ics: Annotated[Path, typer.Option(metavar="FILE", help="The calendar file (.ics) to write.")],
    plain_titles: PlainTitlesOption = False,
    alarm: AlarmOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Write all running deadlines of a case as a file for a calendar. It says "Reminder" and a
    number, so that somebody who sees the calendar learns nothing.
    """
    from entrenous.device.commands import opened_device  # noqa: PLC0415 - law needs no vault
    from entrenous.respond.case_file import find_case  # noqa: PLC0415

    with opened_device(context) as device:
        case, now = find_case(name, device), device.clock.now()
        entries = running_deadline_entries(case, deadlines_of_case(case, now))
    write_new(
        ics,
        format_calendar_file(
            entries, now, plain_titles=plain_titles, alarm=_alarm_lead_time(alarm)
        ),
    )
    if as_json:
        print_json({"schema": "entrenous/calendar/1", "file": str(ics), "entries": len(entries)})
    else:
        print_line(
            translated(
                "wrote {ics}, with these deadlines: {count}. They bind the addressees of your "
                "letters, not you."
            ).format(ics=ics, count=len(entries))
        )


def _parse_events(typed: list[str]) -> dict[RequestEvent, datetime]:
    found: dict[RequestEvent, datetime] = {}
    for one in typed:
        what, equals, when = one.partition("=")
        known = what.strip().casefold() in set(RequestEvent)
        if not (equals and known):
            raise typer.BadParameter(
                translated(
                    "{one!r} does not have the form WHAT=TIME; WHAT is one of: {events}"
                ).format(one=one, events=", ".join(RequestEvent))
            )
        moment = parse_time(when)
        if moment.year > _EVENT_YEAR_MAX:
            raise typer.BadParameter(
                translated("{when!r} is too far in the future to count a deadline from").format(
                    when=when
                )
            )
        found[RequestEvent(what.strip().casefold())] = moment
    return found


def _parse_place(country: str, region: str | None) -> Place:
    place = parse_place(country)
    if region is None:
        return place
    part = region.strip()
    return parse_place(part if part.upper().startswith(f"{place}-") else f"{place}-{part}")


def _alarm_lead_time(hours: int | None) -> timedelta | None:
    return None if hours is None else timedelta(hours=hours)


def _deadline_in_words(result: CountedDeadline) -> str:
    if result.due_at is not None:
        return translated("They have until {due_at}.").format(
            due_at=moment_at_place_in_words(result.due_at, result.place)
        )
    if not result.in_force:
        return translated("No deadline: this law was not in force on that day.")
    return translated("No date: this law names none that can be counted.")


def _deadline_json(result: CountedDeadline) -> dict[str, object]:
    return {
        "schema": "entrenous/deadline/1",
        "route": result.route.id,
        "due_at": _local_time(result.due_at, result.place),
        "in_force": result.in_force,
        "rule": result.rule,
        "working": list(result.calculation),
        "source": result.route.source,
        "place": result.place,
        "read_on": result.route.read_on.isoformat(),
        "verified": result.route.verified,
        "clauses": [
            {"rule": one.clause, "due_at": _local_time(one.due_at, result.place)}
            for one in result.clauses
        ],
    }


def _local_time(moment: datetime | None, place: Place) -> str | None:
    """Format a time with the offset of the place (RFC 3339), so that it shows the date that counts
    there.
    """
    return None if moment is None else moment.astimezone(capital_zone(place)).isoformat()
