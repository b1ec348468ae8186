"""The pages that show who helps and what to do first. They need no vault or passphrase, and keep
only the answers, in memory.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import read_form, typed_text
from entrenous.app.web import error_words, redirect_to, show, state_of
from entrenous.base.environment import SystemClock
from entrenous.base.language import language_of_person
from entrenous.respond.first_steps import FirstSteps
from entrenous.respond.help_lines import (
    EmergencyNumbers,
    HelpLine,
    TelephoneNumber,
    parse_telephone_numbers,
)
from entrenous.respond.help_report import (
    HelpLineFacts,
    emergency_numbers_in_words,
    first_steps_in_words,
    help_line_facts,
)
from entrenous.respond.law.places import COUNTRIES, Place, UnknownPlace, parse_place, place_name
from entrenous.respond.safety import SafetyAnswers, read_yes_or_no
from entrenous.respond.situation import Spread
from entrenous.respond.who_helps import HelpNeed, emergency_numbers, find_help, find_help_lines

_SUGGESTED_COUNTRIES_MAX: Final = 2
_PLACE_CODE_PATTERN: Final = re.compile(r"\(([A-Z]{2}(?:-[A-Z0-9]{1,3})?)\)")
_HELP_LINES_SHOWN_AT_ONCE: Final = 4


def routes() -> list[Route]:
    return [
        Route("/70", show_help_lines, name="help", methods=["GET"]),
        Route("/70", store_help_choices, methods=["POST"]),
        Route("/71", show_under_18_help, name="under_18", methods=["GET"]),
        Route("/71", show_under_18_help_for_place, methods=["POST"]),
    ]


@dataclass(frozen=True, slots=True)
class ShownHelpLine:
    """A help line as displayed: how to reach it, and what to know, in words."""

    line: HelpLine
    phones: tuple[TelephoneNumber, ...]
    facts: HelpLineFacts

    @property
    def has_phone_or_chat(self) -> bool:
        """Whether somebody answers, by telephone or in a chat. If not, there is only a website."""
        return bool(self.phones or self.line.chat)


@dataclass(frozen=True, slots=True)
class ShownEmergencyNumbers:
    """Emergency numbers in a sentence, and each as a number to call."""

    words: str
    numbers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShownFirstSteps:
    """First steps, and their sources."""

    title: str
    steps: tuple[str, ...]
    sources: tuple[str, ...]


async def show_help_lines(request: Request, words: str = "", tried: str = "") -> Response:
    """Show who helps, according to the answers so far."""
    answers = state_of(request).login.answers
    places, need, now = (
        places_from_answers(answers),
        need_from_answers(answers),
        SystemClock().now(),
    )
    found = await asyncio.to_thread(find_help, places, need)
    return show(
        request,
        "help.html",
        status=409 if words else 200,
        words=words,
        tried=tried,
        need=need,
        place=", ".join(place_name(one, _language_code()) for one in places),
        guesses=suggest_places(request, words),
        emergency=present_emergency_numbers(found.emergency, now.date()),
        steps=[present_first_steps(one, now.date()) for one in found.advice],
        lines=present_help_lines(found.contacts, now),
        at_once=_HELP_LINES_SHOWN_AT_ONCE,
        notes=_notes_naming_no_command(found.notes),
    )


async def store_help_choices(request: Request) -> Response:
    """Keep the country and the need in memory for the next pages. About somebody under 18, nothing
    is kept.
    """
    form, answers = await read_form(request), state_of(request).login.answers
    place, words = await parse_typed_place(typed_text(form, "guess") or typed_text(form, "place"))
    if typed_text(form, "under_18"):
        return await _show_under_18_and_forget_answers(request, place, words)
    if words:
        return await show_help_lines(request, words, typed_text(form, "place"))
    answers["place"] = place or ("" if typed_text(form, "asked") else answers.get("place", ""))
    if typed_text(form, "asked"):
        answers["safe"] = "no" if typed_text(form, "danger") else ""
        answers["watched"] = "yes" if typed_text(form, "watched") else ""
    if typed_text(form, "asked") or typed_text(form, "threat"):
        answers["posted"] = _spread_after_threat_choice(
            answers.get("posted", ""), threat=bool(typed_text(form, "threat"))
        )
    return redirect_to(request, "help")


async def show_under_18_help(request: Request) -> Response:
    """Show who helps somebody under 18, and delete earlier answers."""
    place = state_of(request).login.answers.get("place", "")
    return await _show_under_18_and_forget_answers(request, Place(place) if place else None, "")


async def show_under_18_help_for_place(request: Request) -> Response:
    form = await read_form(request)
    place, words = await parse_typed_place(typed_text(form, "guess") or typed_text(form, "place"))
    return await _show_under_18_and_forget_answers(request, place, words)


async def _show_under_18_and_forget_answers(
    request: Request, place: Place | None, words: str
) -> Response:
    state_of(request).login.forget_answers_and_forms()
    places = (place,) if place else ()
    now = SystemClock().now()
    found = await asyncio.to_thread(find_help, places, HelpNeed(under_18=True))
    return show(
        request,
        "under_18.html",
        status=409 if words else 200,
        words=words,
        place=place_name(place, _language_code()) if place else "",
        guesses=suggest_places(request, words),
        emergency=present_emergency_numbers(found.emergency, now.date()),
        steps=[present_first_steps(one, now.date()) for one in found.advice],
        lines=present_help_lines(found.contacts, now, under_18=True),
        at_once=_HELP_LINES_SHOWN_AT_ONCE,
        notes=_notes_naming_no_command(found.notes),
    )


async def parse_typed_place(text: str) -> tuple[Place | None, str]:
    """Return the typed place, or why it is not valid.

    The place is looked up in a thread, because that takes seconds for a name in a rare language.
    """
    if not text:
        return None, ""
    try:
        return await asyncio.to_thread(parse_place, text), ""
    except UnknownPlace as why:
        return None, error_words(why)


def places_from_answers(answers: dict[str, str]) -> tuple[Place, ...]:
    place = answers.get("place", "")
    return (Place(place),) if place else ()


def need_from_answers(answers: dict[str, str]) -> HelpNeed:
    """Return what the person needs help with, according to the answers."""
    yes = {name: read_yes_or_no(answers.get(name, "")) for name in ("safe", "watched")}
    posted = answers.get("posted", "")
    return SafetyAnswers(
        safe=False if yes["safe"] is False else None,
        watched=True if yes["watched"] is True else None,
        posted=Spread(posted) if posted else None,
    ).need()


def first_help_lines_nearby(request: Request, now: datetime) -> list[ShownHelpLine]:
    """Return the first few help lines to turn to; those with a telephone number come first."""
    found = find_help_lines(
        _named_or_guessed_places(request), need_from_answers(state_of(request).login.answers)
    )
    found = tuple(
        sorted(found, key=lambda line: not parse_telephone_numbers(line.translated_phone))
    )
    return present_help_lines(found[:_HELP_LINES_SHOWN_AT_ONCE], now)


def emergency_numbers_nearby(request: Request, today: date) -> list[ShownEmergencyNumbers]:
    return present_emergency_numbers(emergency_numbers(_named_or_guessed_places(request)), today)


def _named_or_guessed_places(request: Request) -> tuple[Place, ...]:
    """Return the places that the person named, or else the first country that can be guessed."""
    guessed = tuple(Place(code) for code, _ in suggest_places(request)[:1])
    return places_from_answers(state_of(request).login.answers) or guessed


def present_help_lines(
    lines: Sequence[HelpLine], now: datetime, *, under_18: bool = False
) -> list[ShownHelpLine]:
    return [
        ShownHelpLine(
            one,
            parse_telephone_numbers(one.translated_phone),
            help_line_facts(one, now, None, under_18=under_18),
        )
        for one in lines
    ]


def present_emergency_numbers(
    found: Sequence[EmergencyNumbers], today: date
) -> list[ShownEmergencyNumbers]:
    return [
        ShownEmergencyNumbers(
            emergency_numbers_in_words(one, today),
            tuple(dict.fromkeys((*one.any_service, *one.police))),
        )
        for one in found
    ]


def _notes_naming_no_command(notes: Sequence[str]) -> list[str]:
    """Return the notes that mention no command, since the page itself offers what commands do."""
    return [note for note in notes if "entrenous " not in note]


def present_first_steps(one: FirstSteps, today: date) -> ShownFirstSteps:
    lines = [line.strip() for line in first_steps_in_words(one, today)]
    return ShownFirstSteps(
        one.title, one.steps, tuple(line for line in lines if line.startswith("("))
    )


def suggest_places(request: Request, words: str = "") -> list[tuple[str, str]]:
    """Return places to suggest, with code and name; none is preselected.

    These are the places that ``words``, the error about an unclear place, names. If ``words`` names
    none, they are countries guessed from the browser's languages.
    """
    named = [Place(code) for code in _PLACE_CODE_PATTERN.findall(words)]
    if named:
        return [(one, place_name(one, _language_code())) for one in named]
    header = request.headers.get("accept-language", "")
    tags = [part.partition(";")[0].strip().replace("-", "_") for part in header.split(",")]
    codes = dict.fromkeys(filter(None, map(_country_of_language_tag, tags)))
    return [
        (one, place_name(Place(one), _language_code()))
        for one in list(codes)[:_SUGGESTED_COUNTRIES_MAX]
    ]


def _country_of_language_tag(tag: str) -> str:
    try:
        country = Locale.parse(tag).territory
    except (UnknownLocaleError, ValueError):
        return ""
    likely = get_global("likely_subtags").get(tag, "")
    found = country or likely.rpartition("_")[2]
    return found if found in COUNTRIES else ""


def _language_code() -> str:
    return language_of_person().partition("-")[0]


def _spread_after_threat_choice(known: str, *, threat: bool) -> str:
    if threat:
        return Spread.THREAT
    return "" if known == Spread.THREAT else known
