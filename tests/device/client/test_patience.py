"""Requests to a relay are retried for a limited time, and only when waiting may help."""

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
class Time:
    """A clock that advances only in ``sleep``."""

    now_s: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


@dataclass
class Relay:
    """A relay that answers from ``from_s`` seconds on, and counts the requests."""

    time: Time
    from_s: float
    asked: int = 0

    def __call__(self) -> str:
        self.asked += 1
        if self.time.now_s < self.from_s:
            raise httpx.ConnectError("refused")
        return "here"


def patience(seconds: float, time: Time) -> RetryPolicy:
    return RetryPolicy(seconds, time.now, time.sleep)


def test_relay_that_returns_in_time_is_waited_for() -> None:
    time = Time()
    relay = Relay(time, from_s=5)
    assert patience(20, time)("relay", relay) == "here"
    assert 5 <= time.now_s < 8
    assert relay.asked < 12
    assert time.slept == sorted(time.slept)  # retries become less frequent


def test_a_relay_that_stays_away_is_given_up_in_time() -> None:
    time = Time()
    with pytest.raises(httpx.ConnectError):
        patience(20, time)("relay", Relay(time, from_s=1e9))
    assert 15 < time.now_s <= 20


def test_relay_given_up_is_not_waited_for_again_but_others_are() -> None:
    time = Time()
    waiting = patience(20, time)
    for _ in range(3):
        with pytest.raises(httpx.ConnectError):
            waiting("relay", Relay(time, from_s=1e9))
    assert time.now_s <= 20
    assert waiting("other", Relay(time, from_s=time.now_s + 5)) == "here"


def test_answer_resets_patience() -> None:
    time = Time()
    waiting = patience(20, time)
    for _ in range(3):
        assert waiting("relay", Relay(time, from_s=time.now_s + 15)) == "here"
    assert time.now_s > 45


@pytest.mark.parametrize(
    "error",
    [httpx.ReadTimeout, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.DecodingError],
)
def test_unrecoverable_errors_are_not_retried(error: Callable[[str], Exception]) -> None:
    time = Time()
    asked = []

    def fails() -> None:
        asked.append(1)
        raise error("no")

    with pytest.raises(httpx.HTTPError):
        patience(20, time)("relay", fails)
    assert (len(asked), time.slept) == (1, [])


@pytest.mark.parametrize("error", [httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError])
def test_interrupted_connection_is_retried(
    error: Callable[[str], Exception],
) -> None:
    time = Time()
    answers: list[Exception | str] = [error("cut"), error("cut"), "here"]

    def asks() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert patience(20, time)("relay", asks) == "here"


def test_a_courier_has_no_patience_unless_it_is_given_some() -> None:
    asked = []

    def away(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        raise httpx.ConnectError("refused")

    with httpx.Client(transport=httpx.MockTransport(away)) as client:
        for patience_s, least in ((0.0, 1), (0.35, 3)):
            asked.clear()
            courier = HttpCourier(client, patience_s)
            with pytest.raises(RelayUnreachable):
                courier.envelope_status(
                    "http://127.0.0.1:1", EnvelopeId(bytes(16)), Secret(bytes(32))
                )
            assert len(asked) == least


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
    time, asked = Time(), []

    def stays_silent() -> str:
        asked.append(time.now_s)
        time.sleep(30)
        raise error("late")

    waiting = patience(20, time)
    for _ in range(10):
        with pytest.raises(httpx.TimeoutException):
            waiting("relay", stays_silent)
    assert (len(asked), time.now_s) == (1, 30)
    assert waiting("other", Relay(time, from_s=0)) == "here"
    time.sleep(600)  # a program that runs all day tries again in the end
    with pytest.raises(httpx.TimeoutException):
        waiting("relay", stays_silent)
    assert len(asked) == 2


def test_idle_disconnection_is_not_blamed_on_the_relay() -> None:
    asked = []

    def cuts_the_long_question(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        raise httpx.ReadTimeout("late")

    with httpx.Client(transport=httpx.MockTransport(cuts_the_long_question)) as client:
        courier, mailbox = HttpCourier(client), MailboxId(bytes(16))
        with pytest.raises(RelayUnreachable):
            courier.wait_for_letter("http://127.0.0.1:1", mailbox, Secret(bytes(32)), 20)
        for _ in range(2):
            with pytest.raises(RelayUnreachable):
                courier.waiting_envelopes("http://127.0.0.1:1", mailbox, Secret(bytes(32)), 0)
    assert len(asked) == 2


def test_slow_file_transfer_does_not_block_short_requests() -> None:
    asked = []

    def slow_line(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        raise httpx.WriteTimeout("late")

    with httpx.Client(transport=httpx.MockTransport(slow_line)) as client:
        courier, envelope = HttpCourier(client), EnvelopeId(bytes(16))
        url, token = "http://127.0.0.1:1", Secret(bytes(32))
        with pytest.raises(RelayUnreachable):
            courier.download_blob(url, BlobId(bytes(16)), token, io.BytesIO())
        with pytest.raises(RelayUnreachable):
            courier.withdraw(url, envelope, token)
    assert [path.split("/")[2] for path in asked] == ["blobs", "envelopes"]


def waking(body: bytes, patience_s: float, time: Time) -> HttpCourier:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, headers={PROTOCOL_VERSION_HEADER: "1"}, stream=httpx.ByteStream(body)
        )

    client = httpx.Client(transport=httpx.MockTransport(answer))
    return HttpCourier(client, patience_s, time.now, sleep_s=time.sleep)


@pytest.mark.parametrize(("patient_s", "rests"), [(20.0, [20.0]), (5.0, [5.0]), (0.0, [])])
def test_early_wake_answer_is_followed_by_a_rest(patient_s: float, rests: list[float]) -> None:
    time = Time()
    wakes = waking(b"", patient_s, time)
    assert not wakes.wait_for_letter(
        "http://127.0.0.1:1", MailboxId(bytes(16)), Secret(bytes(32)), 20
    )
    assert time.slept == rests


def test_wake_with_a_letter_does_not_rest() -> None:
    time = Time()
    wakes = waking(b"{}", 20.0, time)
    assert wakes.wait_for_letter("http://127.0.0.1:1", MailboxId(bytes(16)), Secret(bytes(32)), 20)
    assert time.slept == []
