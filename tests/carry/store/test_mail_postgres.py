"""Tests of the PostgreSQL store: address, schema, lock, connections, flushes, combined pages."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from entrenous.base.errors import DatabaseAway
from entrenous.base.identifiers import EnvelopeId, MailboxId
from entrenous.carry.open_relay import find_postgres_fault
from entrenous.carry.relay_rows import NewerDatabase, OlderDatabase, StoredLetter, UnusedDatabase
from entrenous.carry.store.postgres import (
    RELAY_WRITE_LOCK_ID,
    PostgresConnection,
    PostgresRows,
    connect_postgres,
    open_postgres,
)
from entrenous.carry.store.tables import SCHEMA_VERSION, build_schema
from entrenous.serving.postgres_address import BadDatabaseAddress
from tests.carry.relays import NOON
from tests.postgres import Cluster, run_cluster

STORED_LETTER = StoredLetter(EnvelopeId(b"E" * 16), MailboxId(b"M" * 16), 1, b"sealed", NOON)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter%zz2@127.0.0.1:1/db",
        "postgresql://u:hunter2@[::1/db",
        "postgresql://u@127.0.0.1:1/db?hunter2=hunter2",
        "postgresql://u:hunter2@127.0.0.1:1/\ud800",
        "postgresql://u@127.0.0.1:hunter2/db",
        "postgresql://u@127.0.0.1:70000/db",
        "postgresql://u@127.0.0.1:1,127.0.0.2:-1/db",
    ],
)
def test_error_about_an_invalid_database_address_contains_no_password(url: str) -> None:
    with pytest.raises(BadDatabaseAddress) as error:
        open_postgres(url)
    assert "`database`" in str(error.value)
    assert "hunter" not in str(error.value)
    assert (error.value.__cause__, error.value.__suppress_context__) == (None, True)
    fault = find_postgres_fault(url)
    assert fault is not None
    assert "hunter" not in fault


@pytest.fixture
def empty_database_url(postgres: Cluster) -> str:
    """Return the URL of a database without any table."""
    name = f"empty{next(postgres.database_numbers)}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}".encode())
    return postgres.url(name)


def table_names(url: str) -> set[str]:
    listed = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    with psycopg.connect(url) as server:
        return {name for (name,) in server.execute(listed.encode())}


@pytest.mark.real
def test_only_a_relays_start_creates_postgresql_tables(empty_database_url: str) -> None:
    with pytest.raises(UnusedDatabase, match="entrenous relay run"):
        open_postgres(empty_database_url, create=False)
    assert find_postgres_fault(empty_database_url) is None
    assert table_names(empty_database_url) == set()
    open_postgres(empty_database_url).close()
    assert table_names(empty_database_url) == {"held_schema", *build_schema().tables}
    open_postgres(empty_database_url, create=False).close()


@pytest.mark.real
def test_relays_starting_concurrently_create_the_tables_once(empty_database_url: str) -> None:
    opened: list[PostgresRows] = []
    threads = [
        threading.Thread(target=lambda: opened.append(open_postgres(empty_database_url)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == len(threads)
    for mail in opened:
        mail.close()
    with psycopg.connect(empty_database_url) as server:
        assert server.execute("SELECT version FROM held_schema").fetchall() == [(SCHEMA_VERSION,)]


@pytest.mark.real
@pytest.mark.parametrize(
    ("schema_change", "error_type", "advice"),
    [
        (
            f"UPDATE held_schema SET version = {SCHEMA_VERSION - 1}",
            OlderDatabase,
            "Use the version that",
        ),
        ("DROP TABLE held_schema", OlderDatabase, "Use the version that"),
        (
            f"UPDATE held_schema SET version = {SCHEMA_VERSION + 1}",
            NewerDatabase,
            "Update Entrenous",
        ),
    ],
)
@pytest.mark.parametrize("create", [True, False])
def test_other_or_missing_schema_version_is_refused_and_unchanged(
    postgres: Cluster, schema_change: str, error_type: type[Exception], advice: str, *, create: bool
) -> None:
    url = postgres.create_database()
    with psycopg.connect(url) as server:
        server.execute(schema_change.encode())
        server.execute("DROP TABLE stored_key_bundle")
    before = table_names(url)
    with pytest.raises(error_type):
        open_postgres(url, create=create)
    assert table_names(url) == before
    fault = find_postgres_fault(url)
    assert fault is not None
    assert advice in fault


@pytest.fixture(scope="module")
def slow_flushing_server() -> Iterator[Cluster]:
    """Yield a server that flushes its log only on request or after ten seconds."""
    with run_cluster("-c wal_writer_delay=10s -c wal_writer_flush_after=1GB") as server:
        yield server


@pytest.mark.real
def test_another_relays_commit_is_durable_before_it_is_returned(
    slow_flushing_server: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read flushes a commit that the other relay has not flushed yet."""
    url, may_flush = slow_flushing_server.create_database(), threading.Event()
    with (
        closing(open_postgres(url)) as writer,
        closing(open_postgres(url)) as reader,
        psycopg.connect(url, autocommit=True) as server,
    ):

        async def run_scenario() -> None:
            monkeypatch.setattr(writer._writer._connection, "sync", lambda _: may_flush.wait(20))
            write = asyncio.create_task(writer.transact(lambda tx: tx.put(STORED_LETTER)))
            while not _query_scalar(server, "SELECT count(*) FROM stored_letter"):  # noqa: ASYNC110 -- polls a database
                await asyncio.sleep(0.01)
            position = _query_scalar(server, "SELECT pg_current_wal_insert_lsn()::text")
            is_unflushed = f"SELECT pg_current_wal_flush_lsn() < '{position}'"
            assert _query_scalar(server, is_unflushed)
            assert await _all_letters(reader) == [STORED_LETTER]
            assert not _query_scalar(server, is_unflushed)
            assert not write.done()
            may_flush.set()
            await write

        asyncio.run(run_scenario())


@pytest.mark.real
def test_event_loop_runs_while_another_relay_holds_the_lock(slow_flushing_server: Cluster) -> None:
    """Reads are answered while the lock is held; writes are made after it is released."""
    url = slow_flushing_server.create_database()
    with (
        closing(open_postgres(url)) as store,
        psycopg.connect(url, autocommit=True) as other,
    ):

        async def run_scenario() -> None:
            other.execute(f"SELECT pg_advisory_lock({RELAY_WRITE_LOCK_ID})")
            writes = [
                asyncio.create_task(store.transact(lambda tx, one=one: tx.put(one)))
                for one in (
                    STORED_LETTER,
                    replace(STORED_LETTER, envelope=EnvelopeId(b"F" * 16), sequence=2),
                )
            ]
            for _ in range(20):
                assert await asyncio.wait_for(_all_letters(store), 5) == []
            assert not any(task.done() for task in writes)
            other.execute(f"SELECT pg_advisory_unlock({RELAY_WRITE_LOCK_ID})")
            await asyncio.wait_for(asyncio.gather(*writes), 10)
            assert len(await _all_letters(store)) == 2

        asyncio.run(run_scenario())


@pytest.mark.real
def test_lock_is_retaken_after_its_connection_is_lost(slow_flushing_server: Cluster) -> None:
    """The connection is lost after it got the lock and before a transaction begins."""
    url = slow_flushing_server.create_database()
    with (
        psycopg.connect(url, autocommit=True) as other,
        closing(PostgresConnection(partial(connect_postgres, url), writes=True)) as connection,
    ):
        connection.wait_for_turn()
        assert connection.can_begin_at_once()
        assert _query_scalar(other, f"SELECT pg_try_advisory_lock({RELAY_WRITE_LOCK_ID})") is False
        connection._flushing.close()
        connection._flushing = None
        assert not connection.can_begin_at_once()
        tx = connection.begin([])
        assert _query_scalar(other, f"SELECT pg_try_advisory_lock({RELAY_WRITE_LOCK_ID})") is False
        tx.put(STORED_LETTER)
        connection.commit(tx)
        assert _query_scalar(other, f"SELECT pg_try_advisory_lock({RELAY_WRITE_LOCK_ID})") is True
        assert _query_scalar(other, "SELECT count(*) FROM stored_letter") == 1


@pytest.mark.real
def test_connection_left_without_its_partner_is_closed(slow_flushing_server: Cluster) -> None:
    """A PostgresConnection opens two connections. If the second fails, the next call opens both."""
    url = slow_flushing_server.create_database()
    attempts: list[psycopg.Connection[Any] | None] = []

    def connect() -> psycopg.Connection[Any]:
        attempts.append(None if len(attempts) == 3 else connect_postgres(url))
        if (connection := attempts[-1]) is None:
            raise psycopg.OperationalError("too many clients already")
        return connection

    with closing(PostgresConnection(connect, writes=True)) as connection:
        connection.close()
        assert connection.execute_alone("SELECT 1") == [(1,)]
        assert [one is None or bool(one.closed) for one in attempts] == [*[True] * 4, False, False]


@pytest.mark.real
def test_stopping_relay_does_not_wait_for_an_unreachable_database(
    slow_flushing_server: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempted = threading.Event()

    def raise_operational_error() -> psycopg.Connection[Any]:
        attempted.set()
        raise psycopg.OperationalError("the server is starting up")

    async def run_scenario() -> float:
        store = open_postgres(slow_flushing_server.create_database())
        connection = store._lines[1]
        monkeypatch.setattr(connection, "_connect", raise_operational_error)
        connection.close()
        waiting = asyncio.create_task(_all_letters(store))
        await asyncio.to_thread(attempted.wait, 20)
        began = time.monotonic()
        await asyncio.to_thread(store.close)
        with pytest.raises(DatabaseAway):
            await waiting
        return time.monotonic() - began

    # If ``close`` did not stop the retries, the read would wait for twelve seconds.
    assert asyncio.run(run_scenario()) < 6


@pytest.mark.real
def test_combined_pages_are_returned_in_the_order_requested(slow_flushing_server: Cluster) -> None:
    """The pages have different starts and limits; one is empty, and two begin with the same row."""
    boxes = [MailboxId(bytes([number]) * 16) for number in range(5)]
    page_limits = [
        (3, 0, 9, 99),
        (1, 1, 9, 99),
        (4, 0, 9, 99),
        (0, 0, 2, 99),
        (3, 2, 1, 99),
        (3, 0, 9, 7),
    ]
    reads = [
        lambda view, box=box, after=after, limits=limits: view.find_letters(
            boxes[box], after, NOON - timedelta(hours=1), *limits
        )
        for box, after, *limits in page_limits
    ]
    with closing(open_postgres(slow_flushing_server.create_database())) as store:

        async def run_scenario() -> list[list[tuple[int, int]]]:
            for box in boxes[:4]:
                for sequence in range(3, 0, -1):
                    name = EnvelopeId(box[:8] + bytes([sequence]) * 8)
                    one = StoredLetter(name, box, sequence, b"sealed", NOON)
                    await store.transact(lambda tx, one=one: tx.put(one))
            pages = await asyncio.gather(*(store.read(look, look) for look in reads))
            return [[(one.mailbox[0], one.sequence) for one in page] for page in pages]

        pages = asyncio.run(run_scenario())
    assert pages == [
        [(3, 1), (3, 2), (3, 3)],
        [(1, 2), (1, 3)],
        [],
        [(0, 1), (0, 2)],
        [(3, 3)],
        [(3, 1), (3, 2)],
    ]


def _query_scalar(server: psycopg.Connection[Any], query: Any) -> Any:
    (answer,) = server.execute(query).fetchone() or (None,)
    return answer


async def _all_letters(store: PostgresRows) -> list[StoredLetter]:
    return await store.read(lambda view: view.find(StoredLetter))
