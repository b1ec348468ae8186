"""The expiry of a message is rounded to a whole hour near the requested time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.limits import EXPIRY_DAYS_MAX
from entrenous.send.clock_sanity import rounded_expiry
from tests.deterministic import SettableClock
from tests.send.send_device import Network

timestamps = st.integers(0, 366 * 86_400).map(
    lambda s: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=s)
)


@pytest.fixture(scope="module")
def network() -> Network:
    network = Network()
    network.set_up_person("ana")
    return network


@given(timestamps, st.integers(1, EXPIRY_DAYS_MAX))
def test_expiry_is_a_whole_hour_near_the_requested_time(
    network: Network, now: datetime, days: int
) -> None:
    until = rounded_expiry(days, replace(network["ana"].device, clock=SettableClock(now)))
    assert (until.minute, until.second, until.microsecond) == (0, 0, 0)
    assert abs(until - now - timedelta(days=days)) <= timedelta(hours=1)
    assert until <= now + timedelta(days=EXPIRY_DAYS_MAX)
    if days < EXPIRY_DAYS_MAX:
        assert until > now + timedelta(days=days)
