"""Tests of ``remove_copies``: scores of removed, remaining and innocent copies."""

from typing import Any

import numpy as np
import pytest

from entrenous.watermark.detector import ChipEvidence, copy_scores, remove_copies
from entrenous.watermark.embed import embed_mark
from tests.watermark.detect import detect_mark


@pytest.fixture(scope="module")
def evidence_of_two_copies(chelsea: Any) -> ChipEvidence:
    copies = [embed_mark(chelsea.prepared, one, chelsea.dither) for one in chelsea.streams[:2]]
    mean = np.rint(np.mean([copy.astype(np.float64) for copy in copies], axis=0))
    covered = np.ones(mean.shape[:2], np.bool_)
    return detect_mark(mean.astype(np.uint8), covered, chelsea.prepared)


def test_removing_no_copy_changes_nothing(evidence_of_two_copies: ChipEvidence) -> None:
    assert remove_copies(evidence_of_two_copies, []) is evidence_of_two_copies


def test_removed_copy_scores_low_and_the_other_copy_higher(
    evidence_of_two_copies: ChipEvidence, chelsea: Any
) -> None:
    before = copy_scores(evidence_of_two_copies, chelsea.streams[:2])
    after = copy_scores(
        remove_copies(evidence_of_two_copies, chelsea.streams[:1]), chelsea.streams[:2]
    )
    assert before.min() > 50.0
    assert abs(after[0]) < 0.2 * before[0]
    assert after[1] > 1.1 * before[1]


def test_innocent_scores_stay_fair_after_removing_named_copies(
    evidence_of_two_copies: ChipEvidence, chelsea: Any
) -> None:
    rng = np.random.default_rng(17)
    size = len(chelsea.streams[0])
    alone = remove_copies(evidence_of_two_copies, chelsea.streams[:2])
    drawn = copy_scores(alone, (rng.bytes(size) for _ in range(2000)))
    assert abs(drawn.mean()) < 4.0 / np.sqrt(2000)
    assert abs(drawn.var() - 1.0) < 4.0 * np.sqrt(2.0 / 2000)
    assert np.abs(drawn).max() < 4.75


def test_removing_a_copy_twice_equals_removing_it_once(
    evidence_of_two_copies: ChipEvidence, chelsea: Any
) -> None:
    one = chelsea.streams[0]
    once, twice = (
        remove_copies(evidence_of_two_copies, [one]),
        remove_copies(evidence_of_two_copies, [one, one]),
    )
    assert np.allclose(once.per_chip, twice.per_chip, atol=1e-5 * np.abs(once.per_chip).max())


def test_removing_copies_from_empty_evidence_leaves_none(chelsea: Any) -> None:
    silent = ChipEvidence(np.zeros(chelsea.prepared.layout.chip_count, np.float32), 0.0)
    assert remove_copies(silent, chelsea.streams[:2]).strength == 0.0
