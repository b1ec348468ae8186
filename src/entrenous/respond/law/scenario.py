"""Scenarios: what happened, as a file or as options of a command, without a case.

docs/spec/routes.md section 1 defines the keys.
"""

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

from entrenous.base.errors import Malformed
from entrenous.respond.law.places import Place, parse_place
from entrenous.respond.platforms import PlatformKind, find_platform
from entrenous.respond.situation import Demand, PictureMaker, Situation, Spread


class BadScenario(Malformed):
    """This scenario cannot be read as TOML or JSON: {why}. Nothing was looked up. Check the file,
    and try again.
    """


class UnknownScenarioKey(BadScenario):
    """
    A scenario has no field with the name {key}. Nothing was looked up. The fields of a scenario
    are: {keys}.
    """


class BadScenarioValue(BadScenario):
    """
    In the description of the scenario, {value} is not a valid value for {key}. Nothing was looked
    up. Give {allowed}.
    """


class UnknownPlatform(BadScenario):
    """
    There is no record of a platform called {name}. Nothing was looked up. Give its web address, or
    say what kind of platform it is: with --platform-kind, or with the key platform_kind in a file.
    The kinds are: {kinds}.
    """


@dataclass(frozen=True, slots=True)
class Scenario:
    """A person's answers about what happened, and the day of the event. ``under_18``: somebody in
    the picture was under 18 when it was taken.
    """

    situation: Situation
    under_18: bool
    day: date


SCENARIO_BYTES_MAX: Final = 64 * 1024
_SHOWN_CHARS_MAX: Final = 60  # number of characters of a wrong value that are shown
EnumT = TypeVar("EnumT", bound=StrEnum)


def read_scenario(data: bytes, today: date) -> Scenario:
    """Parse a file: JSON if it begins with a brace, else TOML; raises BadScenario, UnknownPlace."""
    if len(data) > SCENARIO_BYTES_MAX:
        raise BadScenario(why=f"it is longer than {SCENARIO_BYTES_MAX} bytes")
    try:
        text = data.decode()
        given = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (ValueError, RecursionError) as why:  # raised by the decoders of JSON, TOML and UTF-8
        raise BadScenario(why=str(why).rstrip(".")) from None
    return parse_scenario(given, today)


def parse_scenario(
    given: Mapping[str, object], today: date, *, name_must_stay_hidden: bool = False
) -> Scenario:
    """Return the scenario for keys and values. Raises BadScenario, or UnknownPlace if a place is
    not known.
    """
    unknown = sorted(set(given) - set(_PARSER_OF_KEY))
    if unknown:
        raise UnknownScenarioKey(key=unknown[0][:_SHOWN_CHARS_MAX], keys=", ".join(_PARSER_OF_KEY))
    read: dict[str, Any] = {key: _PARSER_OF_KEY[key](key, value) for key, value in given.items()}
    if "platform_kind" not in read:
        _refuse_unknown_platform(read.get("platform", ""))
    taken_by = _PICTURE_MAKER_BY_ANSWER[read.pop("made_by_me", None)]
    day, under_18 = read.pop("day", today), read.pop("under_18", False)
    answers = {_FIELD_OF_KEY.get(key, key): value for key, value in read.items()}
    fields: dict[str, Any] = {
        "places": (),
        **answers,
        "name_must_stay_hidden": name_must_stay_hidden,
    }
    situation = Situation(**fields, taken_by=taken_by)
    return Scenario(situation, under_18, day)


_PICTURE_MAKER_BY_ANSWER: Final = {
    True: PictureMaker.ME,
    False: PictureMaker.SOMEBODY_ELSE,
    None: PictureMaker.UNSAID,
}
_FIELD_OF_KEY: Final = {"lives_in": "places", "synthetic": "altered"}


def _parse_yes_or_no(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _bad_value_error(key, value, "true or false")
    return value


def _parse_text(key: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _bad_value_error(key, value, "a text that is not empty")
    return value.strip()


def _enum_parser(words: type[EnumT]) -> Callable[[str, object], EnumT]:
    def parse_enum_member(key: str, value: object) -> EnumT:
        try:
            return words(_parse_text(key, value))
        except ValueError:
            raise _bad_value_error(key, value, "one of " + ", ".join(words)) from None

    return parse_enum_member


def _parse_places(key: str, value: object) -> tuple[Place, ...]:
    several = value if isinstance(value, list) else [value]
    return tuple(_parse_place(key, one) for one in several)


def _parse_place(key: str, value: object) -> Place:
    return parse_place(_parse_text(key, value))


def _parse_platform(key: str, value: object) -> str:
    """Return the id of the platform's record, or the name or address of a site without one."""
    name = _parse_text(key, value)
    record = find_platform(name)
    return record.id if record else name


def _refuse_unknown_platform(name: str) -> None:
    """Raise UnknownPlatform for a name without a record. A web address needs no record."""
    if name and "." not in name and find_platform(name) is None:
        raise UnknownPlatform(name=name[:_SHOWN_CHARS_MAX], kinds=", ".join(PlatformKind))


def _parse_day(key: str, value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(_parse_text(key, value))
    except ValueError:
        raise _bad_value_error(key, value, "a day such as 2026-03-01") from None


def _bad_value_error(key: str, value: object, allowed: str) -> BadScenarioValue:
    return BadScenarioValue(key=key, value=str(value)[:_SHOWN_CHARS_MAX], allowed=allowed)


_PARSER_OF_KEY: Final[Mapping[str, Callable[[str, object], object]]] = {
    "lives_in": _parse_places,
    "platform": _parse_platform,
    "platform_kind": _enum_parser(PlatformKind),
    "platform_in": _parse_place,
    "posted": _enum_parser(Spread),
    "intimate": _parse_yes_or_no,
    "synthetic": _parse_yes_or_no,
    "depicts_me": _parse_yes_or_no,
    "made_by_me": _parse_yes_or_no,
    "under_18": _parse_yes_or_no,
    "on_behalf": _parse_yes_or_no,
    "recipient_known": _parse_yes_or_no,
    "demand": _enum_parser(Demand),
    "day": _parse_day,
}
