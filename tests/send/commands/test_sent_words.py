"""Test of how ``entrenous sent`` describes the state of a copy."""

from datetime import UTC, datetime

import pytest

from entrenous.device.sent_copies import CopyState
from entrenous.send.commands.recall import describe_copy_state

RECEIPT_TIME = datetime(2026, 11, 28, 4, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (CopyState("waiting", None, signed=False), "waiting"),
        (CopyState("delivered", RECEIPT_TIME, signed=False), "delivered 2026-11-28T04:11:00Z"),
        (
            CopyState("delivered", RECEIPT_TIME, signed=True),
            "delivered in the minute 2026-11-28T04:11Z, signed by their device",
        ),
    ],
    ids=("no time", "time from the relay", "signed"),
)
def test_copy_state_is_described_with_the_precision_of_its_time(
    state: CopyState, expected: str
) -> None:
    assert describe_copy_state(state) == expected
