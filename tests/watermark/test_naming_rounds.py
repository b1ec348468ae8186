"""Tests of ``name_in_rounds``: chances, fainter copies, alpha, false namings, refusals."""

from collections.abc import Collection, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.identifiers import RecipientId
from entrenous.watermark.likelihood import chance_that_any_scores, upper_tail
from entrenous.watermark.verdict import Finding, NothingToWeigh, name_by_scores, name_in_rounds

Scores = Mapping[RecipientId, float]


def recipient(number: int) -> RecipientId:
    return RecipientId(f"r{number}")


def scores_by_recipient(*scores: float) -> Scores:
    return {recipient(i): z for i, z in enumerate(scores)}


def approx_chance(chance: float) -> object:
    """Return an object that equals this chance up to rounding.

    The default absolute tolerance of ``pytest.approx``, 1e-12, is too large for small chances.
    """
    return pytest.approx(chance, rel=1e-12, abs=0.0)


def test_first_round_gives_twice_the_chance_of_a_single_round() -> None:
    verdict = name_in_rounds(lambda _: scores_by_recipient(9.0, 1.0, -3.0))
    assert verdict.finding is Finding.ONE
    assert verdict.named == (recipient(0),)
    assert verdict.chance[recipient(0)] == approx_chance(
        2 * chance_that_any_scores(3, upper_tail(9.0))
    )


def test_fainter_copy_is_named_after_the_stronger_copy_is_removed() -> None:
    def score(removed: Collection[RecipientId]) -> Scores:
        return scores_by_recipient(
            30.0,
            8.0 if recipient(0) in removed else 4.0,
            7.9 if recipient(1) in removed else 3.0,
            0.5,
        )

    verdict = name_in_rounds(score)
    assert verdict.named == (recipient(0), recipient(1), recipient(2))
    assert verdict.finding is Finding.SEVERAL
    assert verdict.score[recipient(1)] == 8.0
    assert verdict.chance[recipient(1)] == approx_chance(
        4 * chance_that_any_scores(4, upper_tail(8.0))
    )
    assert verdict.chance[recipient(2)] == approx_chance(
        8 * chance_that_any_scores(4, upper_tail(7.9))
    )
    assert verdict.score[recipient(3)] == 0.5


def test_later_rounds_spend_a_smaller_share_of_alpha() -> None:
    just = 4.0
    while 2 * chance_that_any_scores(3, upper_tail(just)) > 1e-6:
        just += 0.001

    def score_after_removal(removed: Collection[RecipientId]) -> Scores:
        return scores_by_recipient(20.0, just if removed else 0.0, 0.0)

    assert name_in_rounds(lambda _: scores_by_recipient(just, 0.0, 0.0)).named == (recipient(0),)
    assert name_in_rounds(score_after_removal).named == (recipient(0),)


def test_no_second_round_when_the_first_names_nobody() -> None:
    asked: list[tuple[RecipientId, ...]] = []

    def score(removed: Collection[RecipientId]) -> Scores:
        asked.append(tuple(removed))
        return scores_by_recipient(1.0, 2.0)

    assert name_in_rounds(score).finding is Finding.NOBODY
    assert asked == [()]


def test_scores_of_named_copies_are_ignored() -> None:
    def score(removed: Collection[RecipientId]) -> Scores:
        return scores_by_recipient(-50.0 if removed else 12.0, 1.0)

    verdict = name_in_rounds(score)
    assert verdict.named == (recipient(0),)
    assert verdict.score[recipient(0)] == 12.0


@given(st.lists(st.floats(-5.0, 40.0), min_size=1, max_size=12))
def test_unchanged_scores_name_no_more_than_one_round(scores: list[float]) -> None:
    one, rounds = (
        name_by_scores(scores_by_recipient(*scores)),
        name_in_rounds(lambda _: scores_by_recipient(*scores)),
    )
    assert set(rounds.named) <= set(one.named)
    assert all(rounds.chance[name] >= one.chance[name] for name in rounds.chance)


def test_innocents_are_named_no_more_often_than_alpha_says() -> None:
    """Each round draws new scores of innocents. Alpha is so large that some innocents are named."""
    rng, alpha, runs = np.random.default_rng(5), 0.2, 3000

    def score(_: Collection[RecipientId]) -> Scores:
        return scores_by_recipient(40.0, *rng.normal(size=4))

    wrong = sum(len(name_in_rounds(score, alpha=alpha).named) > 1 for _ in range(runs))
    assert 0 < wrong / runs < alpha


def test_invalid_arguments_are_refused() -> None:
    with pytest.raises(NothingToWeigh):
        name_in_rounds(lambda _: {})
    with pytest.raises(ValueError, match="alpha"):
        name_in_rounds(lambda _: scores_by_recipient(1.0), alpha=0.0)
    with pytest.raises(ValueError, match="compared"):
        name_in_rounds(lambda _: scores_by_recipient(1.0, 2.0), compared=1)
