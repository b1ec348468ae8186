"""Names that are one slip of the fingers apart."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.send.doubts.name import resembles


def one_slip_from(word: str, letters: str) -> set[str]:
    """Everything that one letter more, less or other, or two swapped, makes of a word."""
    cuts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    less = {a + b[1:] for a, b in cuts if b}
    more = {a + letter + b for a, b in cuts for letter in letters}
    other = {a + letter + b[1:] for a, b in cuts if b for letter in letters}
    swapped = {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    return less | more | other | swapped | {word}


def test_resembles_is_exactly_one_slip() -> None:
    words = ["".join(word) for size in range(5) for word in product("ab", repeat=size)]
    for word in words:
        near = one_slip_from(word, "ab")
        assert [other for other in words if resembles(word, other)] == [
            other for other in words if other in near
        ]


@given(st.text(max_size=12), st.text(max_size=12))
def test_resemblance_is_mutual_and_everybody_resembles_themselves(one: str, other: str) -> None:
    assert resembles(one, one)
    assert resembles(one, other) == resembles(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Zoé", "ZOE\u0301"), ("ana", "a\u200dn\u200da"), ("Straße", "STRASSE"), ("fin", "ﬁn")],
)
def test_what_looks_the_same_resembles(one: str, other: str) -> None:
    assert resembles(one, other)
