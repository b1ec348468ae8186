"""``entrenous sent``: how a copy's fate is described."""

from datetime import UTC, datetime

import pytest

from entrenous.device.sent_copies import Fate
from entrenous.send.commands.recall import in_words

MINUTE = datetime(2026, 11, 28, 4, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fate", "said"),
    [
        (Fate("waiting", None, signed=False), "waiting"),
        (Fate("delivered", MINUTE, signed=False), "delivered 2026-11-28T04:11:00Z"),
        (
            Fate("delivered", MINUTE, signed=True),
            "delivered in the minute 2026-11-28T04:11Z, signed by their device",
        ),
    ],
    ids=("unknown", "told", "signed"),
)
def test_signed_receipt_time_is_shown_as_a_minute(fate: Fate, said: str) -> None:
    assert in_words(fate) == said
