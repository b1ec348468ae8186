"""Places that a person names, and the jurisdictions of the tables."""

import re
from collections.abc import Iterable, Mapping
from typing import Final, NewType

from entrenous.base.errors import Refused
from entrenous.base.language import language_of_person, translated
from entrenous.respond.law.place_names import (
    closest_codes,
    code_of_three_letters,
    codes_named,
    codes_named_anywhere,
    codes_nearly_named,
    name_of_code,
    parts_of,
)

Place = NewType("Place", str)  # ISO 3166 country or subdivision, "EU" or "worldwide"; "US-CA"


class UnknownPlace(Refused):
    """
    {place} is not a place that Entrenous knows, so nothing was done. Give a country's name in any
    language, or its two-letter code, and name the state if laws differ between states. Examples:
    Germany, DE, US-CA, Ontario.
    """


class MisspelledPlace(UnknownPlace):
    """{place} is not a place that Entrenous knows, so nothing was done. Did you mean {closest}?
    Type its name or its two-letter code.
    """


class AmbiguousPlace(UnknownPlace):
    """{place} may mean more than one place, so nothing was done. Which one is it: {choices}? Type
    the code in brackets.
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
_COUNTRIES_WITH_KNOWN_PARTS: Final = frozenset({"AU", "CA", "US"})
_CODE_PATTERN: Final = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?|worldwide")


def parse_place(typed: str) -> Place:
    """Convert a place as people write it (``gb``, ``us-ca``, ``Suomi``, ``Ontario``) to a code.

    Raises:
        MisspelledPlace: it looks like the name of a place.
        AmbiguousPlace: more than one place has this name.
        UnknownPlace: it is neither a name nor a code.

    >>> parse_place("uk-sct"), parse_place("Allemagne"), parse_place("Georgia, USA")
    ('GB-SCT', 'DE', 'US-GA')
    """
    text = typed.strip()
    found = (
        _place_of_code(text)
        or _known_places(codes_named(text))
        or _known_places(code_of_three_letters(text))
    )
    found = found or _place_with_country(text) or _places_named_anywhere(text)
    if not found:
        closest = _known_places(closest_codes(text))
        if closest:
            raise MisspelledPlace(place=text[:40], closest=_choices_in_words(closest))
        raise UnknownPlace(place=text[:40])
    if len(found) > 1:
        raise AmbiguousPlace(place=text[:40], choices=_choices_in_words(found))
    return found[0]


def place_name(place: Place, language: str = "en") -> str:
    """Return a place's name: a country's in that language, a part's in English.

    >>> place_name(Place("DE")), place_name(Place("DE"), "fr"), place_name(Place("CA-BC"))
    ('Germany', 'Allemagne', 'British Columbia')
    """
    return name_of_code(place, language)


def _choices_in_words(places: tuple[Place, ...]) -> str:
    named = [f"{place_name(place, language_of_person())} ({place})" for place in places]
    return f" {translated('or')} ".join(filter(None, [", ".join(named[:-1]), named[-1]]))


def _place_of_code(text: str) -> tuple[Place, ...]:
    """Return the place whose code this is, if it is one."""
    code = _canonical_place(text.upper().replace(".", ""))  # U.K.
    if code in ("EU", WORLDWIDE):
        return (Place(code),)
    country, dash, part = code.partition("-")
    parts = parts_of(country) if country in _COUNTRIES_WITH_KNOWN_PARTS else {part}
    known = country in COUNTRIES and (not dash or part in parts)
    return (Place(code),) if text.isascii() and _CODE_PATTERN.fullmatch(code) and known else ()


def _known_places(codes: Iterable[str]) -> tuple[Place, ...]:
    kept = {*COUNTRIES, "EU"}
    return tuple(Place(code) for code in _sorted_places(codes) if code.partition("-")[0] in kept)


def _places_named_anywhere(text: str) -> tuple[Place, ...]:
    """Return the places with this name in any language, and those whose name differs by a typing
    slip.

    Both are needed: "Nigera" is Niger in one language, but elsewhere a slip for Nigeria.
    """
    found = codes_named_anywhere(text)
    return _known_places(found | codes_nearly_named(text)) if found else ()


def _sorted_places(codes: Iterable[str]) -> Iterable[str]:
    return codes if isinstance(codes, tuple) else sorted(codes)


def _place_with_country(text: str) -> tuple[Place, ...]:
    """Return the place in "Georgia, USA", or the country in "Lagos, Nigeria"."""
    before, comma, last = map(str.strip, text.rpartition(","))
    countries = (_place_of_code(last) or _known_places(codes_named(last))) if comma else ()
    if len(countries) != 1:
        return ()
    parts = [code for code in codes_named(before) if code.startswith(f"{countries[0]}-")]
    return _known_places(parts) or countries


def reaches(jurisdiction: str, places: tuple[Place, ...]) -> bool:
    """Return whether that jurisdiction's law may apply to a case with these places."""
    return jurisdiction == WORLDWIDE or any(
        _jurisdiction_reaches(jurisdiction, where) for where in places
    )


def _canonical_place(code: str) -> str:
    country, dash, part = code.partition("-")
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
