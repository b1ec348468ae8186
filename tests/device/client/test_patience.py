"""Tests of retries, of timeouts, and of the pause after waiting for a letter."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest

from entrenous.base.errors import RelayUnreachable
from entrenous.base.identifiers import BlobId, EnvelopeId, MailboxId
from entrenous.base.secret import Secret
from entrenous.device.client.http_courier import HttpCourier
from entrenous.device.client.relay_request import PROTOCOL_VERSION_HEADER, RetryPolicy


@dataclass
class FakeClock:
    """A clock that advances only in ``sleep``."""

    now_s: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


@dataclass
class FakeRelay:
    """A relay that is unreachable before the time ``reachable_from_s``, and counts all requests."""

    clock: FakeClock
    reachable_from_s: float
    request_count: int = 0

    def __call__(self) -> str:
        self.request_count += 1
        if self.clock.now_s < self.reachable_from_s:
            raise httpx.ConnectError("refused")
        return "here"


def retry_policy(seconds: float, clock: FakeClock) -> RetryPolicy:
    return RetryPolicy(seconds, clock.now, clock.sleep)


def test_relay_that_returns_in_time_is_waited_for() -> None:
    clock = FakeClock()
    relay = FakeRelay(clock, reachable_from_s=5)
    assert retry_policy(20, clock)("relay", relay) == "here"
    assert 5 <= clock.now_s < 8
    assert relay.request_count < 12
    assert clock.slept == sorted(clock.slept)  # no pause is shorter than the one before


def test_unreachable_relay_is_given_up_in_time() -> None:
    clock = FakeClock()
    with pytest.raises(httpx.ConnectError):
        retry_policy(20, clock)("relay", FakeRelay(clock, reachable_from_s=1e9))
    assert 15 < clock.now_s <= 20


def test_relay_given_up_is_not_waited_for_again_but_others_are() -> None:
    clock = FakeClock()
    policy = retry_policy(20, clock)
    for _ in range(3):
        with pytest.raises(httpx.ConnectError):
            policy("relay", FakeRelay(clock, reachable_from_s=1e9))
    assert clock.now_s <= 20
    assert policy("other", FakeRelay(clock, reachable_from_s=clock.now_s + 5)) == "here"


def test_answer_restarts_the_retry_period() -> None:
    clock = FakeClock()
    policy = retry_policy(20, clock)
    for _ in range(3):
        assert policy("relay", FakeRelay(clock, reachable_from_s=clock.now_s + 15)) == "here"
    assert clock.now_s > 45


@pytest.mark.parametrize(
    "error",
    [httpx.ReadTimeout, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.DecodingError],
)
def test_unrecoverable_errors_are_not_retried(error: Callable[[str], Exception]) -> None:
    clock = FakeClock()
    requests = []

    def raise_error() -> None:
        requests.append(1)
        raise error("no")

    with pytest.raises(httpx.HTTPError):
        retry_policy(20, clock)("relay", raise_error)
    assert (len(requests), clock.slept) == (1, [])


@pytest.mark.parametrize("error", [httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError])
def test_interrupted_connection_is_retried(
    error: Callable[[str], Exception],
) -> None:
    clock = FakeClock()
    answers: list[Exception | str] = [error("cut"), error("cut"), "here"]

    def answer_next() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert retry_policy(20, clock)("relay", answer_next) == "here"


def test_courier_retries_only_with_patience() -> None:
    requests = []

    def refuse_connection(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        raise httpx.ConnectError("refused")

    with httpx.Client(transport=httpx.MockTransport(refuse_connection)) as client:
        for patience_s, request_count in ((0.0, 1), (0.35, 3)):
            requests.clear()
            courier = HttpCourier(client, patience_s)
            with pytest.raises(RelayUnreachable):
                courier.envelope_status(
                    "http://127.0.0.1:1", EnvelopeId(bytes(16)), Secret(bytes(32))
                )
            assert len(requests) == request_count


def test_retry_sends_the_whole_body_again() -> None:
    bodies = []

    def relay(request: httpx.Request) -> httpx.Response:
        bodies.append(request.read())
        if len(bodies) == 1:
            raise httpx.ReadError("cut")
        return httpx.Response(409, stream=httpx.ByteStream(b"{}"))

    with httpx.Client(transport=httpx.MockTransport(relay)) as client:
        courier = HttpCourier(client, 5.0)
        with pytest.raises(RelayUnreachable):
            courier.open_share("http://127.0.0.1:1", EnvelopeId(bytes(16)), Secret(b"t"), bytes(16))
    assert len(bodies) == 2
    assert bodies[0] == bodies[1] != b""


@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.ConnectTimeout, httpx.WriteTimeout])
def test_relay_that_timed_out_is_not_asked_again_but_others_are(
    error: Callable[[str], Exception],
) -> None:
    clock, requests = FakeClock(), []

    def time_out_after_30_s() -> str:
        requests.append(clock.now_s)
        clock.sleep(30)
        raise error("late")

    policy = retry_policy(20, clock)
    for _ in range(10):
        with pytest.raises(httpx.TimeoutException):
            policy("relay", time_out_after_30_s)
    assert (len(requests), clock.now_s) == (1, 30)
    assert policy("other", FakeRelay(clock, reachable_from_s=0)) == "here"
    clock.sleep(600)  # after these ten minutes, the relay is asked again
    with pytest.raises(httpx.TimeoutException):
        policy("relay", time_out_after_30_s)
    assert len(requests) == 2


def test_timeout_while_waiting_for_a_letter_does_not_count_against_the_relay() -> None:
    requests = []

    def time_out(request: httpx.Request) -> httpx.Response:
        requests.append(request.url.path)
        raise httpx.ReadTimeout("late")

    with httpx.Client(transport=httpx.MockTransport(time_out)) as client:
        courier, mailbox = HttpCourier(client), MailboxId(bytes(16))
        with pytest.raises(RelayUnreachable):
            courier.wait_for_letter("http://127.0.0.1:1", mailbox, Secret(bytes(32)), 20)
        for _ in range(2):
            with pytest.raises(RelayUnreachable):
                courier.waiting_envelopes("http://127.0.0.1:1", mailbox, Secret(bytes(32)), 0)
    assert len(requests) == 2


def test_slow_file_transfer_does_not_block_short_requests() -> None:
    requests = []

    def time_out(request: httpx.Request) -> httpx.Response:
        requests.append(request.url.path)
        raise httpx.WriteTimeout("late")

    with httpx.Client(transport=httpx.MockTransport(time_out)) as client:
        courier, envelope = HttpCourier(client), EnvelopeId(bytes(16))
        url, token = "http://127.0.0.1:1", Secret(bytes(32))
        with pytest.raises(RelayUnreachable):
            courier.download_blob(url, BlobId(bytes(16)), token, io.BytesIO())
        with pytest.raises(RelayUnreachable):
            courier.withdraw(url, envelope, token)
    assert [path.split("/")[2] for path in requests] == ["blobs", "envelopes"]


def make_courier_answering(body: bytes, patience_s: float, clock: FakeClock) -> HttpCourier:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, headers={PROTOCOL_VERSION_HEADER: "1"}, stream=httpx.ByteStream(body)
        )

    client = httpx.Client(transport=httpx.MockTransport(answer))
    return HttpCourier(client, patience_s, clock.now, sleep_s=clock.sleep)


@pytest.mark.parametrize(("patience_s", "pauses"), [(20.0, [20.0]), (5.0, [5.0]), (0.0, [])])
def test_pause_after_an_early_empty_answer_is_limited_by_the_patience(
    patience_s: float, pauses: list[float]
) -> None:
    clock = FakeClock()
    courier = make_courier_answering(b"", patience_s, clock)
    assert not courier.wait_for_letter(
        "http://127.0.0.1:1", MailboxId(bytes(16)), Secret(bytes(32)), 20
    )
    assert clock.slept == pauses


def test_no_pause_follows_the_arrival_of_a_letter() -> None:
    clock = FakeClock()
    courier = make_courier_answering(b"{}", 20.0, clock)
    assert courier.wait_for_letter(
        "http://127.0.0.1:1", MailboxId(bytes(16)), Secret(bytes(32)), 20
    )
    assert clock.slept == []
