"""Help as text for people, and as JSON with the schema ``entrenous/help/1`` (docs/spec/help.md)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Final
from urllib.parse import urlsplit

from entrenous.base.language import (
    day_in_words,
    language_of_person,
    translatable,
    translated,
)
from entrenous.respond.first_steps import FirstSteps
from entrenous.respond.help_lines import EmergencyNumbers, HelpKind, HelpLine
from entrenous.respond.law.places import WORLDWIDE, place_name
from entrenous.respond.opening_hours import OpeningState, opening_state_at, opening_state_in_words
from entrenous.respond.who_helps import HelpForNeed, is_public_holiday

_SOURCES_SHOWN_MAX: Final = 3  # number of sources named in text; the JSON has all
HELP_SCHEMA: Final = "entrenous/help/1"
_MADE_FOR_CHILDREN_NOTE: Final = translatable(
    "made for people under 18; ask whether they help adults too"
)


def help_in_words(
    shown_help: HelpForNeed, now: datetime, person_zone: tzinfo | None
) -> Iterator[str]:
    """Yield, line by line, emergency numbers, first steps, people who help, and notes. If somebody
    is in danger, the people who help come before the first steps.

    Args:
        shown_help: the help for somebody's places and need.
        now: the time, with a time zone.
        person_zone: the person's time zone; None means this machine's.
    """
    for numbers in shown_help.emergency:
        yield emergency_numbers_in_words(numbers, now.date())
    steps = [line for one in shown_help.advice for line in first_steps_in_words(one, now.date())]
    people = ["", translated("People who help:")]
    for line in shown_help.contacts:
        name, *about = help_line_in_words(line, now, person_zone, under_18=shown_help.need.under_18)
        people += [f"  {name}", *(f"    {row}" for row in about)]
    yield from (*people, *steps) if shown_help.need.danger else (*steps, *people)
    yield ""
    yield from shown_help.notes


def first_steps_in_words(first_steps: FirstSteps, today: date) -> Iterator[str]:
    """Yield first steps as numbered lines, followed by their sources and cautions."""
    yield ""
    yield f"{first_steps.title}:"
    yield from (f"  {number}. {step}" for number, step in enumerate(first_steps.steps, 1))
    hosts = list(dict.fromkeys(map(_source_host, first_steps.sources)))
    more = translated("and {number} more").format(number=len(hosts) - _SOURCES_SHOWN_MAX)
    where = ", ".join(hosts[:_SOURCES_SHOWN_MAX]) + (
        f" {more}" if len(hosts) > _SOURCES_SHOWN_MAX else ""
    )
    read = translated("read on {day} at {where}")
    yield f"  ({read.format(day=day_in_words(first_steps.read_on), where=where)})"
    yield from (f"  ({caution})" for caution in first_steps.cautions(today))


def emergency_numbers_in_words(numbers: EmergencyNumbers, today: date) -> str:
    """Format emergency numbers: "In danger (Germany): call 112 (police: 110)"."""
    police_only = [number for number in numbers.police if number not in numbers.any_service]
    main, police = (
        (numbers.any_service, police_only) if numbers.any_service else (numbers.police, [])
    )
    either = f" {translated('or')} "
    words = translated("In danger ({place}): call {numbers}").format(
        place=place_name(numbers.place, language_of_person()), numbers=either.join(main)
    )
    if police:
        words += " " + translated("(police: {numbers})").format(numbers=either.join(police))
    caution_texts = numbers.cautions(today)
    return f"{words}; {'; '.join(caution_texts)}" if caution_texts else words


@dataclass(frozen=True, slots=True)
class HelpLineFacts:
    """What to know about a help line, in words: whom it is for, its terms (such as "free of
    charge"), its hours and languages, and notes with cautions and the source.
    """

    who: str
    terms: tuple[str, ...]
    hours: str
    languages: str
    notes: tuple[str, ...]


def help_line_in_words(
    line: HelpLine, now: datetime, person_zone: tzinfo | None, *, under_18: bool = False
) -> tuple[str, ...]:
    """Format a help line: how to reach it, then for whom and when, notes, and cautions.

    The arguments are those of :func:`help_line_facts`.
    """
    reach = dict.fromkeys(filter(None, [line.translated_phone, line.chat, line.web, line.email]))
    where = "" if line.place == WORLDWIDE else f" ({place_name(line.place, language_of_person())})"
    facts = help_line_facts(line, now, person_zone, under_18=under_18)
    about = "; ".join(filter(None, (facts.who, *facts.terms, facts.hours, facts.languages)))
    return tuple(filter(None, (f"{line.name}{where}: {', '.join(reach)}", about, *facts.notes)))


def help_line_facts(
    line: HelpLine, now: datetime, person_zone: tzinfo | None, *, under_18: bool = False
) -> HelpLineFacts:
    """Return what to know about a help line.

    Args:
        line: the help line; its hours are in its own time zone.
        now: the time, with a time zone.
        person_zone: the person's time zone; None means this machine's.
        under_18: whether the person who needs help is under 18.
    """
    state = opening_state_of(line, now)
    written = translated(line.hours)
    hours = written if state is None else opening_state_in_words(state, now, person_zone)
    if state is not None and (state.changes_at or "(" in line.hours):
        hours += f" ({written})"
    free = translated("free of charge") if line.cost == "free" else ""
    confidential = translated("confidential") if line.confidential else ""
    for_whom = (
        translated(_MADE_FOR_CHILDREN_NOTE)
        if line.kind is HelpKind.CHILDREN and not under_18
        else ""
    )
    cautions = "; ".join(filter(None, [for_whom, *line.cautions(now.date())]))
    read = translated("read on {day} at {where}").format(
        day=day_in_words(line.read_on), where=_source_host(line.source)
    )
    return HelpLineFacts(
        who=translated(line.who),
        terms=tuple(filter(None, (free, confidential))),
        hours=hours,
        languages=_languages_in_words(line),
        notes=tuple(filter(None, (translated(line.note), cautions, read))),
    )


def opening_state_of(line: HelpLine, now: datetime) -> OpeningState | None:
    """Return whether a line is open and when that changes; None if its hours are not known for
    certain.
    """
    return None if line.opening is None else opening_state_at(line.opening, now, is_public_holiday)


def help_json(shown_help: HelpForNeed, now: datetime) -> dict[str, object]:
    """Return help as JSON with the schema ``entrenous/help/1``."""
    return {
        "schema": HELP_SCHEMA,
        "place": shown_help.places[0] if shown_help.places else None,
        "places": list(shown_help.places),
        "emergency": [_emergency_json(numbers, now.date()) for numbers in shown_help.emergency],
        "contacts": [_help_line_json(line, now) for line in shown_help.contacts],
        "steps": [step for one in shown_help.advice for step in one.steps],
        "advice": [_first_steps_json(one, now.date()) for one in shown_help.advice],
        "notes": list(shown_help.notes),
    }


def _emergency_json(numbers: EmergencyNumbers, today: date) -> dict[str, object]:
    return {
        "place": numbers.place,
        "any": list(numbers.any_service),
        "police": list(numbers.police),
        "in_words": emergency_numbers_in_words(numbers, today),
        "source": numbers.source,
        "read_on": numbers.read_on.isoformat(),
        "verified": numbers.verified,
        "verified_by": numbers.verified_by,
        "cautions": list(numbers.cautions(today)),
    }


def _help_line_json(line: HelpLine, now: datetime) -> dict[str, object]:
    state = opening_state_of(line, now)
    return {
        "id": line.id,
        "place": line.place,
        "kind": line.kind.value,
        "for_children": line.for_children,
        "name": line.name,
        "who": line.who,
        "phone": line.phone,
        "phone_verified": line.phone_verified,
        "chat": line.chat,
        "web": line.web,
        "email": line.email,
        "hours": line.hours,
        "open_now": None if state is None else state.is_open,
        "changes_at": None
        if state is None or not state.changes_at
        else _iso_time(state.changes_at),
        "languages": list(line.languages),
        "cost": line.cost,
        "confidential": line.confidential,
        "note": line.note,
        "source": line.source,
        "read_on": line.read_on.isoformat(),
        "verified": line.verified,
        "verified_by": line.verified_by,
        "cautions": list(line.cautions(now.date())),
    }


def _first_steps_json(first_steps: FirstSteps, today: date) -> dict[str, object]:
    return {
        "id": first_steps.id.value,
        "title": first_steps.title,
        "steps": list(first_steps.steps),
        "sources": list(first_steps.sources),
        "read_on": first_steps.read_on.isoformat(),
        "verified": first_steps.verified,
        "verified_by": first_steps.verified_by,
        "cautions": list(first_steps.cautions(today)),
    }


def _source_host(source: str) -> str:
    return urlsplit(source).hostname or source


def _iso_time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _languages_in_words(line: HelpLine) -> str:
    from babel.core import Locale  # noqa: PLC0415 -- slow to load

    known = Locale(language_of_person().partition("-")[0]).languages
    names = [known.get(language, language) for language in line.languages]
    return translated("speaks {languages}").format(languages=", ".join(names)) if names else ""
