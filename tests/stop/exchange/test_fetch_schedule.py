"""When a source is due for a fetch: intervals, clock jumps, failures and running fetches."""

from datetime import UTC, datetime, timedelta

import pytest

from entrenous.stop.exchange_fetch import FetchSchedule
from entrenous.stop.exchange_nouns import Checkpoint

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
NEVER_FETCHED = Checkpoint()


def checkpoint_after_fetch(age: timedelta) -> Checkpoint:
    return Checkpoint(1, whole_at=NOW - age)


def test_source_is_due_after_the_interval() -> None:
    schedule = FetchSchedule(HOUR)
    assert schedule.is_due("new", NEVER_FETCHED, NOW)
    assert not schedule.is_due("fresh", checkpoint_after_fetch(HOUR * 0.9), NOW)
    assert schedule.is_due("old", checkpoint_after_fetch(HOUR), NOW)


def test_fetch_schedule_tolerates_clock_jumps() -> None:
    schedule = FetchSchedule(HOUR)
    assert not schedule.is_due("a little ahead", checkpoint_after_fetch(-HOUR * 0.1), NOW)
    assert schedule.is_due("from next year", checkpoint_after_fetch(-timedelta(days=365)), NOW)


def test_repeated_failures_back_off_per_source() -> None:
    schedule = FetchSchedule(HOUR)
    waits = [schedule.record_failure("broken", NOW) / HOUR for _ in range(40)]
    assert waits[:5] == [1, 2, 4, 6, 6]
    assert waits[-1] == 6
    assert not schedule.is_due("broken", NEVER_FETCHED, NOW + HOUR * 5.9)
    assert schedule.is_due("broken", NEVER_FETCHED, NOW + HOUR * 6)
    assert schedule.is_due("sound", NEVER_FETCHED, NOW)
    schedule.record_success("broken")
    assert schedule.is_due("broken", NEVER_FETCHED, NOW)
    assert schedule.record_failure("broken", NOW) == HOUR


@pytest.mark.parametrize("interval", [timedelta(seconds=3), timedelta(days=2)])
def test_backoff_is_never_shorter_than_the_interval(interval: timedelta) -> None:
    schedule = FetchSchedule(interval)
    waits = [schedule.record_failure("broken", NOW) for _ in range(20)]
    assert waits[0] == interval
    assert waits[-1] == max(interval, HOUR * 6)


def test_failure_while_the_clock_was_ahead_delays_no_fetch() -> None:
    schedule = FetchSchedule(HOUR)
    schedule.record_failure("broken", NOW + timedelta(days=30))
    schedule.record_running_elsewhere("theirs", NOW + timedelta(days=30))
    assert schedule.is_due("broken", NEVER_FETCHED, NOW)
    assert schedule.is_due("theirs", NEVER_FETCHED, NOW)
    schedule.record_failure("broken", NOW)
    assert not schedule.is_due("broken", NEVER_FETCHED, NOW - timedelta(seconds=1))


def test_fetch_by_another_process_is_no_failure() -> None:
    schedule = FetchSchedule(HOUR)
    schedule.record_running_elsewhere("theirs", NOW)
    assert not schedule.is_due("theirs", NEVER_FETCHED, NOW + timedelta(seconds=59))
    assert schedule.is_due("theirs", NEVER_FETCHED, NOW + timedelta(minutes=1))
    assert schedule.record_failure("theirs", NOW) == HOUR
