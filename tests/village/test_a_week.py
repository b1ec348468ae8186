"""A week in a village, with all that its relay ever had before it: who wrote to whom is not in it.

The relay's rows at the end of each day, its log, and every request with every answer are kept. Then
the tests look for anything that joins one envelope to another, or to a sender.
"""

import base64
import itertools
import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any

import httpx
import pytest

from entrenous.adapters.courier.http import HttpCourier
from entrenous.adapters.courier.memory import _InProcess
from entrenous.craft.crypto.hashing import lock_of
from entrenous.craft.crypto.seal import SIZES
from entrenous.craft.crypto.tokens import send_token
from entrenous.craft.crypto.xwing import OVERHEAD_BYTES
from entrenous.faces.relay.app import relay_app
from entrenous.model.held import HELD, HeldEnvelope, HeldToken
from entrenous.model.secret import Secret
from entrenous.model.window import GivenWindow, RetiredWindow
from entrenous.ports import Relay
from entrenous.send.acquaintance.people import contacts, verify_contact
from entrenous.send.drawers import WINDOW_IN, WINDOW_OLD, take
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.open import open_message
from entrenous.spec import KEY_ID_BYTES
from tests.send.room_text import writes
from tests.village.world import RELAY, Village, Villager, WoundClock

NAMES = ("ana", "ben", "caro", "dan", "eva")
DAYS = 7
#: What many envelopes share because it says nothing: coarse, or only the recipient's.
COARSE = {"mailbox", "sequence", "expires_at", "due_at", "state", "opened", "opens", "used", "uses"}


@dataclass(frozen=True)
class Asked:
    """One request as the relay had it."""

    method: str
    path: str
    token: bytes | None
    headers: dict[str, str]
    body: bytes
    status: int


class Tap(httpx.BaseTransport):
    """Passes every request on, and keeps it."""

    def __init__(self, apps: dict[str, Any]) -> None:
        self._inner = _InProcess(apps)
        self.asked: list[Asked] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        answer = self._inner.handle_request(request)
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        token = unb64(bearer) if bearer else None
        path = request.url.path.removeprefix("/v1/")
        heads = {key: value for key, value in request.headers.items() if "entrenous-" in key}
        self.asked.append(Asked(request.method, path, token, heads, body, answer.status_code))
        return answer


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True)
class Night:
    """How many requests had been made by the end of a day, and how many rows were read by then."""

    asked: int
    rows: int


@dataclass(frozen=True)
class Week:
    """What the relay had before it, and what only the people know."""

    people: tuple[Villager, ...]
    asked: tuple[Asked, ...]
    rows: tuple[Any, ...]
    nights: tuple[Night, ...]
    log: str

    def tokens_of_nights(self) -> Iterator[tuple[tuple[Asked, ...], list[HeldToken]]]:
        """All requests until the end of a day, and the tokens that the relay held then."""
        for before, night in itertools.pairwise((Night(0, 0), *self.nights)):
            rows = self.rows[before.rows : night.rows]
            yield self.asked[: night.asked], [row for row in rows if isinstance(row, HeldToken)]

    def posts(self, until: int | None = None) -> list[Asked]:
        """Envelopes that were accepted, among so many requests."""
        return [
            one
            for one in self.asked[:until]
            if one.method == "PUT" and "/envelopes/" in one.path and one.status == 201
        ]

    def batches(self) -> list[dict[str, Any]]:
        return [
            json.loads(one.body)
            for one in self.asked
            if one.method == "POST" and one.path.endswith("/tokens")
        ]


def lives(day: int, people: list[Villager], clock: WoundClock) -> None:
    """Everybody writes, two of them so much that they are given further tokens on every day; all
    look, and open some.
    """
    for far in (0, 2):
        for _ in range(33):
            writes(people[far], people[1].name)
        clock.wind(seconds=61)
        fetch_messages(people[1].device)
    for place, one in enumerate(people):
        clock.wind(seconds=61)
        fetch_messages(one.device)
        for far in (1, 2, 1 + day % 3):
            writes(one, people[(place + far) % len(people)].name, text=f"day {day}, {far}")
        if day % 3 == place % 3:
            others = [other.name for other in people if other is not one]
            writes(one, *others, text="to all")
    for one in people:
        fetch_messages(one.device)
        for received in received_messages(one.device)[-2:]:
            open_message(received.name, one.device)


def rows_of(relay: Relay) -> Iterator[Any]:
    for kind in HELD:
        yield from relay.mail._desk.find(kind)  # type: ignore[attr-defined]


@cache
def week() -> Week:
    """Five people who know each other, compared keys, and write for a week."""
    village, log = Village(), list[str]()
    tap = Tap({RELAY: relay_app(village.relay)})
    courier = HttpCourier(httpx.Client(transport=tap, trust_env=False))
    people = [village.settles(name, courier) for name in NAMES]
    for one, other in itertools.combinations(people, 2):
        one.adds(other)
    for one in people:
        for contact in contacts(one.device):
            verify_contact(contact.name, one.device)
    tap.asked.clear()  # the first windows of new people are another story (known-attacks.md)
    heard = _Lines(log)
    logger = logging.getLogger("entrenous.relay")
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(heard)
    rows, nights = list[Any](), list[Night]()
    try:
        for day in range(DAYS):
            lives(day, people, village.clock)
            village.clock.wind(hours=8)
            for one in people:
                fetch_messages(one.device)
            rows.extend(rows_of(village.relay))
            nights.append(Night(len(tap.asked), len(rows)))
            village.clock.wind(hours=16)
    finally:
        logger.removeHandler(heard)
        logger.setLevel(before)
    return Week(tuple(people), tuple(tap.asked), tuple(rows), tuple(nights), "\n".join(log))


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage() + repr(getattr(record, "said", "")))


def told_with(post: Asked, everything: tuple[Asked, ...]) -> set[bytes]:
    """All that the relay was told of one envelope, by whoever posted it, but for sizes and times:
    the token, ids, locks, hashes, sealed bytes, its half of the key.
    """
    body = json.loads(post.body)
    share = body["share"] or {}
    texts = [body["sealed"], body["withdraw_lock"], *body["blobs"]]
    texts += [share[name] for name in ("value", "open_lock") if name in share]
    texts.append(post.path.rsplit("/", 1)[1])
    for one in everything:
        blob = one.path.rsplit("/", 1)[1] if "/blobs/" in one.path else None
        if one.method == "PUT" and blob in body["blobs"]:
            assert one.token == post.token  # one writer for one letter
            texts += [one.headers["entrenous-fetch-lock"], one.headers["entrenous-sha256"]]
    assert post.token is not None
    return {post.token, lock_of(Secret(post.token)), *map(unb64, texts)}


def test_it_was_a_full_week() -> None:
    assert len(week().posts()) > 200
    assert len(week().batches()) >= 10
    told = {lock for batch in week().batches() for lock in map(unb64, batch["add"])}
    shown = {lock_of(Secret(post.token)) for post in week().posts() if post.token is not None}
    assert len(told & shown) > 100
    assert all(len(received_messages(one.device)) > 20 for one in week().people)


@pytest.mark.threat("metadata")
def test_no_two_envelopes_share_anything_that_the_relay_was_told() -> None:
    seen = Counter[bytes]()
    for post in week().posts():
        seen.update(told_with(post, week().asked))
    assert [value for value, times in seen.items() if times > 1] == []


@pytest.mark.threat("metadata")
def test_nothing_is_written_down_that_joins_two_envelopes_or_names_a_token_that_was_used() -> None:
    used = {lock_of(Secret(post.token)) for post in week().posts() if post.token is not None}
    by_value: dict[bytes, set[bytes]] = {}
    for row in week().rows:
        values = {
            field.name: getattr(row, field.name)
            for field in fields(row)
            if field.name not in COARSE and not isinstance(getattr(row, field.name), datetime)
        }
        envelope = values.get("envelope")
        secrets = {
            value.reveal() if isinstance(value, Secret) else value
            for value in values.values()
            if isinstance(value, bytes | Secret)
        }
        if isinstance(row, HeldToken):
            continue
        assert not secrets & used
        if isinstance(envelope, bytes):
            for value in secrets:
                by_value.setdefault(value, set()).add(envelope)
    assert any(isinstance(row, HeldEnvelope) for row in week().rows)
    assert [value for value, envelopes in by_value.items() if len(envelopes) > 1] == []


@pytest.mark.threat("metadata")
def test_a_token_that_waits_says_no_more_than_the_day_on_which_it_came() -> None:
    came = dict[tuple[bytes, datetime, datetime | None], set[bytes]]()
    for asked, rows in week().tokens_of_nights():
        used = {
            lock_of(Secret(post.token))
            for post in week().posts(len(asked))
            if post.token is not None
        }
        assert not used & {row.lock for row in rows if row.uses == 1}
        for row in rows:
            if row.uses == 1 and row.claims == 0:
                times = (row.claims_since, row.due_at)
                assert {(at.hour, at.minute, at.second) for at in times if at} == {(0, 0, 0)}
                came.setdefault((row.mailbox, *times), set()).add(row.lock)
    batches = [frozenset(map(unb64, batch["add"])) for batch in week().batches()]
    for locks in came.values():  # whole batches, if not for what was used or dropped
        assert all(len(batch & locks) in {0, len(batch & everything(came))} for batch in batches)
    several = [sum(bool(batch & locks) for batch in batches) for locks in came.values()]
    assert max(several) >= 2  # two of one day, at different minutes, cannot be told apart


def everything(came: dict[Any, set[bytes]]) -> set[bytes]:
    """All locks that were seen in the night."""
    return {lock for locks in came.values() for lock in locks}


@pytest.mark.threat("metadata")
def test_the_log_says_what_was_done_and_never_to_whom() -> None:
    assert "post_envelope" in week().log
    for one in week().asked:
        for part in one.path.split("/"):
            if len(part) > 16:  # an id or a lock
                assert part not in week().log


def promised(people: tuple[Villager, ...]) -> dict[bytes, tuple[str, str]]:
    """Whose each lock is: the owner of the mailbox, and the person who was given its token."""
    whose = {}
    for one in people:
        kinds: tuple[tuple[str, type[Any]], ...] = (
            (WINDOW_IN, GivenWindow),
            (WINDOW_OLD, RetiredWindow),
        )
        for drawer, kind in kinds:
            for key in one.device.vault.keys(drawer):
                window = take(kind, drawer, key, one.device.vault)
                assert window is not None
                for index in range(window.first, window.until):
                    lock = lock_of(send_token(window.seed, index))
                    whose[lock] = (one.name, key.split()[0])
    return whose


@pytest.mark.threat("metadata")
def test_every_batch_of_locks_is_of_several_people_and_has_one_of_a_few_sizes() -> None:
    whose = promised(week().people)
    for batch in week().batches():
        for locks in (batch["add"], batch["drop"]):
            assert len(locks) in {0, 64, 128, 256, 512, 1024, 2048, 4096}
            assert locks == sorted(locks, key=unb64)
        given = {whose[lock] for lock in map(unb64, batch["add"]) if lock in whose}
        assert len({person for _, person in given}) >= 2
        assert len({owner for owner, _ in given}) == 1


def test_sealed_sizes_are_those_of_the_list() -> None:
    sizes = {len(unb64(json.loads(post.body)["sealed"])) for post in week().posts()}
    assert sizes <= {1 + KEY_ID_BYTES + OVERHEAD_BYTES + size for size in SIZES}


def test_a_token_claims_and_posts_for_one_envelope_only() -> None:
    shown = Counter(post.token for post in week().posts())
    assert set(shown.values()) == {1}
    claims = [one.token for one in week().asked if one.path.endswith("/claim")]
    assert len(claims) == len(set(claims))
