"""Tests at three isolation levels: a connection that waited for the lock sees earlier commits."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import psycopg
import pytest

from entrenous.carry.relay_rows import NewerDatabase, StoredRestore
from entrenous.carry.store.postgres import (
    RELAY_WRITE_LOCK_ID,
    PostgresConnection,
    connect_postgres,
    open_postgres,
)
from tests.carry.relays import NOON
from tests.postgres import Cluster

pytestmark = pytest.mark.real

COUNT_BLOCKED_LOCK_REQUESTS = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
)


@pytest.fixture(params=["read committed", "repeatable read", "serializable"])
def url(request: pytest.FixtureRequest, postgres: Cluster) -> str:
    """Return the URL of a new database whose default isolation level is the fixture's parameter."""
    url = postgres.create_database()
    with psycopg.connect(url, autocommit=True) as server:
        name = server.info.dbname
        server.execute(
            f"ALTER DATABASE {name} SET default_transaction_isolation = '{request.param}'"
        )
    return url


def test_transaction_group_sees_commits_made_while_it_waited(url: str) -> None:
    connect = partial(connect_postgres, url)
    with (
        closing(PostgresConnection(connect, writes=True)) as first,
        closing(PostgresConnection(connect, writes=True)) as second,
        psycopg.connect(url, autocommit=True) as server,
    ):
        first.wait_for_turn()
        tx = first.begin([])

        def commit() -> None:
            tx.put(StoredRestore(1, NOON))
            first.commit(tx)

        _run_while_blocked(second.wait_for_turn, server, commit)
        later = second.begin([])
        assert later.get(StoredRestore, 1) == StoredRestore(1, NOON)
        later.drop(StoredRestore, 1)
        second.commit(later)
        assert server.execute("SELECT count(*) FROM stored_restore").fetchone() == (0,)


def test_starting_relay_sees_a_concurrent_schema_change(url: str) -> None:
    errors: list[Exception] = []

    def start() -> None:
        try:
            open_postgres(url).close()
        except NewerDatabase as error:
            errors.append(error)

    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"SELECT pg_advisory_lock({RELAY_WRITE_LOCK_ID})")

        def change_schema_version() -> None:
            server.execute("UPDATE held_schema SET version = 9999")
            server.execute(f"SELECT pg_advisory_unlock({RELAY_WRITE_LOCK_ID})")

        _run_while_blocked(start, server, change_schema_version)
    assert len(errors) == 1


def _run_while_blocked(
    wait_for_lock: Callable[[], None],
    server: psycopg.Connection[Any],
    work_meanwhile: Callable[[], None],
) -> None:
    """Run ``work_meanwhile`` while ``wait_for_lock`` is blocked. Then wait until ``wait_for_lock``
    has ended.
    """
    thread = threading.Thread(target=wait_for_lock, daemon=True)
    thread.start()
    while server.execute(COUNT_BLOCKED_LOCK_REQUESTS).fetchone() != (1,):
        time.sleep(0.01)
    work_meanwhile()
    thread.join(20)
    assert not thread.is_alive()
