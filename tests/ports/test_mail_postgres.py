"""What only the PostgreSQL store has: an address, and commits that are seen before the disk."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from entrenous.adapters.mail.postgres import PostgresMail, open_postgres
from entrenous.model.held import HeldLetter
from entrenous.model.ids import EnvelopeId, MailboxId
from entrenous.model.relay_settings import BadDatabaseAddress
from entrenous.wiring.relay import postgres_fault
from tests.carry.relays import NOON
from tests.postgres import Cluster, cluster

# An event loop wakes itself through a pair of sockets.
pytestmark = pytest.mark.usefixtures("socket_enabled")

LETTER = HeldLetter(EnvelopeId(b"E" * 16), MailboxId(b"M" * 16), 1, b"sealed", NOON)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter%zz2@127.0.0.1:1/db",
        "postgresql://u:hunter2@[::1/db",
        "postgresql://u@127.0.0.1:1/db?hunter2=hunter2",
        "postgresql://u:hunter2@127.0.0.1:1/\ud800",
    ],
)
def test_an_address_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(BadDatabaseAddress) as caught:
        open_postgres(url)
    assert "`database`" in str(caught.value)
    assert "hunter" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)
    fault = postgres_fault(url)
    assert fault is not None
    assert "hunter" not in fault


@pytest.fixture(scope="module")
def lazy() -> Iterator[Cluster]:
    """A server that writes its log to the disk when it is asked to, and seldom else."""
    with cluster("-c wal_writer_delay=10s -c wal_writer_flush_after=1GB") as made:
        yield made


@pytest.mark.real
def test_what_another_relay_committed_is_durable_before_it_is_told(
    lazy: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one has not flushed its log yet; who looks here is answered after that."""
    url, go = lazy.fresh(), threading.Event()
    with (
        closing(open_postgres(url)) as writer,
        closing(open_postgres(url)) as reader,
        psycopg.connect(url, autocommit=True) as server,
    ):

        async def story() -> None:
            monkeypatch.setattr(writer._writer._line, "sync", lambda _: go.wait(20))
            putting = asyncio.create_task(writer.together(lambda desk: desk.put(LETTER)))
            while not _ask(server, "SELECT count(*) FROM held_letter"):  # noqa: ASYNC110 -- a database
                await asyncio.sleep(0.01)
            place = _ask(server, "SELECT pg_current_wal_insert_lsn()::text")
            behind = f"SELECT pg_current_wal_flush_lsn() < '{place}'"
            assert _ask(server, behind)
            assert await _letters(reader) == [LETTER]
            assert not _ask(server, behind)
            assert not putting.done()
            go.set()
            await putting

        asyncio.run(story())


def _ask(server: psycopg.Connection[Any], question: Any) -> Any:
    (answer,) = server.execute(question).fetchone() or (None,)
    return answer


async def _letters(store: PostgresMail) -> list[HeldLetter]:
    return await store.look(lambda view: view.find(HeldLetter))
