"""How often a gate fetches from a source, and how long it waits after failures."""

from datetime import UTC, datetime, timedelta

import pytest

from entrenous.stop.exchange_fetch import FetchSchedule
from entrenous.stop.exchange_nouns import Checkpoint

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
NEVER = Checkpoint()


def read(ago: timedelta) -> Checkpoint:
    return Checkpoint(1, whole_at=NOW - ago)


def test_a_source_is_due_when_its_time_has_come() -> None:
    rounds = FetchSchedule(HOUR)
    assert rounds.is_due("new", NEVER, NOW)
    assert not rounds.is_due("fresh", read(HOUR * 0.9), NOW)
    assert rounds.is_due("old", read(HOUR), NOW)


def test_fetch_schedule_tolerates_clock_jumps() -> None:
    rounds = FetchSchedule(HOUR)
    assert not rounds.is_due("a little ahead", read(-HOUR * 0.1), NOW)
    assert rounds.is_due("from next year", read(-timedelta(days=365)), NOW)


def test_repeated_failures_back_off_per_source() -> None:
    rounds = FetchSchedule(HOUR)
    waits = [rounds.record_failure("broken", NOW) / HOUR for _ in range(40)]
    assert waits[:5] == [1, 2, 4, 6, 6]
    assert waits[-1] == 6
    assert not rounds.is_due("broken", NEVER, NOW + HOUR * 5.9)
    assert rounds.is_due("broken", NEVER, NOW + HOUR * 6)
    assert rounds.is_due("sound", NEVER, NOW)
    rounds.record_success("broken")
    assert rounds.is_due("broken", NEVER, NOW)
    assert rounds.record_failure("broken", NOW) == HOUR


@pytest.mark.parametrize("every", [timedelta(seconds=3), timedelta(days=2)])
def test_backoff_is_never_shorter_than_the_interval(every: timedelta) -> None:
    rounds = FetchSchedule(every)
    waits = [rounds.record_failure("broken", NOW) for _ in range(20)]
    assert waits[0] == every
    assert waits[-1] == max(every, HOUR * 6)


def test_fetch_by_another_process_is_no_failure() -> None:
    rounds = FetchSchedule(HOUR)
    rounds.record_running_elsewhere("theirs", NOW)
    assert not rounds.is_due("theirs", NEVER, NOW + timedelta(seconds=59))
    assert rounds.is_due("theirs", NEVER, NOW + timedelta(minutes=1))
    assert rounds.record_failure("theirs", NOW) == HOUR
