"""Wake-ups for all processes that share one PostgreSQL database, by LISTEN and NOTIFY."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from entrenous.base.identifiers import ID_BYTES, MailboxId
from entrenous.carry.relay_settings import WakeLimits
from entrenous.carry.wake_ups import LocalWakeUps

_NOTIFY_CHANNEL: Final = "entrenous_bell"
_CLOSING_CHECK_INTERVAL_S: Final = 0.5
_RECONNECT_INTERVAL_S: Final = 1.0
_UNSENT_WAKE_UPS_MAX: Final = (
    10_000  # at most this many wake-ups are kept while the database is unreachable
)
OpenConnection = Callable[[], psycopg.Connection[Any]]


class PostgresWakeUps:
    """Implements :class:`.relay.WakeUps`; ``connect`` opens an autocommitting connection."""

    def __init__(self, connect: OpenConnection, bounds: WakeLimits | None = None) -> None:
        self._connect = connect
        self._local = LocalWakeUps(bounds)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rung: queue.Queue[MailboxId | None] = queue.Queue(maxsize=_UNSENT_WAKE_UPS_MAX)
        self._ended = threading.Event()
        self._listening = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep_running_with_database, args=(work,), daemon=True)
            for work in (self._listen_to_database, self._notify_database)
        ]
        for thread in self._threads:
            thread.start()

    def wake(self, mailbox: MailboxId) -> None:
        self._local.wake(mailbox)
        with contextlib.suppress(queue.Full):
            self._rung.put_nowait(mailbox)

    @contextmanager
    def listen(
        self, mailbox: MailboxId, network: bytes = b""
    ) -> Iterator[Callable[[float], Awaitable[bool]]]:
        self._loop = asyncio.get_running_loop()
        with self._local.listen(mailbox, network) as rings:
            yield rings

    def make_room(self) -> bool:
        return self._local.make_room()

    def stop_waiting(self) -> None:
        """Wake all listeners in this process, the only one that is stopping."""
        self._local.stop_waiting()

    def is_listening(self, seconds: float) -> bool:
        """Wait at most that long; return whether this process is listening to the database."""
        return self._listening.wait(seconds)

    def close(self) -> None:
        self._ended.set()
        with contextlib.suppress(queue.Full):
            self._rung.put_nowait(None)
        for thread in self._threads:
            thread.join()

    def _keep_running_with_database(self, work: Callable[[psycopg.Connection[Any]], None]) -> None:
        """Run ``work`` on a connection; if the connection is lost, run it again on a new one."""
        while not self._ended.is_set():
            with contextlib.suppress(psycopg.Error), self._connect() as connection:
                work(connection)
            self._ended.wait(_RECONNECT_INTERVAL_S)

    def _listen_to_database(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(f"LISTEN {_NOTIFY_CHANNEL}")
        self._listening.set()
        while not self._ended.is_set():
            for notice in connection.notifies(timeout=_CLOSING_CHECK_INTERVAL_S):
                self._wake_locally(notice.payload)
                if self._ended.is_set():
                    return

    def _wake_locally(self, untrusted_payload: str) -> None:
        with contextlib.suppress(ValueError, RuntimeError):  # not hexadecimal, or the loop closed
            mailbox = MailboxId(bytes.fromhex(untrusted_payload))
            if len(mailbox) == ID_BYTES and self._loop is not None:
                self._loop.call_soon_threadsafe(self._local.wake, mailbox)

    def _notify_database(self, connection: psycopg.Connection[Any]) -> None:
        while not self._ended.is_set():
            rung = {self._rung.get()}
            with contextlib.suppress(queue.Empty):
                while len(rung) < _UNSENT_WAKE_UPS_MAX:
                    rung.add(self._rung.get_nowait())
            # None, the last of them, wakes this process's other thread: it need not wait to end.
            told = [_NOTIFY_CHANNEL, ["" if mailbox is None else mailbox.hex() for mailbox in rung]]
            connection.execute("SELECT pg_notify(%s, one) FROM unnest(%s::text[]) one", told)
