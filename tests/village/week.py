"""Simulate a week of five people, and record what their relay receives and stores.

The record contains the relay's rows at the end of each day, its log, and every request with the
status of its answer.
"""

import asyncio
import base64
import itertools
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from entrenous.carry.expire import expire_due
from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.relay import Relay, RowStore
from entrenous.carry.relay_rows import KEY_FIELDS, StoredToken
from entrenous.carry.store.sqlite_rows import open_sqlite
from entrenous.device.client.http_courier import HttpCourier
from entrenous.device.identities import contacts
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.open import open_message
from entrenous.send.people.keep_contacts import mark_keys_compared
from tests.deterministic import SettableClock
from tests.in_memory.courier import InProcessTransport, RunCoroutine
from tests.send.send_text import send_text
from tests.village.world import RELAY_URL, Participant, SingleRelayNetwork

PEOPLE = ("ana", "ben", "caro", "dan", "eva")
DAY_COUNT = 7


@dataclass(frozen=True)
class RecordedRequest:
    """One request as the relay received it, and the status of its answer."""

    method: str
    path: str
    token: bytes | None
    headers: dict[str, str]
    body: bytes
    status: int


class RecordingTransport(httpx.BaseTransport):
    """A transport to in-process relays that records every request."""

    def __init__(self, apps: dict[str, Any], run: RunCoroutine) -> None:
        self._inner = InProcessTransport(apps, run)
        self.requests: list[RecordedRequest] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        answer = self._inner.handle_request(request)
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        token = decode_base64url(bearer) if bearer else None
        path = request.url.path.removeprefix("/v1/")
        own_headers = {key: value for key, value in request.headers.items() if "entrenous-" in key}
        self.requests.append(
            RecordedRequest(request.method, path, token, own_headers, body, answer.status_code)
        )
        return answer


def decode_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True)
class DayEnd:
    """The total numbers of requests and of recorded rows at the end of a day."""

    requests: int
    rows: int


@dataclass(frozen=True)
class RecordedWeek:
    """The record of a relay's week, and the people, whose vaults show who wrote to whom."""

    people: tuple[Participant, ...]
    requests: tuple[RecordedRequest, ...]
    rows: tuple[Any, ...]
    days: tuple[DayEnd, ...]
    log: str

    def requests_and_tokens_by_day(
        self,
    ) -> Iterator[tuple[tuple[RecordedRequest, ...], list[StoredToken]]]:
        """For the end of each day, yield all earlier requests and the stored tokens."""
        for before, day in itertools.pairwise((DayEnd(0, 0), *self.days)):
            rows = self.rows[before.rows : day.rows]
            yield (
                self.requests[: day.requests],
                [row for row in rows if isinstance(row, StoredToken)],
            )

    def accepted_posts(self, until: int | None = None) -> list[RecordedRequest]:
        """Return the accepted posts of envelopes among the first ``until`` requests."""
        return [
            one
            for one in self.requests[:until]
            if one.method == "PUT" and "/envelopes/" in one.path and one.status == 201
        ]

    def token_batches(self) -> list[dict[str, Any]]:
        """Return the bodies of the requests that registered tokens."""
        return [
            json.loads(one.body)
            for one in self.requests
            if one.method == "POST" and one.path.endswith("/tokens")
        ]


def simulate_day(day: int, people: list[Participant], clock: SettableClock) -> None:
    """Let everybody write, fetch and open some messages for a day.

    Two people write so much to a third that this person gives them further tokens every day.
    """
    for writer_index in (0, 2):
        for _ in range(33):
            send_text(people[writer_index], people[1].name)
        clock.advance(seconds=61)
        fetch_messages(people[1].device)
    for index, one in enumerate(people):
        clock.advance(seconds=61)
        fetch_messages(one.device)
        for distance in (1, 2, 1 + day % 3):
            send_text(
                one, people[(index + distance) % len(people)].name, text=f"day {day}, {distance}"
            )
        if day % 3 == index % 3:
            others = [other.name for other in people if other is not one]
            send_text(one, *others, text="to all")
    for one in people:
        fetch_messages(one.device)
        for received in received_messages(one.device)[-2:]:
            open_message(received.name, one.device)


def stored_rows(relay: Relay, run: RunCoroutine) -> Iterator[Any]:
    """Yield all rows of a relay."""
    for kind in KEY_FIELDS:
        yield from run(relay.mail.read(lambda view, kind=kind: view.find(kind)))  # type: ignore[misc]


@dataclass(frozen=True)
class StolenCopy:
    """A stolen database file, and the mailbox, expiry and lock of each single-use token in it."""

    file: bytes
    tokens: list[tuple[bytes, int, bytes]]


def batch_numbers_by_lock(week: RecordedWeek) -> dict[bytes, int]:
    """Map the lock of each registered token to the number of the token's batch."""
    batches = enumerate(week.token_batches())
    return {
        lock: number for number, batch in batches for lock in map(decode_base64url, batch["add"])
    }


@cache
def simulate_week_on_disk() -> tuple[RecordedWeek, tuple[StolenCopy, ...]]:
    """Simulate a week with the relay's rows in an SQLite file, and copy that file every night."""
    nights = list[StolenCopy]()
    with TemporaryDirectory() as folder, asyncio.Runner() as runner:
        path = Path(folder) / "mail.db"

        def steal(relay: Relay) -> None:
            runner.run(expire_due(relay))
            nights.append(StolenCopy(path.read_bytes(), _read_single_use_tokens(path)))

        with closing(open_sqlite(path)) as mail:
            week = simulate_week(mail, runner.run, steal)
    return week, tuple(nights)


def _read_single_use_tokens(path: Path) -> list[tuple[bytes, int, bytes]]:
    """Return the single-use tokens; check that the rows of the table have no row IDs."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as stolen:
        with pytest.raises(sqlite3.OperationalError, match="no such column: rowid"):
            stolen.execute("SELECT rowid FROM stored_token")
        single_use_query = "SELECT mailbox, due_at, lock FROM stored_token WHERE uses = 1"
        return list(stolen.execute(single_use_query))


def simulate_week(
    mail: RowStore, run: RunCoroutine, end_day: Callable[[Relay], None]
) -> RecordedWeek:
    """Simulate a week of five people who know each other and have compared keys.

    ``mail`` is the store of the relay's rows, and ``run`` runs the relay's coroutines. At the end
    of each day, ``end_day`` is called with the relay.
    """
    network, log = SingleRelayNetwork(), list[str]()
    network.relay = replace(network.relay, mail=mail)
    transport = RecordingTransport({RELAY_URL: relay_app(network.relay)}, run)
    courier = HttpCourier(httpx.Client(transport=transport, trust_env=False))
    people = [network.set_up_person(name, courier) for name in PEOPLE]
    for one, other in itertools.combinations(people, 2):
        one.add_contact(other)
    for one in people:
        for contact in contacts(one.device):
            mark_keys_compared(contact.name, one.device)
    transport.requests.clear()  # leave out the first tokens of new contacts (known-attacks.md)
    rows, days = list[Any](), list[DayEnd]()
    with record_log(log):
        for day in range(DAY_COUNT):
            simulate_day(day, people, network.clock)
            network.clock.advance(hours=8)
            for one in people:
                fetch_messages(one.device)
            rows.extend(stored_rows(network.relay, run))
            days.append(DayEnd(len(transport.requests), len(rows)))
            end_day(network.relay)
            network.clock.advance(hours=16)
    return RecordedWeek(
        tuple(people), tuple(transport.requests), tuple(rows), tuple(days), "\n".join(log)
    )


@contextmanager
def record_log(log: list[str]) -> Iterator[None]:
    """Append the messages of the relays' logger to ``log``."""
    lines, logger = _LogRecorder(log), logging.getLogger("entrenous.relay")
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(lines)
    try:
        yield
    finally:
        logger.removeHandler(lines)
        logger.setLevel(before)


class _LogRecorder(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage() + repr(getattr(record, "said", "")))
