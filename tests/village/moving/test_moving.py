"""Households that move: whatever the seed, everything is where it belongs at the end.

``make test`` plays fixed seeds, and ``make nightly`` also ENTRENOUS_MOVES fresh ones. The long run:
``python -m tests.village.moving.run --runs 200``.
"""

import os
from collections import Counter
from functools import cache

import pytest

from entrenous.send.devices import device_lists, old_mailbox
from tests.village.moving.run import REPLAY_COMMAND, Outcome, run_one
from tests.village.siege.run import fresh_seeds

pytestmark = pytest.mark.slow

FRESH_SEED_COUNT = int(os.environ.get("ENTRENOUS_MOVES", "20"))
FIXED_SEEDS = (902958524, 546833148, 867786326)  # each has found a bug


def move_count(outcome: Outcome) -> int:
    return outcome.did["moves"]


play_once = cache(run_one)


@pytest.mark.parametrize(
    "seed", [*FIXED_SEEDS[:2], pytest.param(FIXED_SEEDS[2], marks=pytest.mark.nightly)]
)
def test_all_is_well_after_moves(seed: int) -> None:
    outcome = play_once(seed)
    assert not outcome.report, outcome.report
    assert move_count(outcome) > 0


@pytest.mark.nightly
def test_all_is_well_under_fresh_seeds() -> None:
    did: Counter[str] = Counter()
    for seed in fresh_seeds(FRESH_SEED_COUNT):
        print(REPLAY_COMMAND.format(seed=seed))  # noqa: T201 - shown on failure
        outcome = run_one(seed)
        assert not outcome.report, outcome.report
        did.update(outcome.did)
    assert did["sends"] > did["moves"] > 0


def test_a_seed_plays_the_same_again() -> None:
    one, other = play_once(FIXED_SEEDS[0]), run_one(FIXED_SEEDS[0])
    assert one.trace == other.trace
    assert one.did == other.did


def test_missing_records_of_former_mailboxes_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks can fail: here, no device records its contacts' former mailboxes."""
    for place in (device_lists, old_mailbox):
        monkeypatch.setattr(place, "record_former_mailboxes", lambda *_: None)
    assert any(run_one(seed).report for seed in range(3))
