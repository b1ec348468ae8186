"""Tests that every letter has every required element, and that each removed one is reported."""

from dataclasses import replace

import pytest

from entrenous.respond.law.legal_route import Route
from entrenous.respond.letters.draft import draft_notice
from entrenous.respond.letters.wordings import LETTER_LANGUAGES, shipped_document_plans
from entrenous.respond.nouns import Case, Notice, Representative, RepresentativeRole
from tests.respond.case_owner import START
from tests.respond.letters.checklist import PATTERNS_BY_WORDING, missing_elements
from tests.respond.letters.letter_cases import (
    BARE_CASE,
    DRAFTED_AT,
    LETTER_ROUTES,
    full_case,
    has_wordings,
)

CASES = {"full": full_case(), "bare": BARE_CASE}


def test_every_letter_route_has_its_wordings() -> None:
    assert [route.id for route in LETTER_ROUTES if not has_wordings(route)] == []
    assert len({route.family for route in LETTER_ROUTES}) >= 82


def test_checklist_has_a_pattern_in_each_language_for_exactly_the_wordings_of_elements() -> None:
    used = {
        key
        for row in shipped_document_plans().route.values()
        for one in row.says
        for key in one.split("+")
    }
    assert set(PATTERNS_BY_WORDING) == used
    assert all(len(one) == len(LETTER_LANGUAGES) for one in PATTERNS_BY_WORDING.values())


@pytest.mark.parametrize("language", LETTER_LANGUAGES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_letter_passes_its_checklist(case: Case, language: str) -> None:
    for route in LETTER_ROUTES:
        letter = draft_letter(case, route, language).letter
        assert missing_elements(route, letter, language) == [], (route.id, letter)


@pytest.mark.parametrize("language", LETTER_LANGUAGES)
def test_every_letter_by_a_representative_passes_its_checklist(language: str) -> None:
    representative = Representative(RepresentativeRole.FRIEND, "she asked me by telephone", START)
    situation = replace(CASES["full"].situation, on_behalf=True)
    case = replace(CASES["full"], representative=representative, situation=situation)
    routes = [route for route in LETTER_ROUTES if route.representative.value != "no"]
    assert len(routes) > 20
    for route in routes:
        assert missing_elements(route, draft_letter(case, route, language).letter, language) == []


@pytest.mark.parametrize("language", LETTER_LANGUAGES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_removed_element_is_reported(case: Case, language: str) -> None:
    """Remove each element of each letter in turn, with and without the line above it."""
    caught = dict.fromkeys((route.id for route in LETTER_ROUTES), 0)
    for route in LETTER_ROUTES:
        notice = draft_letter(case, route, language)
        for index, element in enumerate(notice.elements):
            for cut in (element.text, f"{heading_above(notice, element.text)}\n{element.text}"):
                rest = notice.letter.replace(cut, "")
                assert rest != notice.letter, (route.id, index)
                assert index in missing_elements(route, rest, language), (route.id, index, rest)
                caught[route.id] += 1
    assert min(caught.values()) >= 2
    total = sum(caught.values())
    print(f"{language}: {total} deletions in {len(caught)} letters, all caught")  # noqa: T201


def draft_letter(case: Case, route: Route, language: str) -> Notice:
    return draft_notice(case, route, DRAFTED_AT, language=language)


def heading_above(notice: Notice, text: str) -> str:
    """Return the last line with text above an element's text."""
    before = notice.letter[: notice.letter.index(text)]
    return before.rstrip("\n").rpartition("\n")[2]
