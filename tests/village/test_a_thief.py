"""The week of test_a_week.py with the relay's rows in PostgreSQL, and a thief who copies them.

The thief reads the rows every night, and what the database stores with them: the numbers of the
transactions that wrote them.
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

# An event loop wakes itself through a pair of sockets.
pytestmark = pytest.mark.usefixtures("socket_enabled")

TESTS_OF_ROWS = (
    test_a_week.test_week_has_enough_traffic,
    test_a_week.test_no_two_envelopes_share_anything_that_the_relay_was_told,
    test_a_week.test_nothing_is_written_down_that_joins_two_envelopes_or_names_a_token_that_was_used,
    test_a_week.test_a_token_that_waits_says_no_more_than_the_day_on_which_it_came,
    test_a_week.test_the_log_says_what_was_done_and_never_to_whom,
)


@pytest.mark.nightly
@pytest.mark.real
def test_a_thief_of_a_postgresql_learns_each_batch(postgres: Cluster) -> None:
    """A known attack: PostgreSQL stores the number of the transaction with every row it wrote."""
    url, nights = postgres.create_database(), list[list[set[bytes]]]()
    with asyncio.Runner() as runner, closing(open_postgres(url)) as mail:

        def steal(relay: Relay) -> None:
            runner.run(expire_due(relay))
            nights.append(list(written_together(url)))

        week = simulate_week(mail, runner.run, steal)
    for holds in TESTS_OF_ROWS:
        holds(week)
    batch = batch_numbers_by_lock(week)
    together = [{batch.get(lock) for lock in locks} for night in nights for locks in night]
    assert len(together) > 20
    assert all(len(batches) == 1 for batches in together)


def written_together(url: str) -> Iterator[set[bytes]]:
    """Yield the locks of single-use tokens, one set for each transaction that wrote some."""
    asked = "SELECT array_agg(lock) FROM stored_token WHERE uses = 1 GROUP BY xmin::text"
    with psycopg.connect(url) as stolen:
        for (locks,) in stolen.execute(asked):
            yield set(map(bytes, locks))
