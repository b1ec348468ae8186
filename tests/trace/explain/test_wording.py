"""Tests of the words for chances, ratios, findings, alignments, scales and matched parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.trace.explain.wording import (
    NO_SUPPORT_WORDS,
    chance_in_digits,
    chance_in_words,
    chance_rounded_up,
    describe_alignment,
    describe_matched_span,
    describe_scale,
    explain_nobody_named,
    likelihood_ratio_in_digits,
    likelihood_ratio_in_words,
    support_in_words,
)
from entrenous.watermark.verdict import MatchedSpan, PictureWarp

IDENTITY_HOMOGRAPHY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@given(st.floats(1e-77, 1.0), st.integers(1, 6))
def test_a_chance_is_never_shown_smaller_than_it_is(chance: float, digits: int) -> None:
    shown = chance_rounded_up(chance, digits)
    assert chance <= shown <= min(1.0, chance * (1 + 10.0 ** (1 - digits)) * (1 + 1e-9))


@given(st.floats(1e-77, 1.0))
def test_digits_never_show_a_smaller_chance(chance: float) -> None:
    assert float(chance_in_digits(chance).removeprefix("below ")) >= chance


def test_chance_in_words_is_rounded_up() -> None:
    assert "once in 100 million tries" in chance_in_words(9.9e-9)
    assert "once in 1 million tries" in chance_in_words(9.9e-7)
    assert "a million billion" in chance_in_words(1e-40)


@given(st.floats(0.5, 2.0**256))
def test_a_ratio_is_never_shown_larger_than_it_is(ratio: float) -> None:
    shown = likelihood_ratio_in_digits(ratio)
    if shown == "below 2":
        assert ratio < 2.0
    else:
        least = float(shown.removeprefix("above "))
        assert least <= ratio * (1 + 1e-9)
        assert ratio < 1.2 * least or shown.startswith("above")


@pytest.mark.parametrize(
    ("ratio", "support"),
    [
        (0.5, NO_SUPPORT_WORDS),
        (1.99, NO_SUPPORT_WORDS),
        (2.0, "weak support"),
        (10.0, "moderate support"),
        (100.0, "moderately strong support"),
        (999.9, "moderately strong support"),
        (1e3, "strong support"),
        (1e4, "very strong support"),
        (1e6, "extremely strong support"),
        (2.0**256, "extremely strong support"),
    ],
)
def test_support_follows_the_scale(ratio: float, support: str) -> None:
    assert support_in_words(ratio) == support


def test_likelihood_ratio_in_words_is_rounded_down() -> None:
    assert "more than 7 times" in likelihood_ratio_in_words(7.9)
    assert "more than 1 million times" in likelihood_ratio_in_words(9.9e6)
    assert "a million billion times" in likelihood_ratio_in_words(1e70)
    assert "about as likely" in likelihood_ratio_in_words(0.5)


@given(st.floats(-5.0, 400.0), st.floats(4.5, 9.0))
def test_finding_of_nobody_never_clears_anybody(forecast: float, required_score: float) -> None:
    said = explain_nobody_named(forecast, required_score)
    assert "clears nobody" in said
    assert ("Enough seems to be left in this file to find" in said) == (
        forecast >= required_score + 2.0
    )


def test_required_pixels_grow_with_the_square_of_the_score_ratio() -> None:
    assert "about 4 times as many pixels" in explain_nobody_named(4.0, 6.0)
    assert "about 16 times as many pixels" in explain_nobody_named(2.0, 6.0)
    assert "Next to nothing" in explain_nobody_named(0.01, 6.0)


def test_alignment_is_described_in_words() -> None:
    assert (
        describe_alignment(PictureWarp(IDENTITY_HOMOGRAPHY, 1.0, 0.0, mirrored=False, scale=1.0))
        == "the whole of it"
    )
    cut = PictureWarp(IDENTITY_HOMOGRAPHY, 0.712, -10.2, mirrored=True, scale=0.5)
    assert describe_alignment(cut) == "cropped to 71 %, mirrored, turned by 10 degrees"


def test_scale_is_described_in_words() -> None:
    assert describe_scale(1.004) == "the same size as sent"
    assert describe_scale(0.5) == "shown at 50 % of the size it was sent in"


def test_matched_part_of_a_clip_is_described_in_words() -> None:
    assert (
        describe_matched_span(MatchedSpan(12.34, 5.0)) == "5.0 s of it, from 12.3 s after its start"
    )
    assert describe_matched_span(MatchedSpan(3.0, 0.0)) == "one frame, 3.0 s after its start"
    assert describe_matched_span(MatchedSpan(0.0, 9.0, 0.98)).endswith("played 2.0 % slower")
    # 1.2 % of 4 s is about 0.05 s, too little to be called a change of speed.
    assert (
        describe_matched_span(MatchedSpan(0.0, 4.0 * 0.988, 0.988))
        == "4.0 s of it, from 0.0 s after its start"
    )
