"""Tests of simulated weeks with faults: no invariant is violated, and a seed determines the run.

``make test`` runs fixed seeds. ``make nightly`` also runs new seeds; ENTRENOUS_SIMULATIONS sets
their number. For more seeds, run ``python -m tests.village.sim.run --runs 200``.
"""

import os
from collections import Counter

import pytest

from tests.village.siege.run import new_seeds
from tests.village.sim.faults import Fate
from tests.village.sim.run import REPLAY_COMMAND, run_one

pytestmark = pytest.mark.slow

NEW_SEED_COUNT = int(os.environ.get("ENTRENOUS_SIMULATIONS", "20"))
SHARD_COUNT = 4  # the number of parallel tests that share the new seeds
WEEKS = 0.4
#: Each of these seeds has found a bug.
FIXED_SEEDS = (2, 6, pytest.param(12, marks=pytest.mark.nightly))


@pytest.mark.parametrize("seed", FIXED_SEEDS)
def test_weeks_under_faults_violate_no_invariant(seed: int) -> None:
    outcome = run_one(seed)
    assert not outcome.report, outcome.report
    assert outcome.steps > 50


@pytest.mark.nightly
@pytest.mark.parametrize("shard", range(SHARD_COUNT))
def test_new_seeds_violate_no_invariant(shard: int) -> None:
    step_counts: Counter[str] = Counter()
    for seed in new_seeds(NEW_SEED_COUNT)[shard::SHARD_COUNT]:
        print(REPLAY_COMMAND.format(seed=seed, weeks=WEEKS, steps=-1))  # noqa: T201 - shown on failure
        outcome = run_one(seed, WEEKS)
        assert not outcome.report, outcome.report
        step_counts.update(outcome.step_counts)
    assert step_counts["greet_everybody: done"] > 0
    assert step_counts["kept its word"] > step_counts["greet_everybody: done"]


def test_one_seed_gives_the_same_run_twice() -> None:
    first, second = run_one(12, 0.3), run_one(12, 0.3)
    assert first.trace == second.trace
    assert first.step_counts == second.step_counts
    assert first.step_counts["fetch: dies"] + first.step_counts["send: dies"] > 0
    assert first.step_counts[Fate.LATE] > 0
