"""Tests that every letter has every element of its law, and that a missing one is noticed."""

from dataclasses import replace

import pytest

from entrenous.respond.law.legal_route import Route
from entrenous.respond.letters.draft import draft_notice
from entrenous.respond.letters.wordings import LETTER_LANGUAGES, shipped_document_plans
from entrenous.respond.nouns import Case, Notice, Representative, RepresentativeRole
from tests.respond.letters.checklist import SIGNS, missing_elements
from tests.respond.letters.letter_cases import BARE, FILED, LATER, full_case, is_worded
from tests.respond.room import START

CASES = {"full": full_case(), "bare": BARE}


def test_every_route_that_is_filed_has_its_wordings() -> None:
    assert [route.id for route in FILED if not is_worded(route)] == []
    assert len({route.family for route in FILED}) >= 82


def test_the_checklist_has_a_sign_for_every_wording_of_an_element() -> None:
    used = {
        key
        for row in shipped_document_plans().route.values()
        for one in row.says
        for key in one.split("+")
    }
    assert set(SIGNS) == used
    assert all(len(signs) == len(LETTER_LANGUAGES) for signs in SIGNS.values())


@pytest.mark.parametrize("language", LETTER_LANGUAGES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_letter_passes_its_checklist(case: Case, language: str) -> None:
    for route in FILED:
        letter = draft(case, route, language).letter
        assert missing_elements(route, letter, language) == [], (route.id, letter)


@pytest.mark.parametrize("language", LETTER_LANGUAGES)
def test_a_letter_by_somebody_else_passes_too(language: str) -> None:
    acting = Representative(RepresentativeRole.FRIEND, "she asked me by telephone", START)
    said = replace(CASES["full"].situation, on_behalf=True)
    case = replace(CASES["full"], representative=acting, situation=said)
    let = [route for route in FILED if route.representative.value != "no"]
    assert len(let) > 20
    for route in let:
        assert missing_elements(route, draft(case, route, language).letter, language) == []


@pytest.mark.parametrize("language", LETTER_LANGUAGES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_element_that_is_taken_out_is_missed(case: Case, language: str) -> None:
    """Remove each element of each letter in turn, with and without its heading."""
    caught = dict.fromkeys((route.id for route in FILED), 0)
    for route in FILED:
        notice = draft(case, route, language)
        for place, element in enumerate(notice.elements):
            for cut in (element.text, f"{heading(notice, element.text)}\n{element.text}"):
                rest = notice.letter.replace(cut, "")
                assert rest != notice.letter, (route.id, place)
                assert place in missing_elements(route, rest, language), (route.id, place, rest)
                caught[route.id] += 1
    assert min(caught.values()) >= 2
    total = sum(caught.values())
    print(f"{language}: {total} deletions in {len(caught)} letters, all caught")  # noqa: T201


def draft(case: Case, route: Route, language: str) -> Notice:
    return draft_notice(case, route, LATER, language=language)


def heading(notice: Notice, text: str) -> str:
    """Return the line above an element's text."""
    before = notice.letter[: notice.letter.index(text)]
    return before.rstrip("\n").rpartition("\n")[2]
