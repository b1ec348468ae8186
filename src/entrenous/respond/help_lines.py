"""People who help, and emergency numbers: facts with a source and the day they were read.

The tables are in respond/facts/help/, one for each part of the world; docs/spec/help.md defines
their columns. Telephone numbers are converted to what a telephone dials (RFC 3966).
"""

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from typing import Final, Literal
from zoneinfo import ZoneInfoNotFoundError

import msgspec

from entrenous.base.language import translatable, translated
from entrenous.respond.fact_tables import (
    UNVERIFIED_CONTACT_CAUTION,
    BadTable,
    fact_cautions,
    read_table,
    shipped_table,
)
from entrenous.respond.law.places import Place
from entrenous.respond.opening_hours import OpeningHours, parse_opening_hours

HELP_TABLE_NAMES: Final = ("africa", "americas", "asia", "europe", "oceania", "worldwide")
_UNVERIFIED_PHONE_CAUTION: Final = translatable("check the number first")
_NUMBER_PATTERN: Final = re.compile(r"[+*#]?\d[\d .()/-]*(?:[A-Z]{2,}[A-Z-]*)?")
_DIGIT_OF_LETTER: Final = {
    letter: str(digit)
    for digit, letters in enumerate(("ABC", "DEF", "GHI", "JKL", "MNO", "PQRS", "TUV", "WXYZ"), 2)
    for letter in letters
}
_COPIED_COLUMNS: Final = (
    *("kind", "for_children", "name", "who", "languages", "phone", "phone_verified", "chat"),
    *("web", "email", "hours", "cost", "note", "source", "verified", "verified_by"),
    "not_in",
)


@dataclass(frozen=True, slots=True)
class TelephoneNumber:
    """A telephone number. ``words`` is the number as published, with the words beside it, and
    ``dialled`` is what to dial.
    """

    words: str
    dialled: str

    @property
    def link(self) -> str:
        """The number as a ``tel:`` address."""
        return f"tel:{self.dialled.replace('#', '%23')}"


class HelpKind(StrEnum):
    """The kind of help that a line gives, or whom it is for."""

    IMAGE_ABUSE = "image-abuse"
    CHILDREN = "children"
    POLICE = "police"
    VIOLENCE = "violence"
    CRISIS = "crisis"
    LEGAL = "legal"
    LGBT = "lgbt"


@dataclass(frozen=True, slots=True)
class HelpLine:
    """People who help: by telephone, in a chat, on the web, or by email.

    Attributes:
        place: the place that they serve; "worldwide" means every place.
        for_children: whether people under 18, or adults on their behalf, may use it.
        who: whom the line is for, in words.
        languages: IETF tags; if empty, the languages of its place.
        phone: the numbers as published, separated by ";".
        phone_verified: False if the number is less certain than the other facts.
        hours: the opening hours as published.
        opening: the same hours in machine-readable form; None if they are ambiguous.
        confidential: whether calls are confidential; None if the source does not say.
        note: further facts about the line.
        not_in: countries within ``place`` that it does not serve.
    """

    id: str
    place: Place
    kind: HelpKind
    for_children: bool
    name: str
    who: str
    source: str
    read_on: date
    verified: bool
    verified_by: str
    languages: tuple[str, ...] = ()
    phone: str = ""
    phone_verified: bool = True
    chat: str = ""
    web: str = ""
    email: str = ""
    hours: str = ""
    opening: OpeningHours | None = None
    cost: str = ""
    confidential: bool | None = None
    note: str = ""
    not_in: tuple[Place, ...] = ()

    @property
    def translated_phone(self) -> str:
        """The telephone numbers, with the words between them in the person's language."""
        return translated(self.phone)

    def cautions(self, today: date) -> tuple[str, ...]:
        """The cautions to show with this contact, e.g. that it is unverified or was read long
        ago.
        """
        texts = () if self.verified else (translated(UNVERIFIED_CONTACT_CAUTION),)
        if self.verified and self.phone and not self.phone_verified:
            texts = (translated(_UNVERIFIED_PHONE_CAUTION),)
        return (*texts, *fact_cautions(self.read_on, today, verified=True))


@dataclass(frozen=True, slots=True)
class EmergencyNumbers:
    """The emergency numbers of a place: those for every service, and those of the police."""

    place: Place
    any_service: tuple[str, ...]
    police: tuple[str, ...]
    source: str
    read_on: date
    verified: bool
    verified_by: str

    def cautions(self, today: date) -> tuple[str, ...]:
        """Cautions to show with these numbers."""
        texts = () if self.verified else (translated("from a public list of numbers"),)
        return (*texts, *fact_cautions(self.read_on, today, verified=True))


class _HelpLineRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    place: str
    kind: HelpKind
    for_children: bool
    name: str
    who: str
    languages: tuple[str, ...]
    confidential: bool | Literal["unknown"]
    source: str
    verified: bool
    verified_by: str
    read_on: date | None = None
    phone: str = ""
    phone_verified: bool = True
    chat: str = ""
    web: str = ""
    email: str = ""
    hours: str = ""
    open: str = ""
    zone: str = ""
    closed_on_holidays_of: str = ""
    cost: str = ""
    note: str = ""
    not_in: tuple[Place, ...] = ()


class _HelpLinesTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: Literal[1]
    read_on: date
    contact: dict[str, _HelpLineRow]


class _EmergencyNumbersRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    any: tuple[str, ...] = ()
    police: tuple[str, ...] = ()
    source: str = ""
    verified: bool = False
    verified_by: str = ""


class _EmergencyNumbersTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: Literal[1]
    read_on: date
    source: str
    verified_by: str
    number: dict[str, _EmergencyNumbersRow]


@cache
def shipped_help_lines() -> tuple[HelpLine, ...]:
    """Return every help line in this release."""
    return tuple(
        line
        for name in HELP_TABLE_NAMES
        for line in read_help_lines(shipped_table(f"help/{name}.toml"), f"help/{name}.toml")
    )


@cache
def shipped_emergency_numbers() -> tuple[EmergencyNumbers, ...]:
    """Return the emergency numbers in this release, one entry for each place."""
    return read_emergency_numbers(shipped_table("help/emergency.toml"))


def read_help_lines(data: bytes, name: str = "a table of help lines") -> tuple[HelpLine, ...]:
    """Parse a table of help lines, in its order; raises BadTable."""
    table = read_table(_HelpLinesTable, data, name)
    return tuple(_parse_help_line(id_, row, table, name) for id_, row in table.contact.items())


def read_emergency_numbers(data: bytes) -> tuple[EmergencyNumbers, ...]:
    """Parse the table of emergency numbers, in its order; raises BadTable."""
    table = read_table(_EmergencyNumbersTable, data, "help/emergency.toml")
    return tuple(
        EmergencyNumbers(
            place=Place(place),
            any_service=row.any,
            police=row.police,
            source=row.source or table.source,
            read_on=table.read_on,
            verified=row.verified,
            verified_by=row.verified_by or table.verified_by,
        )
        for place, row in table.number.items()
    )


def _parse_help_line(id_: str, row: _HelpLineRow, table: _HelpLinesTable, name: str) -> HelpLine:
    if not (row.phone or row.web or row.chat or row.email):
        raise BadTable(table=name, entry=f"{id_}: no way to reach them")
    if row.open and not row.hours:
        raise BadTable(table=name, entry=f"{id_}: open without hours in words")
    copied = {column: getattr(row, column) for column in _COPIED_COLUMNS}
    return HelpLine(
        **copied,
        id=id_,
        place=Place(row.place),
        read_on=row.read_on or table.read_on,
        opening=_parse_opening_hours(id_, row, name),
        confidential=None if row.confidential == "unknown" else row.confidential,
    )


def _parse_opening_hours(id_: str, row: _HelpLineRow, name: str) -> OpeningHours | None:
    try:
        return (
            parse_opening_hours(row.open, row.zone, row.closed_on_holidays_of) if row.open else None
        )
    except (ValueError, ZoneInfoNotFoundError) as why:
        raise BadTable(table=name, entry=f"{id_}: {why}") from None


def parse_telephone_numbers(text: str) -> tuple[TelephoneNumber, ...]:
    """Return the numbers of a text in which they are separated by semicolons.

    >>> text = "1-800-CALL-FBI; *212; WhatsApp 11 31-10 (daytime)"
    >>> [one.link for one in parse_telephone_numbers(text)]
    ['tel:18002255324', 'tel:*212', 'tel:113110']
    """
    parts = (part.strip() for part in text.split(";"))
    found = ((part, _NUMBER_PATTERN.search(part)) for part in parts)
    return tuple(TelephoneNumber(part, _dialled_digits(match[0])) for part, match in found if match)


def _dialled_digits(number: str) -> str:
    number = number.replace("(0)", "") if number.startswith("+") else number
    before, bracket, after = number.partition("(")
    kept = number if after.partition(")")[0].strip().isdigit() else before + bracket
    keys = (_DIGIT_OF_LETTER.get(char, char) for char in kept)
    return "".join(char for char in keys if char.isdigit() or char in "+*#")
