"""The client with which a device registers claims at a gate."""

from collections.abc import Iterator

import httpx
import pytest

from entrenous.base.identifiers import ClaimId
from entrenous.stop.client.registration_client import RegistrationClient, open_registration_client
from entrenous.stop.nouns import (
    BadAnswer,
    GateBusy,
    GateRefused,
    GateUnreachable,
    NoConnection,
    NotAGate,
    NotHttps,
)

CLAIM_ID = ClaimId("c" * 32)


def client_with_response(answer: httpx.Response) -> RegistrationClient:
    transport = httpx.MockTransport(lambda _request: answer)
    return RegistrationClient("https://gate.example", httpx.Client(transport=transport))


def client_with_response_bytes(
    status: int, content: bytes, content_type: str = "application/json"
) -> RegistrationClient:
    return client_with_response(
        httpx.Response(status, content=content, headers={"content-type": content_type})
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://gate.example",
        "http://192.168.0.7:80",
        "http://127.0.0.1.example",
        "http://[2001:db8::1]",
        "http://localhost@gate.example",
    ],
)
def test_fingerprints_are_not_sent_unencrypted(url: str) -> None:
    with pytest.raises(NotHttps), open_registration_client(url):
        pass


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1",
        "gate.example",
        "https://",
        "http://[",
        "",
        "https://x:abc/",
        "https://gate.example:99999999/",
        f"https://{'a' * 64}.example",
        "https://a..b",
        "https://gate.example/\x00",
    ],
)
def test_invalid_gate_address_is_refused(url: str) -> None:
    with pytest.raises(NotAGate), open_registration_client(url) as gate:
        gate.status(CLAIM_ID)


@pytest.mark.parametrize(
    "url",
    ["https://gate.example/", "http://127.0.0.1:7802", "http://localhost:1", "http://[::1]:7802"],
)
def test_gate_address_is_https_or_local(url: str) -> None:
    with open_registration_client(url) as gate:
        assert gate.url == url.rstrip("/")


def test_proxy_of_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """If ``trust_env`` is false, httpx ignores the environment and .netrc files."""
    monkeypatch.setenv("HTTPS_PROXY", "http://192.0.2.1:3128")
    with open_registration_client("https://gate.example") as gate:
        assert isinstance(gate, RegistrationClient)
        assert not gate._http.trust_env
        assert gate._http._mounts == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"{}",
        b'{"schema":"entrenous/claim/1","claim":"","kind":"pdq","state":"waiting"}',
        b'{"schema":"entrenous/claim/1","claim":"x","kind":"pdq","state":"perhaps"}',
        b'{"schema":"other/1","claim":"x","kind":"pdq","state":"waiting"}',
    ],
)
def test_malformed_answer_of_a_gate_raises(content: bytes) -> None:
    with pytest.raises(BadAnswer, match=r"https://gate\.example"):
        client_with_response_bytes(200, content).status(CLAIM_ID)


@pytest.mark.parametrize(
    ("content", "model"),
    [
        (
            b'{"schema":"entrenous/gate-status/1","state":"serving"}',
            None,
        ),  # from a gate of an earlier version
        (b'{"embedding":null}', None),
        (b'{"embedding":["a-network"]}', None),
        (b"<html>", None),
        (b'{"embedding":"a-network"}', "a-network"),
    ],
)
def test_embedding_model_is_none_unless_the_gate_names_one(
    content: bytes, model: str | None
) -> None:
    assert client_with_response_bytes(200, content).accepted_embedding_model() == model


def test_asking_a_failing_gate_for_its_embedding_model_raises() -> None:
    with pytest.raises(GateUnreachable):
        client_with_response_bytes(500, b'{"embedding":"a-network"}').accepted_embedding_model()


def test_endless_answer_is_cut_off() -> None:
    sent = 0

    def endless_body() -> Iterator[bytes]:
        nonlocal sent
        while sent < 100_000_000:
            sent += 16_000
            yield bytes(16_000)

    with pytest.raises(BadAnswer):
        client_with_response(httpx.Response(200, content=endless_body())).status(CLAIM_ID)
    assert sent < 200_000


def test_a_redirect_is_not_followed() -> None:
    requested: list[str] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        requested.append(str(request.url))
        return httpx.Response(302, headers={"location": "http://elsewhere.example/"})

    client = httpx.Client(transport=httpx.MockTransport(redirect))
    with pytest.raises(GateRefused, match="status 302"):
        RegistrationClient("https://gate.example", client).status(CLAIM_ID)
    assert requested == [f"https://gate.example/v1/claims/{CLAIM_ID}"]


@pytest.mark.parametrize("status", [429, 503])
def test_busy_gate_raises(status: int) -> None:
    with pytest.raises(GateBusy):
        client_with_response_bytes(status, b"").status(CLAIM_ID)


def test_a_refusal_is_passed_on_without_control_characters() -> None:
    problem = b'{"type":"urn:x:y","detail":"no\\u001b[31m thanks"}'
    with pytest.raises(GateRefused, match=r"no\[31m thanks"):
        client_with_response_bytes(409, problem, "application/problem+json").status(CLAIM_ID)


def test_failing_gate_raises_unreachable() -> None:
    with pytest.raises(GateUnreachable):
        client_with_response_bytes(500, b"").status(CLAIM_ID)


@pytest.mark.parametrize(
    ("httpx_error", "error_class"),
    [
        (httpx.ConnectError("refused, or a certificate"), NoConnection),
        (httpx.ConnectTimeout("nobody there"), NoConnection),
        (httpx.ReadTimeout("it was sent"), GateUnreachable),
        (httpx.WriteError("some of it was sent"), GateUnreachable),
    ],
)
def test_failed_connection_differs_from_a_lost_answer(
    httpx_error: httpx.HTTPError, error_class: type[GateUnreachable]
) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx_error

    client = httpx.Client(transport=httpx.MockTransport(fail))
    with pytest.raises(GateUnreachable) as caught:
        RegistrationClient("https://gate.example", client).status(CLAIM_ID)
    assert type(caught.value) is error_class


def test_status_501_raises_gate_refused() -> None:
    with pytest.raises(GateRefused, match="status 501"):
        client_with_response_bytes(501, b"").status(CLAIM_ID)
