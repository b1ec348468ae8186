"""Dates of changes for partners: late commits, concurrent processes and deletion of old dates."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.stop.exchange_nouns import ChangeTime
from entrenous.stop.exchange_serving import (
    change_number_before,
    newest_change_number,
    unix_seconds,
    unix_seconds_of_changes,
    update_exchange_state,
)
from tests.deterministic import SettableClock
from tests.stop.exchange.exchange_for_tests import ExchangeSetup, MemoryFeed, fake_hash


@given(st.lists(st.integers(1, 500), max_size=30, unique=True), st.integers(0, 520))
def test_newest_change_number_is_found_from_any_known_number(
    change_numbers: list[int], known_number: int
) -> None:
    feed = MemoryFeed(SettableClock())
    for number in sorted(change_numbers):
        feed.last_number = number - 1
        feed.put_claim(f"c{number}", fake_hash(number))
    assert newest_change_number(feed, known_number) == max([known_number, *change_numbers])


def test_search_without_new_changes_takes_one_query(exchange_setup: ExchangeSetup) -> None:
    exchange_setup.feed.put_claim("a", fake_hash(1))
    start_numbers = list[int]()
    changes = exchange_setup.feed.changes
    exchange_setup.feed.changes = lambda after, limit: (
        start_numbers.append(after),
        changes(after, limit),
    )[1]  # type: ignore[method-assign]
    assert newest_change_number(exchange_setup.feed, 1) == 1
    assert start_numbers == [1]


def test_first_change_time_is_that_of_the_newest_change(exchange_setup: ExchangeSetup) -> None:
    exchange_setup.feed.put_claim("a", fake_hash(1))
    made_s = unix_seconds(exchange_setup.clock.now())
    exchange_setup.clock.advance(hours=3)
    assert update_exchange_state(exchange_setup.exchange) == ChangeTime(made_s, 1)


def test_change_in_a_second_already_dated_gets_the_next_second(
    exchange_setup: ExchangeSetup,
) -> None:
    exchange_setup.feed.put_claim("a", fake_hash(1))
    first = update_exchange_state(exchange_setup.exchange)
    exchange_setup.feed.put_claim("b", fake_hash(2))
    assert update_exchange_state(exchange_setup.exchange) == first
    exchange_setup.clock.advance(seconds=1)
    assert update_exchange_state(exchange_setup.exchange) == ChangeTime(first.at_s + 1, 2)


def test_late_commit_is_dated_after_queried_times(exchange_setup: ExchangeSetup) -> None:
    exchange_setup.feed.put_claim("a", fake_hash(1))
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=10)
    asked_s = unix_seconds(exchange_setup.clock.now())
    update_exchange_state(exchange_setup.exchange)
    assert change_number_before(asked_s, exchange_setup.exchange) == 1
    exchange_setup.clock.advance(seconds=-9)
    # A process whose clock is behind writes this claim.
    exchange_setup.feed.put_claim("late", fake_hash(2))
    exchange_setup.clock.advance(seconds=20)
    update_exchange_state(exchange_setup.exchange)
    assert change_number_before(asked_s, exchange_setup.exchange) == 1
    assert unix_seconds_of_changes([2], exchange_setup.exchange)[0] >= asked_s


def test_start_time_in_the_future_starts_from_the_first_change(
    exchange_setup: ExchangeSetup,
) -> None:
    exchange_setup.feed.put_claim("a", fake_hash(1))
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=5)
    now_s = unix_seconds(exchange_setup.clock.now())
    assert change_number_before(now_s, exchange_setup.exchange) == 1
    assert change_number_before(now_s + 3600, exchange_setup.exchange) == 0


def test_old_change_times_are_dropped_without_skipping_changes(
    exchange_setup: ExchangeSetup,
) -> None:
    for number in range(1, 6):
        exchange_setup.feed.put_claim(f"c{number}", fake_hash(number))
        update_exchange_state(exchange_setup.exchange)
        exchange_setup.clock.advance(days=60)
    oldest = exchange_setup.exchange.served.change_times_between(0, 5)[0]
    # The changes are 60 days apart. At the last update, change 3 was the newest change older than
    # 100 days, so only the times of earlier changes were dropped.
    assert oldest.number == 3
    assert change_number_before(oldest.at_s, exchange_setup.exchange) == 0
    assert change_number_before(oldest.at_s + 1, exchange_setup.exchange) == 3


def test_change_time_of_a_concurrent_process_wins(
    exchange_setup: ExchangeSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange_setup.feed.put_claim("a", fake_hash(1))
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=5)
    exchange_setup.feed.put_claim("b", fake_hash(2))
    store = type(exchange_setup.exchange.served)
    add_change_time = store.add_change_time

    def add_after_other_process(self: Any, change_time: ChangeTime, drop_before_s: int) -> None:
        # The first call dates change 2, as another process would. The second call is the real one,
        # which dates change 3.
        add_change_time(self, change_time, drop_before_s)
        add_change_time(self, replace(change_time, number=3), drop_before_s)

    newest = newest_change_number(exchange_setup.feed, 1)
    exchange_setup.feed.put_claim("c", fake_hash(3))
    monkeypatch.setattr(
        store,
        "add_change_time",
        lambda self, change_time, before: add_after_other_process(
            self, replace(change_time, number=newest), before
        ),
    )
    seen = update_exchange_state(exchange_setup.exchange)
    assert seen == exchange_setup.exchange.served.newest_change_time() == ChangeTime(seen.at_s, 2)
    assert unix_seconds_of_changes([2], exchange_setup.exchange) == [seen.at_s]


def test_change_times_that_do_not_increase_are_ignored(exchange_setup: ExchangeSetup) -> None:
    served = exchange_setup.exchange.served
    served.add_change_time(ChangeTime(100, 5), 0)
    for ignored in (ChangeTime(100, 6), ChangeTime(99, 7), ChangeTime(101, 5)):
        served.add_change_time(ignored, 0)
    assert served.newest_change_time() == ChangeTime(100, 5)
