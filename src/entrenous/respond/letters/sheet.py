"""Lay out a page to take to the police or a court, and the steps of a hash bank."""

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
from entrenous.respond.letters.wordings import law_name_in, sections_of, words_in
from entrenous.respond.nouns import DocumentPart

_FRAME_PREFIXES: Final = {DocumentKind.POLICE_SHEET: "police", DocumentKind.COURT_SHEET: "court"}
# elements with the person's request, which come near the top
_REQUEST_KEYS: Final = ("complaint", "claim", "unilateral")


def sheet_parts(
    draft: DraftContext, worded: tuple[WordedElement, ...], lines: CaseLines
) -> tuple[DocumentPart, ...]:
    """Lay out a page: the sections that every such page has, and what this law requires."""
    route, frame = draft.route, draft.frame
    kind = _FRAME_PREFIXES[route.document]
    title = frame[f"{kind}_page"].format(law=law_name_in(route, draft.language))
    opening = (frame[f"{kind}_purpose"], *opening_lines(draft))
    standard = sections_of(route.document)
    required_keys = {one.key for element in worded for one in element.keys}
    other_keys = tuple(key for key in standard if key not in required_keys)
    other_sections = [word_key(key, draft, lines) for key in applicable_keys(other_keys, draft)]
    placed = [
        (_section_position(one.keys, standard), _sections(one, draft.language)) for one in worded
    ]
    placed += [(_section_position((one,), standard), (_as_part(one),)) for one in other_sections]
    ordered = sorted(placed, key=lambda pair: pair[0])
    return (DocumentPart(title, opening), *(part for _, parts in ordered for part in parts))


def bank_parts(
    draft: DraftContext, worded: tuple[WordedElement, ...], lines: CaseLines
) -> tuple[DocumentPart, ...]:
    """Lay out a hash bank's own steps, and how to store the number that it gives."""
    route, frame = draft.route, draft.frame
    steps = f"bank_{route.family.removeprefix('hash-')}"
    keys = [steps, "bank_number"] if steps in words_in(draft.language).element else ["bank_number"]
    step_sections = [word_key(key, draft, lines) for key in keys]
    title = frame["bank_page"].format(law=law_name_in(route, draft.language))
    where = frame["bank_where"].format(address=lines.address)
    hashed = (_as_part(one) for element in worded for one in element.keys)
    return (DocumentPart(title, (where,)), *hashed, *map(_as_part, step_sections))


def _sections(element: WordedElement, language: str) -> tuple[DocumentPart, ...]:
    """Return the sections for an element of the law. In English, the first begins with the law's
    words.
    """
    first, *others = map(_as_part, element.keys)
    if language != "en" or not is_stated_by_law(element.element.required):
        return (first, *others)
    asks = words_in("en").frame["law_asks"].format(required=element.element.required)
    return (replace(first, lines=(asks, *first.lines)), *others)


def _as_part(wording: WordedKey) -> DocumentPart:
    return DocumentPart(wording.title, tuple(wording.text.splitlines()))


def _section_position(keys: tuple[WordedKey, ...], sections: tuple[str, ...]) -> float:
    """Return a sort key for a section: near the top if it has the person's request, else that of
    its first standard section, else just before the law.
    """
    places = [sections.index(one.key) for one in keys if one.key in sections]
    if any(one.key in _REQUEST_KEYS for one in keys):
        return 0.5
    return float(min(places)) if places else sections.index("law") - 0.5
