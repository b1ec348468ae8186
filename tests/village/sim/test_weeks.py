"""Weeks under faults: whatever the seed, nothing is lost, doubled, or opened against its terms.

``make test`` plays fixed seeds, and ``make nightly`` also ENTRENOUS_SIMULATIONS fresh ones. The
long run: ``python -m tests.village.sim.run --runs 200``.
"""

import os
from collections import Counter

import pytest

from tests.village.siege.run import fresh_seeds
from tests.village.sim.faults import Fate
from tests.village.sim.run import REPLAY_COMMAND, run_one

pytestmark = pytest.mark.slow

FRESH_SEED_COUNT = int(os.environ.get("ENTRENOUS_SIMULATIONS", "20"))
SHARD_COUNT = 4  # tests that share the fresh seeds, so that they can run in parallel
WEEKS = 0.4
#: Each has found a bug.
FIXED_SEEDS = (2, 6, pytest.param(12, marks=pytest.mark.nightly))


@pytest.mark.parametrize("seed", FIXED_SEEDS)
def test_all_is_well_after_weeks_under_faults(seed: int) -> None:
    outcome = run_one(seed)
    assert not outcome.report, outcome.report
    assert outcome.steps > 50


@pytest.mark.nightly
@pytest.mark.parametrize("turn", range(SHARD_COUNT))
def test_all_is_well_under_fresh_seeds(turn: int) -> None:
    did: Counter[str] = Counter()
    for seed in fresh_seeds(FRESH_SEED_COUNT)[turn::SHARD_COUNT]:
        print(REPLAY_COMMAND.format(seed=seed, weeks=WEEKS, steps=-1))  # noqa: T201 - shown on failure
        outcome = run_one(seed, WEEKS)
        assert not outcome.report, outcome.report
        did.update(outcome.did)
    assert did["greets: done"] > 0
    assert did["kept its word"] > did["greets: done"]


def test_a_seed_plays_the_same_again() -> None:
    one, other = run_one(12, 0.3), run_one(12, 0.3)
    assert one.trace == other.trace
    assert one.did == other.did
    assert one.did["fetches: dies"] + one.did["sends: dies"] > 0
    assert one.did[Fate.LATE] > 0
