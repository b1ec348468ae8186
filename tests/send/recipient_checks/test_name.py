"""Tests of the similarity of names, and of words that mix alphabets."""
# ruff: noqa: RUF001 - the tests need letters that look like others

import unicodedata
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.guard.names import LOOKS
from entrenous.send.people.similar_names import (
    _edit_distance,
    are_names_similar,
    look_alike_forms,
    mixes_alphabets,
)


def words_within_one_edit(word: str, letters: str) -> set[str]:
    """Return the word, and all words that differ by one letter or by a swap of two neighbours."""
    cuts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    deletions = {a + b[1:] for a, b in cuts if b}
    insertions = {a + letter + b for a, b in cuts for letter in letters}
    substitutions = {a + letter + b[1:] for a, b in cuts if b for letter in letters}
    transpositions = {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    return deletions | insertions | substitutions | transpositions | {word}


def test_the_distance_counts_edits_up_to_two() -> None:
    words = ["".join(word) for size in range(5) for word in product("ab", repeat=size)]
    for word in words:
        one_away = words_within_one_edit(word, "ab")
        two_away = {two for one in one_away for two in words_within_one_edit(one, "ab")}
        for other in words:
            assert (_edit_distance(word, other) <= 1) == (other in one_away)
            assert (_edit_distance(word, other) <= 2) == (other in two_away)


@given(st.text(max_size=12), st.text(max_size=12))
def test_similarity_is_symmetric_and_reflexive(one: str, other: str) -> None:
    assert are_names_similar(one, one)
    assert are_names_similar(one, other) == are_names_similar(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *[("Zoé", "ZOE\u0301"), ("ana", "a\u200dn\u200da"), ("Straße", "STRASSE"), ("fin", "ﬁn")],
        *[("Ben", "Вен"), ("Ben", "Веn"), ("ben", "вен"), ("Ana", "Ана"), ("Peter", "Ρeter")],
        *[("Bill", "B1l1"), ("Iris", "lris"), ("Otto", "0tt0"), ("Arnold", "Amold")],
        *[("Zoë", "Zoe"), ("Jürgen", "Jurgen"), ("Νίκος", "Nikos")],
    ],
)
def test_names_that_look_alike_resemble(one: str, other: str) -> None:
    assert are_names_similar(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *[("Stephen", "Steven"), ("Katherine", "Catharine"), ("Jennifer", "Jenifr")],
        *[("Sam", "Samuel"), ("Sam O.", "Samuel Okri"), ("Al", "Albert"), ("Ben", "Ben 2")],
    ],
)
def test_spelling_variants_and_short_forms_resemble(one: str, other: str) -> None:
    assert are_names_similar(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *[("Ana", "Eva"), ("Carol", "Karen"), ("Maria", "Marta K."), ("Linda", "Sandra")],
        *[
            ("Sam Jones", "Samuel Okri"),
            ("Sam K.", "Samuel"),
            ("Ben Adam", "Ben Okri"),
            ("Mark K.", "Mary"),
        ],
        *[("Анна", "Олег"), ("山田", "田中"), ("A", "Albert")],
    ],
)
def test_clearly_different_names_do_not_resemble(one: str, other: str) -> None:
    assert not are_names_similar(one, other)


@pytest.mark.parametrize(("letter", "look"), [(a, b) for a, all_ in LOOKS.items() for b in all_])
def test_look_alike_letters_share_a_form_unless_cherokee(letter: str, look: str) -> None:
    known = set(look_alike_forms(letter)) & set(look_alike_forms(look))
    assert known or unicodedata.name(look).startswith("CHEROKEE")


@pytest.mark.parametrize(
    ("name", "is_mixed"),
    [
        *[("Веn", True), ("Аna Okri", True), ("Νikos", True), ("Ben Вен", False)],
        *[("Вен", False), ("Ben 2", False), ("Ben-Вен", True), ("田中さん", False), ("", False)],
    ],
)
def test_only_a_word_in_two_alphabets_counts_as_mixed(name: str, is_mixed: bool) -> None:  # noqa: FBT001
    assert mixes_alphabets(name) is is_mixed


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        *[("王伟", "王芳", False), ("王伟", "李伟", False), ("王伟", "王伟", True)],
        *[("김철", "김민", False), ("王小明", "王小红", True), ("王小明", "王大红", False)],
        *[("김민수", "김민서", True), ("김민수", "박민지", False), ("あい", "あお", False)],
        *[("王伟", "王伟明", True), ("Bo", "Jo", True), ("王", "李", False)],
    ],
)
def test_similarity_of_names_with_few_characters(
    one: str,
    other: str,
    alike: bool,  # noqa: FBT001
) -> None:
    assert are_names_similar(one, other) is alike
