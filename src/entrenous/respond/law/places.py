"""Places that a person names, and the jurisdictions in the tables of laws.

The package Babel has the names of countries in every language of Unicode CLDR. places.toml has
other names of countries, and the names of those parts of countries that laws need.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from itertools import chain
from typing import Final, Literal, NewType

import msgspec

from entrenous.base.errors import Refused
from entrenous.base.language import language_of_person, translated
from entrenous.respond.fact_tables import read_table, shipped_table

Place = NewType("Place", str)  # a code of ISO 3166 such as "DE" or "US-CA", "EU", or "worldwide"


class UnknownPlace(Refused):
    """
    {place} is not a place that Entrenous knows, so it was not used. Give a country's name in any
    language, or its two-letter code, and name the state if laws differ between states. Examples:
    Germany, DE, US-CA, Ontario.
    """


class MisspelledPlace(UnknownPlace):
    """
    {place} is not a place that Entrenous knows, so it was not used. Did you mean {closest}? Type
    the name, or the code that is shown in brackets.
    """


class AmbiguousPlace(UnknownPlace):
    """
    {place} may mean more than one place, so it was not used. Which one is it: {choices}? Type the
    code that is shown in brackets.
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
#: Languages that are searched first, in this order. No two of them use the same name for different
#: countries, apart from the ambiguous names in places.toml.
LANGUAGES_SEARCHED_FIRST: Final = (
    *("en", "es", "fr", "pt", "de", "ar", "hi", "zh", "ru", "id", "bn", "ja", "ur", "tr", "ko"),
    *("vi", "it", "pl", "uk", "nl", "fa", "th", "sw", "ta", "te", "mr", "ro", "el", "cs", "sv"),
    *("hu", "pt_PT", "zh_Hant", "sr_Latn"),
)
# characters with at least this combining class of Unicode are accents
_ACCENT_COMBINING_CLASS_MIN: Final = 200
# categories that are kept: vowel signs, and letters newer than this Python's Unicode
_KEPT_UNICODE_CATEGORIES: Final = ("Mn", "Mc", "Cn")
_LETTER_REPLACEMENTS: Final = str.maketrans(
    {"ł": "l", "đ": "d", "ø": "o", "\u0131": "i", "æ": "ae", "&": " and "}  # \u0131: Turkish i
)
_SUGGESTION_SIMILARITY_MIN: Final = 0.75  # difflib's ratio: "Germny" for "Germany" has 0.92
_TYPO_SIMILARITY_MIN: Final = 0.9  # "Nigera" for "Nigeria" has 0.92
# the beginning of a name is recognised if it has this many letters: "Trin" for "Trinidad"
_PREFIX_LETTERS_MIN: Final = 4
_SUGGESTIONS_MAX: Final = 3
_REGIONAL_LOCALE_PATTERN: Final = re.compile(r"_([A-Z]{2}|\d{3})(_|$)")
PlaceCodesByName = Mapping[str, frozenset[str]]


class _PlacesTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: Literal[1]
    sources: tuple[str, ...]
    read_on: object
    several: dict[str, tuple[str, ...]]
    names: dict[str, tuple[str, ...]]
    parts: dict[str, dict[str, tuple[str, ...]]]


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
        _places_with_code(text)
        or _places_of_known_codes(place_codes_named(text))
        or _places_of_known_codes(two_letter_codes_for(text))
    )
    found = found or _places_typed_with_country(text) or _places_named_in_any_language(text)
    if not found:
        closest = _places_of_known_codes(closest_place_codes(text))
        if closest:
            raise MisspelledPlace(place=text[:40], closest=_choices_in_words(closest))
        raise UnknownPlace(place=text[:40])
    if len(found) > 1:
        raise AmbiguousPlace(place=text[:40], choices=_choices_in_words(found))
    return found[0]


def place_name(place: Place, language: str = "en") -> str:
    """Return a place's name: that of a country in ``language``, that of a state or another part in
    English. If no name is known, return the code.

    >>> place_name(Place("DE")), place_name(Place("DE"), "fr"), place_name(Place("CA-BC"))
    ('Germany', 'Allemagne', 'British Columbia')
    """
    country, _, part = place.partition("-")
    if part:
        known = _places_table().parts.get(country, {}).get(part, ())
        return known[0] if known else place
    return _territory_names(language.partition("-")[0]).get(place, place)


def law_reaches(jurisdiction: str, places: tuple[Place, ...]) -> bool:
    """Return whether that jurisdiction's law may apply to a case with these places."""
    return jurisdiction == WORLDWIDE or any(
        _jurisdiction_reaches(jurisdiction, where) for where in places
    )


def _jurisdiction_reaches(jurisdiction: str, where: str) -> bool:
    country = where.partition("-")[0]
    if jurisdiction in ("EU", "EU/EEA"):
        return country in (EU if jurisdiction == "EU" else EEA)
    if jurisdiction == "US-states":
        return country == "US"
    if jurisdiction == "GB-EAW":  # England and Wales; a plain GB may be either of them
        return where in ("GB", "GB-EAW", "GB-ENG", "GB-WLS")
    return jurisdiction in (where, country)


def _choices_in_words(places: tuple[Place, ...]) -> str:
    named = [f"{place_name(place, language_of_person())} ({place})" for place in places]
    return f" {translated('or')} ".join(filter(None, [", ".join(named[:-1]), named[-1]]))


def _places_with_code(text: str) -> tuple[Place, ...]:
    """Return the place that has this code; an empty tuple if there is none."""
    code = _resolve_country_alias(text.upper().replace(".", ""))  # "U.K." is read as "UK"
    if code in ("EU", WORLDWIDE):
        return (Place(code),)
    country, dash, part = code.partition("-")
    parts = parts_of(country) if country in _COUNTRIES_WITH_KNOWN_PARTS else {part}
    known = country in COUNTRIES and (not dash or part in parts)
    return (Place(code),) if text.isascii() and _CODE_PATTERN.fullmatch(code) and known else ()


def _places_of_known_codes(codes: Iterable[str]) -> tuple[Place, ...]:
    kept = {*COUNTRIES, "EU"}
    return tuple(
        Place(code) for code in _sort_codes_unless_ordered(codes) if code.partition("-")[0] in kept
    )


def _places_named_in_any_language(text: str) -> tuple[Place, ...]:
    """Return the places with this name in any language, and also those whose name differs by a
    typing error; empty if no place has this name.

    Both are needed: "Nigera" is Niger in one language, but a typing error for Nigeria in others.
    """
    found = country_codes_named_in_any_language(text)
    return _places_of_known_codes(found | place_codes_nearly_named(text)) if found else ()


def _sort_codes_unless_ordered(codes: Iterable[str]) -> Iterable[str]:
    return codes if isinstance(codes, tuple) else sorted(codes)


def _places_typed_with_country(text: str) -> tuple[Place, ...]:
    """Return the part of a country that is typed as in "Georgia, USA"; if only the country is
    known, as in "Lagos, Nigeria", return the country.
    """
    before, comma, last = map(str.strip, text.rpartition(","))
    countries = (
        (_places_with_code(last) or _places_of_known_codes(place_codes_named(last)))
        if comma
        else ()
    )
    if len(countries) != 1:
        return ()
    parts = [code for code in place_codes_named(before) if code.startswith(f"{countries[0]}-")]
    return _places_of_known_codes(parts) or countries


def _resolve_country_alias(code: str) -> str:
    country, dash, part = code.partition("-")
    return f"{_ALIASES.get(country, country)}{dash}{part}"


def place_codes_named(name: str) -> frozenset[str]:
    """Return the codes of the places with this name in the table or in one of
    LANGUAGES_SEARCHED_FIRST. There are several if the name is ambiguous.
    """
    folded = fold_name(name)
    for names in chain([_names_in_table()], map(_names_in, LANGUAGES_SEARCHED_FIRST)):
        if folded in names:
            return names[folded]
    return frozenset()


def country_codes_named_in_any_language(name: str) -> frozenset[str]:
    """Return the codes of the countries with this name in any language of CLDR. The first call
    takes about a second.
    """
    return _names_in_every_language().get(fold_name(name), frozenset())


def place_codes_nearly_named(name: str) -> frozenset[str]:
    """Return the codes of the places whose name, in the table or in one of
    LANGUAGES_SEARCHED_FIRST, differs from this name by no more than a typing error.
    """
    all_names = {*_names_in_table()}.union(*map(_names_in, LANGUAGES_SEARCHED_FIRST))
    close = get_close_matches(
        fold_name(name), all_names, n=2 * _SUGGESTIONS_MAX, cutoff=_TYPO_SIMILARITY_MIN
    )
    return frozenset(chain.from_iterable(map(place_codes_named, close)))


def closest_place_codes(name: str) -> tuple[str, ...]:
    """Return the codes of up to three places whose names look like this one, closest first."""
    folded, all_names = (
        fold_name(name),
        {*_names_in_table()}.union(*map(_names_in, LANGUAGES_SEARCHED_FIRST)),
    )
    longer = [known for known in sorted(all_names) if known.startswith(folded)]
    close = get_close_matches(
        folded, all_names, n=2 * _SUGGESTIONS_MAX, cutoff=_SUGGESTION_SIMILARITY_MIN
    )
    beginning = longer if len(folded) >= _PREFIX_LETTERS_MIN else []
    codes = chain.from_iterable(sorted(place_codes_named(found)) for found in (*close, *beginning))
    return tuple(dict.fromkeys(codes))[:_SUGGESTIONS_MAX]


def parts_of(country: str) -> frozenset[str]:
    """Return the codes of a country's parts; the result is empty if they are not known here."""
    return frozenset(_places_table().parts.get(country, ()))


def two_letter_codes_for(letters: str) -> frozenset[str]:
    """Return the two-letter code for a three-letter code of ISO 3166-1 such as DEU; empty if there
    is none.
    """
    from babel.core import get_global  # noqa: PLC0415 -- slow; two-letter codes do not need it

    found = get_global("territory_aliases").get(letters.upper(), ())
    return frozenset(found) if len(letters) == len("DEU") and len(found) == 1 else frozenset()


def fold_name(name: str) -> str:
    """Return a name for comparison: without case, accents, punctuation, spaces and a leading "the",
    and with "saint" for "St.".

    >>> fold_name("The Bahamas"), fold_name("Côte d'Ivoire"), fold_name("St. Lucia")
    ('bahamas', 'cotedivoire', 'saintlucia')
    """
    plain = unicodedata.normalize("NFKD", name.casefold().translate(_LETTER_REPLACEMENTS))
    kept = "".join(
        char if char.isalnum() or unicodedata.category(char) in _KEPT_UNICODE_CATEGORIES else " "
        for char in plain
        if unicodedata.combining(char) < _ACCENT_COMBINING_CLASS_MIN
    )
    words = ["saint" if word == "st" else word for word in kept.split()]
    return "".join(words[1:] if words[:1] == ["the"] else words)


@cache
def _places_table() -> _PlacesTable:
    return read_table(_PlacesTable, shipped_table("places.toml"), "places.toml")


@cache
def _names_in_table() -> PlaceCodesByName:
    """Return the names in places.toml; its ambiguous names override the others."""
    table = _places_table()
    names = [(name, code) for code, names in table.names.items() for name in names]
    parts = [
        (name, f"{country}-{part}")
        for country, parts in table.parts.items()
        for part, names in parts.items()
        for name in names
    ]
    several = {fold_name(name): frozenset(codes) for name, codes in table.several.items()}
    return {**_by_folded_name([*names, *parts]), **several}


@cache
def _names_in(language: str) -> PlaceCodesByName:
    return _by_folded_name((name, code) for code, name in _territory_names(language).items())


@cache
def _names_in_every_language() -> PlaceCodesByName:
    from babel.localedata import load, locale_identifiers  # noqa: PLC0415 -- slow, rarely needed

    names = {
        (name, code)
        for language in locale_identifiers()
        if not _REGIONAL_LOCALE_PATTERN.search(language)
        for code, name in load(language)["territories"].items()
        if len(code) == len("DE")
    }
    return _by_folded_name(names)


def _territory_names(language: str) -> Mapping[str, str]:
    from babel.core import Locale  # noqa: PLC0415 -- slow; two-letter codes do not need it

    every = Locale.parse(language).territories
    return {code: name for code, name in every.items() if len(code) == len("DE")}


def _by_folded_name(names: Iterable[tuple[str, str]]) -> PlaceCodesByName:
    found: dict[str, set[str]] = {}
    for name, code in names:
        found.setdefault(fold_name(name), set()).add(code)
    return {name: frozenset(codes) for name, codes in found.items() if name}
