"""Tests that names are quoted for a shell in the commands that error messages suggest."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.errors import fill_message, quote_for_shell
from entrenous.send.people.people_nouns import ContactIsBlocked


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("ben", "ben"),
        ("Zoë", "Zoë"),
        ("小林", "小林"),
        ("7-lunar-otter", "7-lunar-otter"),
        ("https://relay.test:7801/a", "https://relay.test:7801/a"),
        ("Ben Okri", "'Ben Okri'"),
        ("O'Neill", "'O'\"'\"'Neill'"),
        ("$(date)", "'$(date)'"),
        ("", "''"),
    ],
)
def test_words_with_shell_characters_are_quoted(name: str, quoted: str) -> None:
    assert quote_for_shell(name) == quoted


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))))
def test_quoted_word_is_read_unchanged_by_a_shell(name: str) -> None:
    assert shlex.split(quote_for_shell(name)) == [name]


def test_names_are_quoted_in_commands_but_not_in_sentences() -> None:
    message = " ".join(str(ContactIsBlocked(name="Ben Okri")).split())
    assert message.startswith("You blocked Ben Okri.")
    assert message.endswith("entrenous person unblock 'Ben Okri'")


def test_quoting_ends_with_the_suggested_command() -> None:
    text = "First: entrenous person\nverify {name} --sas. Then {name}: entrenous recall {what}"
    assert fill_message(text, name="Al B", what="1 2") == (
        "First: entrenous person\nverify 'Al B' --sas. Then Al B: entrenous recall '1 2'"
    )
