"""The words of letters in every language, and the documents of each route: strictly parsed tables
in respond/facts/wordings/.
"""

import re
from collections.abc import Mapping
from functools import cache
from string import Formatter
from typing import Final, Literal

import msgspec

from entrenous.base.errors import NotFound
from entrenous.respond.fact_tables import BadTable, read_table, shipped_table
from entrenous.respond.law.legal_route import DocumentKind, Route

LETTER_LANGUAGES: Final = ("en", "de", "fr", "es", "pt")
_WORDINGS_FOLDER: Final = "wordings"


class NoSuchLanguage(NotFound):
    """
    Entrenous cannot draft letters in the language "{language}", so nothing was drafted. It can
    draft them in: en (English), de (Deutsch), fr (français), es (español), pt (português). Choose
    one of these languages with --language.
    """


class Wording(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One element of a letter (a statement that it makes), in one language; facts/wordings/en.toml
    says what each column means.
    """

    title: str
    says: str = ""
    says_for: str = ""
    gap: str = ""
    gap_for: str = ""
    if_maker_unsaid: str = ""
    if_intimate_unsaid: str = ""
    claim: str = ""
    law_language: str = ""


class LanguageWords(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """All words of one language: the frame around the elements, and the elements by key."""

    schema: Literal[1]
    language: str
    name: str
    frame: dict[str, str]
    element: dict[str, Wording]


class _RouteDocumentRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    says: tuple[str, ...]
    to: dict[str, str] = {}
    cited: dict[str, str] = {}


class _Sections(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    sections: tuple[str, ...]


class DocumentPlans(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The table elements.toml: which wordings the documents of each route consist of."""

    schema: Literal[1]
    document: dict[DocumentKind, _Sections]
    route: dict[str, _RouteDocumentRow]


@cache
def words_in_language(language: str) -> LanguageWords:
    """Return the words of a language by its IETF tag, e.g. "de" or "pt-BR"; raises
    NoSuchLanguage.
    """
    tag = language.strip().lower().replace("_", "-").partition("-")[0]
    if tag not in LETTER_LANGUAGES:
        raise NoSuchLanguage(language=language.strip()[:20])
    return parse_language_words(shipped_table(f"{_WORDINGS_FOLDER}/{tag}.toml"), f"{tag}.toml")


def parse_language_words(data: bytes, name: str) -> LanguageWords:
    """Parse the words of one language; raises BadTable."""
    return read_table(LanguageWords, data, name)


@cache
def shipped_document_plans() -> DocumentPlans:
    """Return the document plans of all routes."""
    return parse_document_plans(shipped_table(f"{_WORDINGS_FOLDER}/elements.toml"))


def parse_document_plans(data: bytes) -> DocumentPlans:
    """Parse elements.toml.

    Raises BadTable for invalid TOML, or a key that has no English wording.
    """
    plans = read_table(DocumentPlans, data, "elements.toml")
    known = words_in_language("en").element
    for id_, row in plans.route.items():
        for key in (key for keys in row.says for key in keys.split("+")):
            if key not in known:
                raise BadTable(table="elements.toml", entry=f"{id_}: {key}")
    return plans


def wording_keys_for(route: Route) -> tuple[tuple[str, ...], ...] | None:
    """Return the keys of the wordings of each element; None if the route has no wordings yet, or
    not the same number of them as elements.
    """
    row = shipped_document_plans().route.get(route.family)
    if row is None or len(row.says) != len(route.elements):
        return None
    return tuple(tuple(keys.split("+")) for keys in row.says)


def standard_sections_of(document: DocumentKind) -> tuple[str, ...]:
    """Return the sections that every document of this kind has, in order.

    Only the sheets for the police and for a court have any.
    """
    row = shipped_document_plans().document.get(document)
    return row.sections if row else ()


_SOURCE_NOTE_PATTERN: Final = re.compile(
    r"\s*[(;][^();]*(?:re-verify|re-read|general knowledge)[^();]*(?:\)|$)"
)
#: The language that an addressee in this jurisdiction reads, if there are letters in it.
_LANGUAGE_OF_JURISDICTION: Final[Mapping[str, str]] = {
    **dict.fromkeys(("DE", "AT", "CH"), "de"),
    **dict.fromkeys(("FR", "BE", "CA-QC"), "fr"),
    **dict.fromkeys(("ES", "MX", "AR", "CL", "CO", "UY", "PE"), "es"),
    **dict.fromkeys(("PT", "BR"), "pt"),
    **dict.fromkeys(("US", "US-CA", "US-states", "GB", "GB-EAW", "GB-SCT", "IE"), "en"),
    **dict.fromkeys(("AU", "NZ", "CA", "CA-BC", "IN", "ZA", "NG", "KE", "GH", "SG", "PH"), "en"),
}


def letter_language_for(route: Route, person_language: str, requested: str = "") -> str:
    """Return the language of a letter: the requested one, else that of the law's country, else the
    person's own.

    Args:
        route: its jurisdiction decides if no language is requested.
        person_language: an IETF tag; English is used if there are no letters in that language.
        requested: the requested language as an IETF tag, or "".

    Raises:
        NoSuchLanguage: there are no letters in the requested language.
    """
    if requested:
        return words_in_language(requested).language
    if route.jurisdiction in _LANGUAGE_OF_JURISDICTION:
        return _LANGUAGE_OF_JURISDICTION[route.jurisdiction]
    try:
        return words_in_language(person_language).language
    except NoSuchLanguage:
        return "en"


def law_name_in(route: Route, language: str) -> str:
    """Return the name of the law for a letter: as readers of that language cite it, or else as in
    the tables in laws/.
    """
    return law_citation_in(route, language) or without_source_notes(
        f"{route.law}, {route.provision}"
    )


def law_citation_in(route: Route, language: str) -> str:
    """Return how readers of a language cite the law; "" if they cite it as laws/ does."""
    row = shipped_document_plans().route.get(route.family)
    return row.cited.get(language, "") if row else ""


def without_source_notes(fact: str) -> str:
    """Return a fact without our own notes on its source, such as "(re-verify)".

    >>> without_source_notes("s.162.1; 164.1 removal warrant (re-verify)")
    's.162.1; 164.1 removal warrant'
    """
    return _SOURCE_NOTE_PATTERN.sub("", fact)


def addressee_office_in(route: Route, language: str) -> str:
    """Return the addressee's name (an authority, or an office at a platform) in a language, or else
    in English; "" if it is unknown.
    """
    row = shipped_document_plans().route.get(route.family)
    return (row.to.get(language) or row.to.get("en", "")) if row else ""


def placeholders_in(text: str) -> frozenset[str]:
    """Return the names of the placeholders in a text.

    >>> sorted(placeholders_in("{places} and {at}"))
    ['at', 'places']
    """
    return frozenset(name for _, name, _, _ in Formatter().parse(text) if name)
