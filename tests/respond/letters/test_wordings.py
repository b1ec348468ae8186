"""Tests of the wordings of letters: completeness, statutory words, and the choice of a language."""

import re
from dataclasses import replace
from importlib import resources

import pytest

from entrenous.respond.fact_tables import BadTable
from entrenous.respond.letters.draft import draft_notice
from entrenous.respond.letters.wordings import (
    LETTER_LANGUAGES,
    NoSuchLanguage,
    Wording,
    letter_language_for,
    parse_document_plans,
    parse_language_words,
    placeholders_in,
    shipped_document_plans,
    words_in_language,
)
from entrenous.respond.situation import PictureMaker
from tests.respond.letters.letter_cases import BARE_CASE, DRAFTED_AT, ROUTES, full_case

WORDINGS_FOLDER = resources.files("entrenous.respond").joinpath("facts", "wordings")
WORDING_COLUMNS = tuple(name for name in Wording.__struct_fields__ if name != "title")
TRANSLATED_LANGUAGES = [language for language in LETTER_LANGUAGES if language != "en"]


@pytest.mark.parametrize("language", TRANSLATED_LANGUAGES)
def test_every_key_and_placeholder_is_in_every_language(language: str) -> None:
    english, words = words_in_language("en"), words_in_language(language)
    assert set(words.frame) == set(english.frame)
    assert set(words.element) == set(english.element)
    for key, sentence in english.frame.items():
        assert placeholders_in(words.frame[key]) == placeholders_in(sentence), key
    for key, wording in english.element.items():
        for column in WORDING_COLUMNS:
            ours, theirs = getattr(wording, column), getattr(words.element[key], column)
            assert bool(ours) == bool(theirs), (key, column)
            assert placeholders_in(ours) == placeholders_in(theirs), (key, column)


@pytest.mark.parametrize("language", LETTER_LANGUAGES)
def test_every_wording_has_a_title_and_every_gap_is_one_line_in_brackets(language: str) -> None:
    words = words_in_language(language)
    gaps = [one for key, one in words.frame.items() if key.startswith("gap_")]
    for wording in words.element.values():
        gaps += [wording.gap, wording.gap_for, wording.if_maker_unsaid, wording.if_intimate_unsaid]
        assert wording.title
    for gap in filter(None, gaps):
        assert re.fullmatch(r"\[[^\n]+\]", gap), gap


@pytest.mark.parametrize("language", TRANSLATED_LANGUAGES)
def test_no_sentence_was_left_in_english(language: str) -> None:
    english, words = words_in_language("en"), words_in_language(language)
    same = [key for key, sentence in english.frame.items() if words.frame[key] == sentence]
    assert set(same) <= {"field", "account_line"}
    says = [
        key
        for key, one in english.element.items()
        if one.says and words.element[key].says == one.says and key not in {"account", "law"}
    ]
    assert says == []


@pytest.mark.parametrize("language", TRANSLATED_LANGUAGES)
@pytest.mark.parametrize("route_id", ["us-tida-removal", "us-dmca-512c", "uk-osa-20a"])
def test_statutory_words_are_quoted_with_a_translation(route_id: str, language: str) -> None:
    route = ROUTES[route_id]  # type: ignore[index]
    letter = draft_notice(full_case(), route, DRAFTED_AT, language=language).letter
    translation_note = words_in_language(language).frame["not_my_language"].partition(":")[0]
    keys = [key for one in shipped_document_plans().route[route_id].says for key in one.split("+")]
    statutory = [
        words_in_language("en").element[key]
        for key in keys
        if words_in_language("en").element[key].law_language
    ]
    assert statutory
    for wording in statutory:
        assert wording.says.partition("\n")[0] in letter
    assert letter.count(translation_note) == len(statutory)


@pytest.mark.parametrize("language", LETTER_LANGUAGES)
def test_no_language_contains_an_oath_that_the_person_did_not_state(language: str) -> None:
    route = ROUTES["us-dmca-512c"]  # type: ignore[index]
    stated = draft_notice(full_case(), route, DRAFTED_AT, language=language)
    unstated = draft_notice(BARE_CASE, route, DRAFTED_AT, language=language)
    assert BARE_CASE.situation.taken_by is PictureMaker.UNSAID
    assert "under penalty of perjury, I am" in stated.letter
    assert "under penalty of perjury, I am" not in unstated.letter
    assert len(unstated.missing) == len(stated.missing) + 3


@pytest.mark.parametrize(
    ("route_id", "spoken", "requested", "expected"),
    [
        ("de-stgb-201a", "en", "", "de"),
        ("de-stgb-201a", "fr", "en", "en"),
        ("br-cp-218c", "en", "", "pt"),
        ("ca-qc-p9-0002", "en", "", "fr"),
        ("us-tida-removal", "de", "", "en"),
        ("eu-dsa-16", "de-AT", "", "de"),
        ("eu-dsa-16", "pl", "", "en"),
        ("eu-dsa-16", "pl", "pt-BR", "pt"),
    ],
)
def test_letter_is_in_the_requested_language_or_one_that_suits_the_law(
    route_id: str, spoken: str, requested: str, expected: str
) -> None:
    assert letter_language_for(ROUTES[route_id], spoken, requested) == expected  # type: ignore[index]


def test_unknown_language_is_refused_with_the_list_of_languages() -> None:
    listed = r"(?s)in the language .pl., so nothing was.*de\s\(Deutsch\)"
    with pytest.raises(NoSuchLanguage, match=listed):
        draft_notice(full_case(), ROUTES["eu-dsa-16"], DRAFTED_AT, language="pl")  # type: ignore[index]


def test_letter_in_german_cites_german_law_in_german_terms() -> None:
    letter = draft_notice(full_case(), ROUTES["de-stgb-201a"], DRAFTED_AT).letter  # type: ignore[index]
    assert "§ 201a Absatz 1" in letter
    assert "stelle Strafantrag" in letter
    assert "Criminal Code" not in letter


@pytest.mark.parametrize(
    ("file_name", "old", "new"),
    [
        ("elements.toml", b'"in_writing"', b'"in_righting"'),
        ("elements.toml", b"\nsays = ", b"\nsaid = "),
        ("de.toml", b'title = "Schriftform"', b'titel = "Schriftform"'),
        ("de.toml", b"schema = 1", b"schema = 2"),
    ],
)
def test_invalid_wordings_table_is_refused(file_name: str, old: bytes, new: bytes) -> None:
    table = WORDINGS_FOLDER.joinpath(file_name).read_bytes()
    assert old in table
    read = (
        parse_document_plans
        if file_name == "elements.toml"
        else lambda data: parse_language_words(data, file_name)
    )
    with pytest.raises(BadTable, match=file_name):
        read(table.replace(old, new, 1))


def test_braces_in_an_address_are_printed_as_they_are() -> None:
    page = replace(BARE_CASE.sightings[0], where="https://a.example/{places}/{0}/{sender}")
    case = replace(BARE_CASE, sightings=(page,))
    letter = draft_notice(case, ROUTES["us-tida-removal"], DRAFTED_AT).letter  # type: ignore[index]
    assert "https://a.example/{places}/{0}/{sender}" in letter
