"""A verdict in words: never more certain than the figures."""

from hypothesis import given
from hypothesis import strategies as st

from entrenous.model.verdict import Warp
from entrenous.trace.words import how_it_lies, in_digits, odds, rounded_up

SQUARE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@given(st.floats(1e-77, 1.0), st.integers(1, 6))
def test_a_chance_is_never_shown_smaller_than_it_is(chance: float, digits: int) -> None:
    shown = rounded_up(chance, digits)
    assert chance <= shown <= min(1.0, chance * (1 + 10.0 ** (1 - digits)) * (1 + 1e-9))


@given(st.floats(1e-77, 1.0))
def test_digits_say_no_less(chance: float) -> None:
    assert float(in_digits(chance).removeprefix("below ")) >= chance


def test_the_odds_never_say_too_much() -> None:
    assert "once in 100 million tries" in odds(9.9e-9)
    assert "once in 1 million tries" in odds(9.9e-7)
    assert "a million billion" in odds(1e-40)


def test_how_it_lies() -> None:
    assert how_it_lies(Warp(SQUARE, 1.0, 0.0, mirrored=False, scale=1.0)) == "the whole of it"
    cut = Warp(SQUARE, 0.712, -10.2, mirrored=True, scale=0.5)
    assert how_it_lies(cut) == "cropped to 71 %, mirrored, turned by 10 degrees"
