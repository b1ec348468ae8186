"""The catalogues hold exactly the program's sentences, all translated, with their placeholders."""

import re
from collections import Counter

import pytest
from babel.messages.catalog import Catalog, Message

from entrenous.base.catalogue import read_catalogue
from entrenous.base.language import ENGLISH, LANGUAGES
from tests.house.messages import existing_catalogue, is_translated, sentence_template

pytestmark = pytest.mark.slow

TRANSLATED_LANGUAGES = [tag for tag in LANGUAGES if tag != ENGLISH]
_PLACEHOLDER = re.compile(
    r"\{[^{}]*\}|%\(\w+\)s|<[^<>]*>|--[\w-]+|entrenous [\w-]+|https?://\w[\w./-]*\w"
)


@pytest.fixture(scope="module")
def expected_catalogue() -> Catalog:
    return sentence_template()


@pytest.mark.parametrize("tag", TRANSLATED_LANGUAGES)
def test_catalogue_has_every_sentence_and_no_other(tag: str, expected_catalogue: Catalog) -> None:
    have, want = (
        {(one.id, one.context) for one in made if one.id}
        for made in (existing_catalogue(tag), expected_catalogue)
    )
    assert (have - want, want - have) == (set(), set()), "type: make messages"


@pytest.mark.parametrize("tag", TRANSLATED_LANGUAGES)
def test_every_sentence_is_translated(tag: str) -> None:
    assert [one.id for one in existing_catalogue(tag) if one.id and not is_translated(one)] == []


@pytest.mark.parametrize("tag", TRANSLATED_LANGUAGES)
def test_translations_keep_placeholders_and_commands(tag: str) -> None:
    differing = [
        (one.id, form)
        for one in existing_catalogue(tag)
        if one.id and is_translated(one)
        for form in _translated_forms(one)
        if _placeholders(form) - _placeholders(one.id if isinstance(one.id, str) else one.id[1])
    ]
    assert differing == []


@pytest.mark.parametrize("tag", TRANSLATED_LANGUAGES)
def test_program_reads_a_catalogue_as_babel_does(tag: str) -> None:
    made, read = existing_catalogue(tag), read_catalogue(tag)
    said = {one.id for one in made if isinstance(one.id, str) and one.id and not one.context}
    assert all(read.sentences[text] == (made[text].string,) for text in said)


def _translated_forms(message: Message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else tuple(message.string)


def _placeholders(text: str) -> Counter[str]:
    return Counter(_PLACEHOLDER.findall(text))
