"""Tests of the choice of a language, catalogues, translated sentences, dates and numbers."""

import io
from datetime import UTC, date, datetime

import pytest
from babel.messages.pofile import read_po

from entrenous.base.catalogue import parse_po, pseudo_text
from entrenous.base.errors import Expired, NoPrekeys, WrongToken
from entrenous.base.language import (
    PSEUDO_LANGUAGE,
    catalogue_of,
    day_in_words,
    language_of_person,
    localized_number,
    moment_in_words,
    plural,
    speaking,
    translated,
)

CATALOGUE_TEXT = r"""# A comment
msgid ""
msgstr ""
"Language: es\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\n"

#: somewhere.py
msgid "Say \"hello\",\n"
"on two lines"
msgstr "Di \"hola\""

msgctxt "a way"
msgid "Open"
msgstr "Abierta"

msgid "{count} day"
msgid_plural "{count} days"
msgstr[0] "{count} día"
msgstr[1] "{count} días"
"""


@pytest.mark.parametrize(
    ("environment", "expected_language"),
    [
        ({}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "de"),
        ({"LANG": "de_DE.UTF-8", "LC_MESSAGES": "es_MX"}, "es"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "fr_FR.UTF-8"}, "en"),
        ({"LC_ALL": "de_DE", "ENTRENOUS_LANGUAGE": "es"}, "es"),
        ({"ENTRENOUS_LANGUAGE": "", "LANG": "es_ES@euro"}, "es"),
        ({"ENTRENOUS_LANGUAGE": PSEUDO_LANGUAGE}, PSEUDO_LANGUAGE),
    ],
)
def test_environment_decides_the_language(
    environment: dict[str, str], expected_language: str
) -> None:
    assert language_of_person(environment) == expected_language


def test_catalogue_is_read_as_babel_reads_it() -> None:
    babel_catalogue = read_po(io.BytesIO(CATALOGUE_TEXT.encode()))
    assert parse_po(CATALOGUE_TEXT) == {
        'Say "hello",\non two lines': (babel_catalogue['Say "hello",\non two lines'].string,),
        "a way\x04Open": (babel_catalogue.get("Open", "a way").string,),
        "{count} day": babel_catalogue["{count} day"].string,
    }


@pytest.mark.parametrize("damage", ["msgstr[2]", "msgid_plural2", '"loose"', "msgid x"])
def test_damaged_catalogue_is_refused(damage: str) -> None:
    with pytest.raises(ValueError, match="not the text of a catalogue"):
        parse_po(f'{CATALOGUE_TEXT}\n{damage} "y"\n')


def test_sentences_errors_and_counts_are_in_the_language_chosen() -> None:
    assert str(Expired(when=datetime(2026, 6, 5, tzinfo=UTC))).startswith("This message")
    with speaking(PSEUDO_LANGUAGE):
        assert translated("Send") == "[Šéñđ ~]"
        assert str(NoPrekeys()).startswith("[Ţĥé")
        assert "entrenous inbox" in str(WrongToken())
        assert plural("{count} day", "{count} days", 2) == "[2 đåýš ~~~~]"
    assert translated("Send") == "Send"


def test_english_reads_no_catalogue() -> None:
    catalogue_of.cache_clear()
    assert (translated("Send"), plural("{count} day", "{count} days", 1)) == ("Send", "1 day")
    assert catalogue_of.cache_info().currsize == 0


def test_days_times_and_numbers_are_written_in_the_persons_language() -> None:
    day, at = date(2026, 6, 5), datetime(2026, 6, 5, 14, 30, tzinfo=UTC)
    assert (day_in_words(day), localized_number(12345)) == ("5 June 2026", "12345")
    assert moment_in_words(at) == "5 June 2026, 14:30 UTC"
    with speaking("de"):
        assert (day_in_words(day), localized_number(12345)) == ("5. Juni 2026", "12.345")
        assert moment_in_words(at) == "5. Juni 2026, 14:30 UTC"
    with speaking("es"):
        assert day_in_words(day) == "5 de junio de 2026"


def test_pseudo_language_keeps_placeholders_and_commands() -> None:
    text = pseudo_text("Save {name} as <b>%(file)s</b>: entrenous case open")
    assert all(kept in text for kept in ("{name}", "<b>%(file)s</b>", "entrenous case open"))
    assert pseudo_text("") == ""
