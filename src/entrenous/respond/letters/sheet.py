"""Lay out a page for a desk at the police or a court, and the steps of a hash bank."""

from dataclasses import replace
from typing import Final

from entrenous.respond.law.legal_route import DocumentKind
from entrenous.respond.letters.case_lines import CaseLines, DraftContext
from entrenous.respond.letters.elements import (
    WordedElement,
    WordedKey,
    applicable_keys,
    is_stated_by_law,
    word_key,
)
from entrenous.respond.letters.letter import opening_lines
from entrenous.respond.letters.wordings import law_in, sections_of, words_in
from entrenous.respond.nouns import DocumentPart

_FRAMES: Final = {DocumentKind.POLICE_SHEET: "police", DocumentKind.COURT_SHEET: "court"}
# elements with the person's request, which come near the top
_FIRST: Final = ("complaint", "claim", "unilateral")


def sheet_parts(
    draft: DraftContext, worded: tuple[WordedElement, ...], lines: CaseLines
) -> tuple[DocumentPart, ...]:
    """Lay out a page: the sections that every such page has, and what this law requires."""
    route, frame = draft.route, draft.frame
    kind = _FRAMES[route.document]
    title = frame[f"{kind}_page"].format(law=law_in(route, draft.language))
    opening = (frame[f"{kind}_purpose"], *opening_lines(draft))
    standard = sections_of(route.document)
    asked = {one.key for element in worded for one in element.keys}
    own = tuple(key for key in standard if key not in asked)
    rest = [word_key(key, draft, lines) for key in applicable_keys(own, draft)]
    placed = [(_section_of(one.keys, standard), _sections(one, draft.language)) for one in worded]
    placed += [(_section_of((one,), standard), (_as_part(one),)) for one in rest]
    ordered = sorted(placed, key=lambda pair: pair[0])
    return (DocumentPart(title, opening), *(part for _, parts in ordered for part in parts))


def bank_parts(
    draft: DraftContext, worded: tuple[WordedElement, ...], lines: CaseLines
) -> tuple[DocumentPart, ...]:
    """Lay out a hash bank's own steps, and how to store the number that it gives."""
    route, frame = draft.route, draft.frame
    steps = f"bank_{route.family.removeprefix('hash-')}"
    keys = [steps, "bank_number"] if steps in words_in(draft.language).element else ["bank_number"]
    rest = [word_key(key, draft, lines) for key in keys]
    title = frame["bank_page"].format(law=law_in(route, draft.language))
    where = frame["bank_where"].format(address=lines.address)
    hashed = (_as_part(one) for element in worded for one in element.keys)
    return (DocumentPart(title, (where,)), *hashed, *map(_as_part, rest))


def _sections(element: WordedElement, language: str) -> tuple[DocumentPart, ...]:
    """Return the sections for an element of the law, with the law's words for it in English."""
    first, *others = map(_as_part, element.keys)
    if language != "en" or not is_stated_by_law(element.element.required):
        return (first, *others)
    asks = words_in("en").frame["law_asks"].format(required=element.element.required)
    return (replace(first, lines=(asks, *first.lines)), *others)


def _as_part(one: WordedKey) -> DocumentPart:
    return DocumentPart(one.title, tuple(one.text.splitlines()))


def _section_of(keys: tuple[WordedKey, ...], sections: tuple[str, ...]) -> float:
    """Return the position of a section: its first standard one, near the top, or before the law."""
    places = [sections.index(one.key) for one in keys if one.key in sections]
    if any(one.key in _FIRST for one in keys):
        return 0.5
    return float(min(places)) if places else sections.index("law") - 0.5
