"""Tests of households that move: no message or contact is lost, and a deliberate bug is detected.

``make test`` runs fixed seeds. ``make nightly`` also runs new seeds; ENTRENOUS_MOVES sets their
number. ``python -m tests.village.moving.run --runs 200`` runs 200 seeds.
"""

import os
from collections import Counter
from functools import cache

import pytest

from entrenous.send.devices import device_lists, old_mailbox
from tests.village.moving.run import REPLAY_COMMAND, Outcome, run_one
from tests.village.siege.run import new_seeds

pytestmark = pytest.mark.slow

NEW_SEED_COUNT = int(os.environ.get("ENTRENOUS_MOVES", "20"))
FIXED_SEEDS = (902958524, 546833148, 867786326)  # each has found a bug


def move_count(outcome: Outcome) -> int:
    return outcome.step_counts["move"]


run_cached = cache(run_one)


@pytest.mark.parametrize(
    "seed", [*FIXED_SEEDS[:2], pytest.param(FIXED_SEEDS[2], marks=pytest.mark.nightly)]
)
def test_moves_lose_no_message_and_no_contact(seed: int) -> None:
    outcome = run_cached(seed)
    assert not outcome.report, outcome.report
    assert move_count(outcome) > 0


@pytest.mark.nightly
def test_new_seeds_lose_no_message_and_no_contact() -> None:
    step_counts: Counter[str] = Counter()
    for seed in new_seeds(NEW_SEED_COUNT):
        print(REPLAY_COMMAND.format(seed=seed))  # noqa: T201 - shown on failure
        outcome = run_one(seed)
        assert not outcome.report, outcome.report
        step_counts.update(outcome.step_counts)
    assert step_counts["send"] > step_counts["move"] > 0


def test_one_seed_gives_the_same_steps_twice() -> None:
    one, other = run_cached(FIXED_SEEDS[0]), run_one(FIXED_SEEDS[0])
    assert one.trace == other.trace
    assert one.step_counts == other.step_counts


def test_missing_records_of_former_mailboxes_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no device records former mailboxes, at least one of three seeds must report a fault."""
    for module in (device_lists, old_mailbox):
        monkeypatch.setattr(module, "record_former_mailboxes", lambda *_: None)
    assert any(run_one(seed).report for seed in range(3))
