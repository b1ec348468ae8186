"""What an error says, as far as all have it in common."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.errors import as_typed, filled
from entrenous.send.people.people_nouns import YouBlocked


@pytest.mark.parametrize(
    ("name", "typed"),
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
def test_what_a_shell_would_take_apart_is_quoted(name: str, typed: str) -> None:
    assert as_typed(name) == typed


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))))
def test_a_shell_reads_one_word_and_the_same(name: str) -> None:
    assert shlex.split(as_typed(name)) == [name]


def test_in_a_suggested_command_a_name_is_quoted_and_in_a_sentence_it_is_not() -> None:
    said = str(YouBlocked(name="Ben Okri"))
    assert said.startswith("You blocked Ben Okri, so")
    assert said.endswith("entrenous person unblock 'Ben Okri'")


def test_a_command_ends_where_its_sentence_does() -> None:
    words = "First: entrenous person\nverify {name} --sas. Then {name}: entrenous recall {what}"
    assert filled(words, name="Al B", what="1 2") == (
        "First: entrenous person\nverify 'Al B' --sas. Then Al B: entrenous recall '1 2'"
    )
