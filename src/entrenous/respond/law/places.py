"""Places that a person names, and the jurisdictions of the tables."""

import re
from collections.abc import Mapping
from typing import Final, NewType

from entrenous.base.errors import Refused

Place = NewType("Place", str)  # ISO 3166 country or subdivision, "EU" or "worldwide"; "US-CA"


class UnknownPlace(Refused):
    """{place} is not a place that Entrenous knows how to read. Use a country's two letters, with a
    state where it matters: GB, DE, IN, US-CA, CA-BC.
    """


WORLDWIDE: Final = Place("worldwide")
EU: Final = frozenset(
    [*re.findall("..", "ATBEBGCYCZDEDKEEESFIFRGRHRHUIEITLTLULVMTNLPLPTROSESISK"), "EU"]
)
EEA: Final = EU | {"IS", "LI", "NO"}
COUNTRIES: Final = frozenset(  # ISO 3166-1, and the user-assigned XK for Kosovo
    [
        *re.findall(
            "..",
            "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCD"
            "CFCGCHCICKCLCMCNCOCRCUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGF"
            "GGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKN"
            "KPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNA"
            "NCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSI"
            "SJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVI"
            "VNVUWFWSYEYTZAZMZW",
        ),
        "XK",
    ]
)
_ALIASES: Final[Mapping[str, str]] = {"UK": "GB", "EL": "GR", "USA": "US", "WORLDWIDE": WORLDWIDE}
_CODE: Final = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?|worldwide")


def parse_place(typed: str) -> Place:
    """Convert a place as people type it (``gb``, ``UK``, ``uk-sct``, ``us-ca``) to a code.

    Raises:
        UnknownPlace: not a country's two letters, nor one of its parts.

    >>> parse_place("uk-sct")
    'GB-SCT'
    """
    code = _canonical(typed.strip().upper())
    known = code in ("EU", WORLDWIDE) or code.partition("-")[0] in COUNTRIES
    if not (typed.isascii() and _CODE.fullmatch(code) and known):
        raise UnknownPlace(place=typed.strip()[:40])
    return Place(code)


def reaches(jurisdiction: str, places: tuple[Place, ...]) -> bool:
    """Whether that jurisdiction's law may apply to a case with these places."""
    return jurisdiction == WORLDWIDE or any(
        _jurisdiction_reaches(jurisdiction, where) for where in places
    )


def _canonical(spoken: str) -> str:
    country, dash, part = spoken.partition("-")
    return f"{_ALIASES.get(country, country)}{dash}{part}"


def _jurisdiction_reaches(jurisdiction: str, where: str) -> bool:
    country = where.partition("-")[0]
    if jurisdiction in ("EU", "EU/EEA"):
        return country in (EU if jurisdiction == "EU" else EEA)
    if jurisdiction == "US-states":
        return country == "US"
    if jurisdiction == "GB-EAW":  # England and Wales; a plain GB may be either of them
        return where in ("GB", "GB-EAW", "GB-ENG", "GB-WLS")
    return jurisdiction in (where, country)
