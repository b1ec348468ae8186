"""Tests of verdicts: ``name_by_scores``, and refused scores, shares, homographies and spans."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.errors import NotFound
from entrenous.base.identifiers import RecipientId
from entrenous.watermark.verdict import (
    Finding,
    MatchedSpan,
    NothingToWeigh,
    PictureWarp,
    name_by_scores,
)

scores = st.dictionaries(st.text(min_size=1).map(RecipientId), st.floats(-40, 400), min_size=1)
IDENTITY_HOMOGRAPHY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
ANA, BEN, CARO = RecipientId("ana"), RecipientId("ben"), RecipientId("caro")


def test_one_high_score_names_one_copy() -> None:
    verdict = name_by_scores({ANA: 9.1, BEN: 0.3})
    assert verdict.finding is Finding.ONE
    assert verdict.named == (ANA,)
    assert verdict.score == {ANA: 9.1, BEN: 0.3}
    assert verdict.chance[BEN] > 0.9


def test_two_high_scores_name_two_copies_highest_first() -> None:
    verdict = name_by_scores({ANA: 90.0, BEN: 0.3, CARO: 350.0})
    assert verdict.finding is Finding.SEVERAL
    assert verdict.named == (CARO, ANA)


def test_nobody_stands_out_among_ordinary_scores() -> None:
    verdict = name_by_scores({ANA: 2.1, BEN: -0.3})
    assert verdict.finding is Finding.NOBODY
    assert verdict.named == ()


def test_no_scores_raise_nothing_to_weigh() -> None:
    with pytest.raises(NothingToWeigh, match="no sent copy to compare") as refusal:
        name_by_scores({})
    assert isinstance(refusal.value, NotFound)


def test_naming_among_a_thousand_copies_needs_a_score_of_about_6_2() -> None:
    assert name_by_scores({ANA: 6.1}, compared=1000).finding is Finding.NOBODY
    assert name_by_scores({ANA: 6.3}, compared=1000).finding is Finding.ONE


def test_chance_counts_all_compared_copies() -> None:
    alone = name_by_scores({ANA: 5.5}).chance[ANA]
    among = name_by_scores({ANA: 5.5}, compared=500).chance[ANA]
    assert among == pytest.approx(500 * alone, rel=1e-4)
    with pytest.raises(ValueError, match="compared"):
        name_by_scores({ANA: 5.5, BEN: 0.0}, compared=1)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0, math.nan])
def test_an_invalid_alpha_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        name_by_scores({ANA: 1.0}, alpha=alpha)


@pytest.mark.parametrize("invalid_score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_refused(invalid_score: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        name_by_scores({ANA: invalid_score})


@pytest.mark.parametrize(
    ("visible_share", "valid"), [(0, True), (1, True), (-0.01, False), (1.01, False)]
)
def test_the_visible_share_is_between_0_and_1(visible_share: float, *, valid: bool) -> None:
    with nullcontext() if valid else pytest.raises(ValueError, match="share"):
        PictureWarp(IDENTITY_HOMOGRAPHY, visible_share, 0.0, mirrored=False, scale=1.0)


def test_a_homography_has_nine_numbers() -> None:
    with pytest.raises(ValueError, match="9 numbers"):
        PictureWarp(IDENTITY_HOMOGRAPHY[:8], 1.0, 0.0, mirrored=False, scale=1.0)


def test_a_span_may_be_a_single_frame() -> None:
    assert MatchedSpan(0.0, 0.0, 0.5).length_s == 0.0


@pytest.mark.parametrize(("length_s", "speed"), [(-0.1, 1.0), (1.0, 0.0), (1.0, -1.0)])
def test_a_span_without_length_or_speed_is_refused(length_s: float, speed: float) -> None:
    with pytest.raises(ValueError, match="a length and a speed"):
        MatchedSpan(0.0, length_s, speed)


@given(scores)
def test_a_chance_is_never_zero_and_never_above_one(given_scores: dict[RecipientId, float]) -> None:
    verdict = name_by_scores(given_scores)
    assert all(0.0 < chance <= 1.0 for chance in verdict.chance.values())
    loudness = [given_scores[who] for who in verdict.named]
    assert loudness == sorted(loudness, reverse=True)


@pytest.mark.slow
@given(scores, st.floats(0, 30))
def test_an_additional_score_never_lowers_a_chance(
    given_scores: dict[RecipientId, float], extra_score: float
) -> None:
    before = name_by_scores(given_scores).chance
    after = name_by_scores({**given_scores, RecipientId(""): extra_score}).chance
    assert all(after[who] >= before[who] for who in given_scores)


@pytest.mark.slow
@pytest.mark.threat("innocent-named")
def test_innocent_copies_are_named_no_more_often_than_alpha() -> None:
    crowds = np.random.default_rng(7).normal(size=(4000, 20))
    named = sum(
        name_by_scores({RecipientId(str(i)): z for i, z in enumerate(crowd)}, alpha=0.05).finding
        is not Finding.NOBODY
        for crowd in crowds.tolist()
    )
    assert named / len(crowds) < 0.05 + 4 * math.sqrt(0.05 * 0.95 / len(crowds))
