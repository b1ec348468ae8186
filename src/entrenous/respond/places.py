"""Whose law may reach a case: from the places a person names to the jurisdictions of the tables."""

import re
from collections.abc import Mapping
from typing import Final

from entrenous.model.route import Place, UnknownPlace

WORLDWIDE: Final = Place("worldwide")
EU: Final = frozenset(
    [*re.findall("..", "ATBEBGCYCZDEDKEEESFIFRGRHRHUIEITLTLULVMTNLPLPTROSESISK"), "EU"]
)
EEA: Final = EU | {"IS", "LI", "NO"}
_SPOKEN: Final[Mapping[str, str]] = {"UK": "GB", "EL": "GR", "USA": "US", "WORLDWIDE": WORLDWIDE}
_CODE: Final = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?|worldwide")


def place(typed: str) -> Place:
    """A place as people type it (``gb``, ``UK``, ``us-ca``), as a code.

    Raises:
        UnknownPlace: it is neither a country's two letters nor one of its parts.

    >>> place("uk")
    'GB'
    """
    code = typed.strip().upper()
    code = _SPOKEN.get(code, code)
    if not (typed.isascii() and _CODE.fullmatch(code)):
        raise UnknownPlace(place=typed.strip()[:40])
    return Place(code)


def reaches(jurisdiction: str, places: tuple[Place, ...]) -> bool:
    """Whether law of that jurisdiction may reach a case that touches these places."""
    return jurisdiction == WORLDWIDE or any(_one(jurisdiction, where) for where in places)


def _one(jurisdiction: str, where: Place) -> bool:
    country = where.partition("-")[0]
    if jurisdiction in ("EU", "EU/EEA"):
        return country in (EU if jurisdiction == "EU" else EEA)
    if jurisdiction == "US-states":
        return country == "US"
    if jurisdiction == "GB-EAW":  # England and Wales; a plain GB may be either of them
        return where in ("GB", "GB-EAW", "GB-ENG", "GB-WLS")
    return jurisdiction in (where, country)
