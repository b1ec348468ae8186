"""Tests of a simulated week with rows in PostgreSQL, and with a thief who reads these rows.

Every night, the thief reads the rows of the single-use tokens, and finds out which transaction
wrote each row.
"""

import asyncio
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from entrenous.carry.expire import expire_due
from entrenous.carry.relay import Relay
from entrenous.carry.store.postgres import open_postgres
from tests.postgres import Cluster
from tests.village import test_a_week
from tests.village.week import batch_numbers_by_lock, simulate_week

WEEK_TESTS = (
    test_a_week.test_week_has_enough_traffic,
    test_a_week.test_no_two_envelopes_share_an_identifying_value,
    test_a_week.test_stored_rows_link_no_envelopes_and_contain_no_used_token,
    test_a_week.test_an_unused_token_reveals_only_the_day_of_its_registration,
    test_a_week.test_the_log_names_requests_but_no_ids_or_locks,
)


@pytest.mark.nightly
@pytest.mark.real
def test_stolen_postgresql_rows_reveal_each_batch(postgres: Cluster) -> None:
    """The rows reveal each batch, because a PostgreSQL row names the transaction that wrote it."""
    url, nights = postgres.create_database(), list[list[set[bytes]]]()
    with asyncio.Runner() as runner, closing(open_postgres(url)) as mail:

        def steal(relay: Relay) -> None:
            runner.run(expire_due(relay))
            nights.append(list(locks_by_transaction(url)))

        week = simulate_week(mail, runner.run, steal)
    for check in WEEK_TESTS:
        check(week)
    batch_numbers = batch_numbers_by_lock(week)
    batch_sets = [
        {batch_numbers.get(lock) for lock in locks} for night in nights for locks in night
    ]
    assert len(batch_sets) > 20
    assert all(len(batches) == 1 for batches in batch_sets)


def locks_by_transaction(url: str) -> Iterator[set[bytes]]:
    """Yield the locks of single-use tokens, one set for each transaction that wrote such tokens."""
    query = "SELECT array_agg(lock) FROM stored_token WHERE uses = 1 GROUP BY xmin::text"
    with psycopg.connect(url) as stolen:
        for (locks,) in stolen.execute(query):
            yield set(map(bytes, locks))
