"""A year of one person's messages: silent on nearly all, and not on one slip (bench/guard)."""

import pytest

from bench.guard.measure import one_year
from bench.guard.slips import SLIPS

SEED = 20260101


@pytest.mark.threat("wrong-recipient")
def test_a_year_is_quiet_and_no_slip_passes() -> None:
    year = one_year(SEED, slips_each=200)
    assert year.ordinary > 3500
    assert year.silent >= 0.98
    assert dict(year.planted) == dict.fromkeys(SLIPS, 200)
    assert year.spoke == year.planted
