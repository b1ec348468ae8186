"""The guard asks about every planted slip, and about at most 2 % of the ordinary messages.

A slip is a draft that goes where it was not meant to go (bench/guard/slips.py). ``make test``
simulates a quarter of a year's conversations; ``make nightly`` simulates three full years.
"""

import pytest

from bench.guard.measure import one_year
from bench.guard.slips import SLIPS
from bench.guard.year import CONVERSATIONS
from tests.sizes import size

SEEDS = (20260101, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in (0, 1)))
SLIPS_OF_EACH_KIND = size(25, 200)


@pytest.mark.slow
@pytest.mark.threat("wrong-recipient")
@pytest.mark.parametrize("seed", SEEDS)
def test_the_guard_is_quiet_for_a_year_and_catches_every_slip(seed: int) -> None:
    year = one_year(seed, CONVERSATIONS // size(4, 1), slips_each=SLIPS_OF_EACH_KIND)
    assert year.ordinary > size(900, 3500)
    assert year.silent >= 0.98
    assert dict(year.planted) == dict.fromkeys(SLIPS, SLIPS_OF_EACH_KIND)
    assert year.spoke == year.planted
