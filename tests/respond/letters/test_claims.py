"""Tests of claims: sentences with which the person may fill gaps of a letter."""

from dataclasses import replace

import pytest

from entrenous.respond.letters.drafted_notices import with_gaps_filled
from entrenous.respond.letters.elements import claim_sentences_by_gap
from entrenous.respond.letters.wordings import LETTER_LANGUAGES, words_in_language
from tests.respond.letters.letter_cases import BARE_CASE
from tests.respond.letters.test_kinds import draft_document


@pytest.mark.parametrize("language", LETTER_LANGUAGES)
def test_every_claim_has_words_without_placeholders(language: str) -> None:
    for key, wording in words_in_language(language).element.items():
        if wording.if_maker_unsaid or wording.if_intimate_unsaid:
            says = wording.claim or wording.says
            assert says, key
            assert "{" not in says, key


@pytest.mark.parametrize("language", LETTER_LANGUAGES)
def test_claim_replaces_its_gap(language: str) -> None:
    case = replace(BARE_CASE, situation=replace(BARE_CASE.situation, intimate=None))
    letter = draft_document(case, "us-tida-removal", language)
    claims = claim_sentences_by_gap(letter, case)
    (gap,) = claims
    assert gap in letter.letter
    assert words_in_language(language).element["tida_depiction"].claim not in letter.letter
    filled = with_gaps_filled(letter, claims)
    assert claims[gap] in filled.letter
    assert gap not in filled.missing


def test_claims_contain_the_statutory_words_and_their_translation() -> None:
    case = replace(BARE_CASE, situation=replace(BARE_CASE.situation, intimate=None))
    letter = draft_document(case, "us-dmca-512c", "de")
    sentences = " ".join(claim_sentences_by_gap(letter, case).values())
    assert "I have a good-faith belief that this use is not authorised" in sentences
    assert words_in_language("de").element["copyright_belief"].says in sentences
