"""Tests, without sockets, of sharing and closing connections, of cookies, and of header order."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from entrenous.device.client.connections import PerTokenTransport
from entrenous.device.client.http_courier import RelayClient

RELAY_URL, OTHER_RELAY_URL = "https://relay.test", "https://other.test"
BENS_TOKEN_HEADER, CAROS_TOKEN_HEADER = (
    {"Authorization": "Bearer ben"},
    {"Authorization": "Bearer caro"},
)


@dataclass
class RecordingTransport(httpx.BaseTransport):
    """A transport that records its requests and whether it is closed."""

    requests: list[httpx.Request] = field(default_factory=list)
    closed: bool = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert not self.closed
        if request.url.path == "/lost":
            raise httpx.ReadError("lost")
        self.requests.append(request)
        return httpx.Response(
            200, headers={"Set-Cookie": "who=1; Path=/"}, stream=httpx.ByteStream(b"answer")
        )

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def transports() -> list[RecordingTransport]:
    return []


@pytest.fixture
def client(transports: list[RecordingTransport]) -> Iterator[RelayClient]:
    def make_transport(_: httpx.URL) -> RecordingTransport:
        transports.append(RecordingTransport())
        return transports[-1]

    with RelayClient(PerTokenTransport(make_transport)) as client:
        yield client


def test_another_token_closes_an_idle_connection(
    client: RelayClient, transports: list[RecordingTransport]
) -> None:
    for token in (BENS_TOKEN_HEADER, BENS_TOKEN_HEADER, CAROS_TOKEN_HEADER, BENS_TOKEN_HEADER):
        assert client.get(RELAY_URL, headers=token).content == b"answer"
    assert [(len(one.requests), one.closed) for one in transports] == [
        (2, True),
        (1, True),
        (1, False),
    ]


def test_same_token_at_another_relay_uses_another_connection(
    client: RelayClient, transports: list[RecordingTransport]
) -> None:
    client.get(RELAY_URL, headers=BENS_TOKEN_HEADER)
    client.get(OTHER_RELAY_URL, headers=BENS_TOKEN_HEADER)
    assert [len(one.requests) for one in transports] == [1, 1]


def test_requests_without_token_share_no_connection(
    client: RelayClient, transports: list[RecordingTransport]
) -> None:
    client.get(RELAY_URL)
    client.get(RELAY_URL)
    client.get(RELAY_URL, headers=BENS_TOKEN_HEADER)
    assert [(len(one.requests), one.closed) for one in transports] == [
        (1, True),
        (1, True),
        (1, False),
    ]


def test_busy_connection_is_not_closed(
    client: RelayClient, transports: list[RecordingTransport]
) -> None:
    """A request with another token must not close a connection whose response is being read."""
    with client.stream("GET", RELAY_URL, headers=BENS_TOKEN_HEADER) as answer:
        client.get(RELAY_URL, headers=CAROS_TOKEN_HEADER)
        client.close_idle_connections()
        assert [one.closed for one in transports] == [False, True]
        assert answer.read() == b"answer"
    client.close_idle_connections()
    assert all(one.closed for one in transports)


def test_failed_request_frees_its_connection(
    client: RelayClient, transports: list[RecordingTransport]
) -> None:
    with pytest.raises(httpx.ReadError):
        client.get(f"{RELAY_URL}/lost", headers=BENS_TOKEN_HEADER)
    client.close_idle_connections()
    assert [one.closed for one in transports] == [True]


def test_cookies_are_never_sent_back(
    client: RelayClient, transports: list[RecordingTransport]
) -> None:
    for _ in range(2):
        client.get(RELAY_URL, headers=BENS_TOKEN_HEADER)
    assert not any("cookie" in request.headers for one in transports for request in one.requests)
    assert list(client.cookies.jar) == []


def test_header_order_is_fixed(client: RelayClient, transports: list[RecordingTransport]) -> None:
    all_headers = {"Range": "bytes=1-", "Entrenous-Protocol": "2", **BENS_TOKEN_HEADER}
    for headers in (all_headers, dict(reversed(all_headers.items()))):
        client.get(RELAY_URL, headers=headers)
    first, second = (
        [name for name, _ in request.headers.raw] for request in transports[0].requests
    )
    assert first == second
    assert first == [
        *(b"Host", b"Accept", b"Accept-Encoding", b"Authorization", b"Connection"),
        *(b"Entrenous-Protocol", b"Range", b"User-Agent"),
    ]
