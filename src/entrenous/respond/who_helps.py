"""Find out who helps in a place, and what to do first. Nearer help comes first, and among equally
near help that which fits the need best.

Nothing here needs a vault or a case.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from entrenous.base.language import language_of_person, translatable, translated
from entrenous.respond.first_steps import FirstSteps, FirstStepsId, shipped_first_steps
from entrenous.respond.help_lines import (
    EmergencyNumbers,
    HelpKind,
    HelpLine,
    shipped_emergency_numbers,
    shipped_help_lines,
)
from entrenous.respond.law.places import EU, WORLDWIDE, Place, law_reaches, place_name
from entrenous.respond.law.working_days import holidays_of

POLICE_NOTE: Final = translatable(
    "A police line may start a criminal case, and may tell the parents of somebody under 18. You"
    " can ask a help line first."
)
NAME_A_PLACE_NOTE: Final = translatable(
    "For the people who help where you live, name the place: entrenous help --place Germany. A"
    " country's name in any language will do, or its two letters."
)
NO_HELP_LINE_NOTE: Final = translatable(
    "No help line of {place} is known here. Those listed help everywhere; the local police may know"
    " more."
)
MORE_OPTIONS_NOTE: Final = translatable(
    "More about what happened to you: --threat if somebody only threatens, --under-18 if somebody"
    " in the picture was under 18, --danger if you are not safe, --watched if somebody may watch"
    " this device. For example: entrenous help{places} --threat"
)
UNDER_18_NOTE: Final = translatable(
    "If somebody in the picture was under 18, other people help, and other steps are right:"
    " entrenous help{places} --threat --under-18"
)
_NEXT_COMMANDS_NOTE: Final = translatable(
    "Next, if you like: what to do in which order, and which laws there are: entrenous law routes"
    "{places} --what {what}. Or a file of your own about this: entrenous case open"
)


@dataclass(frozen=True, slots=True)
class HelpNeed:
    """What somebody needs help with; all may be combined."""

    under_18: bool = False
    threat: bool = False
    danger: bool = False
    watched: bool = False


@dataclass(frozen=True, slots=True)
class HelpForNeed:
    """Who helps in some places, best first, and what to do first. ``notes`` are shown with it."""

    places: tuple[Place, ...]
    need: HelpNeed
    emergency: tuple[EmergencyNumbers, ...]
    contacts: tuple[HelpLine, ...]
    advice: tuple[FirstSteps, ...]
    notes: tuple[str, ...]


_KIND_ORDER_FOR_ADULTS: Final = (
    HelpKind.IMAGE_ABUSE,
    HelpKind.VIOLENCE,
    HelpKind.POLICE,
    HelpKind.CRISIS,
)
_KIND_ORDER_UNDER_THREAT: Final = (
    HelpKind.IMAGE_ABUSE,
    HelpKind.POLICE,
    HelpKind.CRISIS,
    HelpKind.VIOLENCE,
)
_KIND_ORDER_IN_DANGER: Final = (
    HelpKind.VIOLENCE,
    HelpKind.POLICE,
    HelpKind.CRISIS,
    HelpKind.IMAGE_ABUSE,
)


def find_help(places: tuple[Place, ...], need: HelpNeed) -> HelpForNeed:
    """Return who helps in these places, and the first steps. Worldwide help is always included."""
    contacts = find_help_lines(places, need)
    notes = [
        translated(NO_HELP_LINE_NOTE).format(place=place_name(place, language_of_person()))
        for place in places
        if not _has_help_line(place)
    ]
    if any(line.kind is HelpKind.POLICE for line in contacts):
        notes.append(translated(POLICE_NOTE))
    if places and not need.under_18:
        notes.append(_next_commands(places, need))
    if need == HelpNeed():
        notes.append(translated(MORE_OPTIONS_NOTE).format(places=_place_options(places)))
    if need.threat and not need.under_18:
        notes.append(translated(UNDER_18_NOTE).format(places=_place_options(places)))
    if not places:
        notes.append(translated(NAME_A_PLACE_NOTE))
    emergency = emergency_numbers(places)
    return HelpForNeed(places, need, emergency, contacts, _first_steps(need), tuple(notes))


def find_help_lines(places: tuple[Place, ...], need: HelpNeed) -> tuple[HelpLine, ...]:
    """Return the help lines for people in these places, best first.

    They are sorted by distance (the person's own place, EU, worldwide), then by how well they fit
    the need, and then verified ones come before others. Adults get a line for children only if it
    is not worldwide and its place has no line about pictures. Somebody under 18 gets only lines
    that people of that age may use.
    """
    near = [line for line in shipped_help_lines() if _serves_places(line, places)]
    if need.under_18:
        kept = [line for line in near if line.for_children]
    else:
        covered = {line.place for line in near if line.kind is HelpKind.IMAGE_ABUSE}
        kept = [
            line
            for line in near
            if line.kind is not HelpKind.CHILDREN
            or _is_childrens_line_shown_to_adults(line, covered)
        ]
    return tuple(sorted(kept, key=lambda line: _help_line_rank(line, need)))


def emergency_numbers(places: tuple[Place, ...]) -> tuple[EmergencyNumbers, ...]:
    """Return the known emergency numbers of these places' countries, without duplicates."""
    known = {numbers.place: numbers for numbers in shipped_emergency_numbers()}
    countries = dict.fromkeys(Place(place.partition("-")[0]) for place in places)
    found = [known.get(country) or _eu_emergency_numbers(country, known) for country in countries]
    return tuple(dict.fromkeys(numbers for numbers in found if numbers is not None))


def is_public_holiday(place: str, day: date) -> bool:
    """Return whether a day is a public holiday in a place."""
    return day in holidays_of(Place(place), day.year)


def _next_commands(places: tuple[Place, ...], need: HelpNeed) -> str:
    return translated(_NEXT_COMMANDS_NOTE).format(
        places=_place_options(places), what="threat" if need.threat else "public"
    )


def _place_options(places: tuple[Place, ...]) -> str:
    return "".join(f" --place {place}" for place in places)


def _first_steps(need: HelpNeed) -> tuple[FirstSteps, ...]:
    ids = [FirstStepsId.DANGER] if need.danger else []
    ids += [FirstStepsId.WATCHED] if need.watched else []
    if need.threat:
        ids += [FirstStepsId.THREAT, FirstStepsId.DEMAND]
    else:
        ids += [FirstStepsId.UNDER_18 if need.under_18 else FirstStepsId.SHARED]
    ids += [FirstStepsId.CRISIS] if need.danger else []
    return tuple(shipped_first_steps(id_, under_18=need.under_18) for id_ in ids)


def _help_line_rank(line: HelpLine, need: HelpNeed) -> tuple[int, int, bool, str]:
    """Return a sort key: own place before EU before worldwide, then lines that fit the need, then
    verified ones.
    """
    far = {WORLDWIDE: 2, "EU": 1}.get(line.place, 0)
    return far, _need_rank(line.kind, need), not line.verified, line.id


def _need_rank(kind: HelpKind, need: HelpNeed) -> int:
    about_children = kind in (HelpKind.CHILDREN, HelpKind.IMAGE_ABUSE)
    if need.under_18 and about_children and not need.danger:
        return 0
    order = (
        _KIND_ORDER_IN_DANGER
        if need.danger
        else _KIND_ORDER_UNDER_THREAT
        if need.threat or need.under_18
        else _KIND_ORDER_FOR_ADULTS
    )
    return 1 + (*order, HelpKind.LEGAL, HelpKind.LGBT, HelpKind.CHILDREN).index(kind)


def _serves_places(line: HelpLine, places: tuple[Place, ...]) -> bool:
    served = tuple(place for place in places if place.partition("-")[0] not in line.not_in)
    return _serves_any_of(line.place, served)


def _serves_any_of(where: Place, places: tuple[Place, ...]) -> bool:
    """Return whether a line serves one of these places. A line for a part of a country also serves
    the whole country.
    """
    return law_reaches(where, places) or where.partition("-")[0] in places


def _is_childrens_line_shown_to_adults(line: HelpLine, covered: set[Place]) -> bool:
    """Return whether a line for children is shown to adults: it is not worldwide, and its place has
    no line about pictures.
    """
    return line.place != WORLDWIDE and line.place not in covered


def _has_help_line(place: Place) -> bool:
    return any(
        _serves_any_of(line.place, (place,)) and line.place not in ("EU", WORLDWIDE)
        for line in shipped_help_lines()
    ) or place in ("EU", WORLDWIDE)


def _eu_emergency_numbers(
    country: Place, numbers_by_place: Mapping[Place, EmergencyNumbers]
) -> EmergencyNumbers | None:
    return numbers_by_place.get(Place("EU")) if country in EU else None
