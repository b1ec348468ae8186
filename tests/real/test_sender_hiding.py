"""The way a message arrives does not tell a relay who sent it (docs/spec/relay.md, section 14).

Fifty people send 1,000 messages (in ``make test``, 20 people send 300) through a relay that records
every connection, session ticket, cookie and header. The owners' tokens tell the relay who reads
which mailbox. For each message, the sender is guessed from the relay's records. Network addresses
and times are left out, because a device cannot hide them by itself.
"""

import json
import random
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import pytest

from entrenous.base.identifiers import RecipientId
from entrenous.base.secret import Secret
from entrenous.carry.http.relay_app import relay_app
from entrenous.crypto.oprf import SCALAR_RANDOM_BYTES, blind, scalar_from_random
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.device.device import Courier, Device
from entrenous.device.identities import own_device
from entrenous.device.store.ledger import VaultLedger
from entrenous.media.picture_reader import read_picture
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.letter import prekeys
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.open import open_message
from entrenous.send.send import send_message
from entrenous.send.set_up import set_up
from entrenous.send.status import query_sent_messages
from entrenous.wire.encodings import to_base64url
from entrenous.wire.relay_nouns import RelayLock, VaultUnlock
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.courier import memory_courier
from tests.in_memory.vault import MemoryVault
from tests.real.hostile import HostileRelay, RecordedRequest, run_hostile_relay
from tests.serving.certificates import write_certificate_files
from tests.sizes import size
from tests.village.relay import relay_with_courier
from tests.village.world import Participant

pytestmark = pytest.mark.real

PEOPLE_COUNT: Final = size(20, 50)
MESSAGE_COUNT: Final = size(300, 1000)
RIGHT_GUESS_CHANCE: Final = 1 / (PEOPLE_COUNT - 1)  # the recipient is not a candidate
#: If the guesses by one feature are random, the share of right guesses exceeds this limit about
#: once in a million runs.
RIGHT_GUESS_SHARE_MAX: Final = (
    RIGHT_GUESS_CHANCE
    + 5.5 * (RIGHT_GUESS_CHANCE * (1 - RIGHT_GUESS_CHANCE) / MESSAGE_COUNT) ** 0.5
)
_LONG_VALUE: Final = re.compile(r"[A-Za-z0-9_-]{16,}")  # an id, a token, a lock or a key
_OWNER_REQUEST_PATH: Final = re.compile(
    r"/v1/mailboxes/([A-Za-z0-9_-]{22})/(?:envelopes\?|lock/opened|tokens$)"
)
_POST_PATH: Final = re.compile(r"/v1/mailboxes/([A-Za-z0-9_-]{22})/envelopes/")


@dataclass
class Person(Participant):
    lock: RelayLock
    generation: int = 0

    def run_command(self, courier: Courier, work: Callable[[Device], object]) -> None:
        """Run one command: report to the relay that the vault was unlocked, then call ``work``."""
        device, home = replace(self.device, courier=courier), own_device(self.device).home
        if self.generation % 5 == 0:  # a real command does this every time
            scalar = scalar_from_random(device.random_source.token(SCALAR_RANDOM_BYTES))
            courier.unlock(self.lock, blind(Secret(bytes(32)), scalar))
        self.generation += 1
        opening = VaultUnlock(self.generation, device.random_source.token(16))
        courier.report_vault_unlock(home.relay_url, home.mailbox, home.owner, opening)
        work(device)


@dataclass(frozen=True)
class SentMessage:
    """All requests with the send token of one post. The relay does not know ``sender``."""

    requests: tuple[RecordedRequest, ...]
    sender: str
    recipient: str


@dataclass
class RelayLog:
    """The relay's records, the sent messages, and people's names by mailbox."""

    recorded_requests: list[RecordedRequest]
    messages: list[SentMessage]
    names_by_mailbox: dict[str, str]

    def own_requests(self) -> Iterator[tuple[str, RecordedRequest]]:
        """Yield each request that an owner sends to their own mailbox, with the owner's name."""
        for one in self.recorded_requests:
            own = _OWNER_REQUEST_PATH.match(one.target)
            if own is not None and one.method in {"GET", "POST"}:
                yield self.names_by_mailbox[own[1]], one


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayLog]:
    patch = pytest.MonkeyPatch()
    patch.setattr(prekeys, "ONE_TIME_KEYS_MAX", 2)  # creating more keys takes long
    pair = write_certificate_files(tmp_path_factory.mktemp("tls"))
    with run_hostile_relay(pair) as relay:
        people = set_up_people(relay)
        yield run_commands(people, relay, lambda: new_relay_client(pair.cert))
    patch.undo()


def set_up_people(relay: HostileRelay) -> list[Person]:
    """Set up the people, each with four contacts. This traffic is not recorded."""
    clock, url = SettableClock(), f"https://127.0.0.1:{relay.port}"
    real, _ = relay_with_courier(url, clock, SeededRandomSource("relay"))
    relay.app = relay_app(real)
    near = memory_courier({url: relay.app})
    people = [set_up_person(f"person {number}", url, near, clock) for number in range(PEOPLE_COUNT)]
    for place, one in enumerate(people):
        for far in (1, 7):
            one.add_contact(people[(place + far) % PEOPLE_COUNT])
    return people


def set_up_person(name: str, url: str, courier: Courier, clock: SettableClock) -> Person:
    vault, random_source = MemoryVault(), SeededRandomSource(name)
    device = Device(clock, random_source, vault, VaultLedger(vault), courier, read_picture)
    set_up(name, url, device)
    home = own_device(device).home
    lock = RelayLock(url, home.mailbox, Secret(random_source.token(32)))
    courier.create_lock(lock, home.owner)
    return Person(name, device, vault, lock)


def run_commands(
    people: list[Person], relay: HostileRelay, client: Callable[[], httpx.Client]
) -> RelayLog:
    """Run the commands that send all messages, and return what the relay recorded."""
    rng, posts = random.Random(24), list[tuple[RecordedRequest, str, str]]()
    names = {to_base64url(own_device(one.device).home.mailbox): one.name for one in people}
    for number in range(MESSAGE_COUNT):
        place = rng.randrange(PEOPLE_COUNT)
        one, other = people[place], people[(place + rng.choice((1, 7, -1, -7))) % PEOPLE_COUNT]
        begun = len(relay.recorded_requests)
        with client() as web:
            one.run_command(
                HttpCourier(web), partial(send_and_fetch, recipient=other, number=number)
            )
        for request in relay.recorded_requests[begun:]:
            post = _POST_PATH.match(request.target)
            if request.method == "PUT" and post is not None:
                posts.append((request, one.name, names[post[1]]))
        one.device.clock.advance(seconds=61)  # type: ignore[attr-defined]
    by_token = dict[bytes | None, list[RecordedRequest]]()
    for request in relay.recorded_requests:
        by_token.setdefault(request.header(b"authorization"), []).append(request)
    messages = [
        SentMessage(tuple(by_token[request.header(b"authorization")]), sender, recipient)
        for request, sender, recipient in posts
    ]
    return RelayLog(relay.recorded_requests, messages, names)


def send_and_fetch(device: Device, recipient: Person, number: int) -> None:
    """Send a message to the recipient, and fetch messages before every fifth one that is sent.

    After every 25th message that is sent, fetch messages again, open the newest received message,
    and query the states of the sent messages.
    """
    if number % 5 == 0:
        fetch_messages(device)
    until = device.clock.now() + timedelta(days=7)
    to = RecipientId(recipient.name)
    named = frozenset({str(to)})
    send_message(Draft((), (to,), MessagePolicy(until), text=f"{number}", confirmed=named), device)
    if number % 25 == 0:
        fetch_messages(device)
        for received in received_messages(device)[-1:]:
            open_message(received.name, device)
        query_sent_messages(device)


def long_values(request: RecordedRequest) -> frozenset[str]:
    """Return every long value in a request: ids, tokens, locks, keys and cookies."""
    texts = [request.target, *(value.decode() for _, value in request.headers)]
    if request.body[:1] == b"{":
        texts.append(json.dumps(json.loads(request.body)))
    return frozenset(match for text in texts for match in _LONG_VALUE.findall(text))


#: Features that may link two requests, each a function from a request to a set of values.
FEATURES: Final[dict[str, Callable[[RecordedRequest], frozenset[object]]]] = {
    "connection": lambda request: frozenset({request.connection_number}),
    "session ticket": lambda request: frozenset({request.ticket} - {None}),
    "cookie": lambda request: frozenset({request.cookie}),
    "greeting in TLS": lambda request: frozenset({request.client_hello}),
    "user agent": lambda request: frozenset({request.header(b"user-agent")}),
    "headers, their order and spelling": lambda request: frozenset({request.header_style}),
    "any id, token, lock or key": lambda request: frozenset(long_values(request)),
}


def right_guess_share(log: RelayLog, *features: str) -> float:
    """Return the share of messages whose sender is guessed correctly.

    Each feature narrows the candidates to people whose own requests share a value with the message,
    unless there are no such people. The guess is a random one of the remaining candidates.
    """
    people = sorted(set(log.names_by_mailbox.values()))
    known = {name: people_by_value(log, name) for name in features}
    rng, right = random.Random(7), 0
    for message in log.messages:
        left = {one for one in people if one != message.recipient}
        for name in features:
            shared = {
                one
                for request in message.requests
                for value in FEATURES[name](request)
                for one in known[name].get(value, ())
            }
            left = left & shared or left
        right += rng.choice(sorted(left)) == message.sender
    return right / len(log.messages)


def people_by_value(log: RelayLog, feature: str) -> dict[object, set[str]]:
    """Return, for each value of the feature, the people whose own requests have this value."""
    found = dict[object, set[str]]()
    for owner, request in log.own_requests():
        for value in FEATURES[feature](request):
            found.setdefault(value, set()).add(owner)
    return found


def test_log_is_complete(log: RelayLog) -> None:
    """The relay recorded all messages, and requests of every owner."""
    # Devices may also have sent messages that deliver new send tokens.
    assert len(log.messages) >= MESSAGE_COUNT
    assert {owner for owner, _ in log.own_requests()} == set(log.names_by_mailbox.values())
    assert all(one.sender != one.recipient for one in log.messages)


@pytest.mark.threat("sender-linked")
def test_no_feature_names_a_sender_more_often_than_chance(
    log: RelayLog, record_property: Callable[[str, object], None]
) -> None:
    """Each feature is tested alone, and all features together."""
    linked = {feature: right_guess_share(log, feature) for feature in FEATURES}
    linked["all together"] = right_guess_share(log, *FEATURES)
    record_property("linked", linked)
    assert {name: share for name, share in linked.items() if share > RIGHT_GUESS_SHARE_MAX} == {}


def test_no_connection_has_two_tokens_no_session_is_resumed_and_no_cookie_is_sent(
    log: RelayLog,
) -> None:
    """Each request without a token has a connection of its own. Requests with the same token may
    share one.
    """
    tokens = dict[int, set[bytes | None]]()
    count = dict[int, int]()
    for request in log.recorded_requests:
        tokens.setdefault(request.connection_number, set()).add(request.header(b"authorization"))
        count[request.connection_number] = count.get(request.connection_number, 0) + 1
    assert max(map(len, tokens.values())) == 1
    assert all(count[one] == 1 for one, tokens_shown in tokens.items() if None in tokens_shown)
    assert max(count.values()) > 1  # some requests do share a connection
    assert not any(
        request.resumed or request.ticket is not None for request in log.recorded_requests
    )
    assert not any(request.header(b"cookie") for request in log.recorded_requests)


def test_requests_of_a_kind_have_the_same_headers_in_the_same_order(log: RelayLog) -> None:
    kinds = dict[tuple[str, str], set[tuple[bytes, ...]]]()
    for request in log.recorded_requests:
        kind = (request.method, _LONG_VALUE.sub("*", request.target.partition("?")[0]))
        kinds.setdefault(kind, set()).add(tuple(name for name, _ in request.headers))
    assert len(kinds) > 8
    assert {kind: orders for kind, orders in kinds.items() if len(orders) > 1} == {}
    assert {request.header(b"user-agent") for request in log.recorded_requests} == {b"Entrenous"}


def test_resumed_session_would_be_detected(tmp_path: Path) -> None:
    """The hostile relay detects a client that resumes a session."""
    pair = write_certificate_files(tmp_path)
    context, session = ssl.create_default_context(cafile=pair.cert), None
    with run_hostile_relay(pair) as relay:
        relay.app = relay_app(
            relay_with_courier("", SettableClock(), SeededRandomSource("relay"))[0]
        )
        for _ in range(2):
            with (
                socket.create_connection(("127.0.0.1", relay.port)) as connection,
                context.wrap_socket(
                    connection, session=session, server_hostname="localhost"
                ) as tls,
            ):
                tls.sendall(b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert tls.recv(1 << 16).startswith(b"HTTP/1.1 200")
                session = tls.session
        first, second = relay.recorded_requests
    assert (first.ticket, first.resumed) == (None, False)
    assert second.ticket is not None
    assert second.resumed
