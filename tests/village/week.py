"""Simulate a week in a village, and record what its relay receives and stores: its rows at the end
of each day, its log, and every request with the status of its answer.
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
from tests.send.room_text import send_text
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
    """A transport that passes every request on, and records it."""

    def __init__(self, apps: dict[str, Any], run: RunCoroutine) -> None:
        self._inner = InProcessTransport(apps, run)
        self.asked: list[RecordedRequest] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        answer = self._inner.handle_request(request)
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        token = decode_base64url(bearer) if bearer else None
        path = request.url.path.removeprefix("/v1/")
        heads = {key: value for key, value in request.headers.items() if "entrenous-" in key}
        self.asked.append(
            RecordedRequest(request.method, path, token, heads, body, answer.status_code)
        )
        return answer


def decode_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True)
class DayEnd:
    """The number of requests, and of recorded rows, until the end of a day."""

    requests: int
    rows: int


@dataclass(frozen=True)
class RecordedWeek:
    """A record of the relay, and the people, who know more."""

    people: tuple[Participant, ...]
    requests: tuple[RecordedRequest, ...]
    rows: tuple[Any, ...]
    days: tuple[DayEnd, ...]
    log: str

    def tokens_of_days(self) -> Iterator[tuple[tuple[RecordedRequest, ...], list[StoredToken]]]:
        """Yield, for each day, all requests until its end and the tokens that were stored then."""
        for before, day in itertools.pairwise((DayEnd(0, 0), *self.days)):
            rows = self.rows[before.rows : day.rows]
            yield (
                self.requests[: day.requests],
                [row for row in rows if isinstance(row, StoredToken)],
            )

    def posts(self, until: int | None = None) -> list[RecordedRequest]:
        """Return the posts of envelopes that were accepted, among the first ``until`` requests."""
        return [
            one
            for one in self.requests[:until]
            if one.method == "PUT" and "/envelopes/" in one.path and one.status == 201
        ]

    def batches(self) -> list[dict[str, Any]]:
        return [
            json.loads(one.body)
            for one in self.requests
            if one.method == "POST" and one.path.endswith("/tokens")
        ]


def simulate_day(day: int, people: list[Participant], clock: SettableClock) -> None:
    """Let everybody write, fetch and open some messages for a day.

    Two people write so much that they are given further tokens every day.
    """
    for far in (0, 2):
        for _ in range(33):
            send_text(people[far], people[1].name)
        clock.advance(seconds=61)
        fetch_messages(people[1].device)
    for place, one in enumerate(people):
        clock.advance(seconds=61)
        fetch_messages(one.device)
        for far in (1, 2, 1 + day % 3):
            send_text(one, people[(place + far) % len(people)].name, text=f"day {day}, {far}")
        if day % 3 == place % 3:
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
    """What a thief takes in a night: the file, and mailbox, expiry and lock of each token in it."""

    file: bytes
    tokens: list[tuple[bytes, int, bytes]]


def batch_numbers_by_lock(week: RecordedWeek) -> dict[bytes, int]:
    """Map each lock to the number of its batch, which a thief of rows must not learn."""
    batches = enumerate(week.batches())
    return {
        lock: number for number, batch in batches for lock in map(decode_base64url, batch["add"])
    }


@cache
def simulate_week_on_disk() -> tuple[RecordedWeek, tuple[StolenCopy, ...]]:
    """Simulate the week with the relay's rows in a file, which a thief copies every night."""
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
    """Return the tokens that are for one letter; check that no row has a number."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as stolen:
        with pytest.raises(sqlite3.OperationalError, match="no such column: rowid"):
            stolen.execute("SELECT rowid FROM stored_token")
        asked = "SELECT mailbox, due_at, lock FROM stored_token WHERE uses = 1"
        return list(stolen.execute(asked))


def simulate_week(
    mail: RowStore, run: RunCoroutine, end_day: Callable[[Relay], None]
) -> RecordedWeek:
    """Simulate a week of five people who know each other and have compared keys.

    The relay's rows are in ``mail``; ``run`` runs the relay's coroutines.
    """
    village, log = SingleRelayNetwork(), list[str]()
    village.relay = replace(village.relay, mail=mail)
    tap = RecordingTransport({RELAY_URL: relay_app(village.relay)}, run)
    courier = HttpCourier(httpx.Client(transport=tap, trust_env=False))
    people = [village.set_up_person(name, courier) for name in PEOPLE]
    for one, other in itertools.combinations(people, 2):
        one.add_contact(other)
    for one in people:
        for contact in contacts(one.device):
            mark_keys_compared(contact.name, one.device)
    tap.asked.clear()  # not about the first tokens of new contacts (known-attacks.md)
    rows, days = list[Any](), list[DayEnd]()
    with record_log(log):
        for day in range(DAY_COUNT):
            simulate_day(day, people, village.clock)
            village.clock.advance(hours=8)
            for one in people:
                fetch_messages(one.device)
            rows.extend(stored_rows(village.relay, run))
            days.append(DayEnd(len(tap.asked), len(rows)))
            end_day(village.relay)
            village.clock.advance(hours=16)
    return RecordedWeek(tuple(people), tuple(tap.asked), tuple(rows), tuple(days), "\n".join(log))


@contextmanager
def record_log(log: list[str]) -> Iterator[None]:
    """Append the messages of a relay's log to ``log``."""
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
