"""The device's client of a gate: never in the clear, and nothing that a gate says is believed."""

import httpx
import pytest

from entrenous.adapters.bank.client import HttpBankClient
from entrenous.model.bank import (
    BadAnswer,
    GateBusy,
    GateRefused,
    GateUnreachable,
    NotPrivate,
)
from entrenous.model.ids import ClaimId

CLAIM = ClaimId("c" * 32)


def gate_that_answers(
    status: int, content: bytes, kind: str = "application/json"
) -> HttpBankClient:
    answer = httpx.Response(status, content=content, headers={"content-type": kind})
    return HttpBankClient(
        "https://gate.example", transport=httpx.MockTransport(lambda _request: answer)
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://gate.example",
        "http://192.168.0.7:80",
        "http://127.0.0.1.example",
        "http://[2001:db8::1]",
        "http://localhost@gate.example",
        "ftp://127.0.0.1",
        "gate.example",
        "https://",
        "http://[",
        "",
    ],
)
def test_nothing_is_sent_in_the_clear(url: str) -> None:
    with pytest.raises(NotPrivate):
        HttpBankClient(url)


@pytest.mark.parametrize(
    "url",
    ["https://gate.example/", "http://127.0.0.1:7802", "http://localhost:1", "http://[::1]:7802"],
)
def test_https_or_this_machine(url: str) -> None:
    client = HttpBankClient(url)
    assert client.url == url.rstrip("/")
    client.close()


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
def test_an_answer_of_another_form(content: bytes) -> None:
    with pytest.raises(BadAnswer, match=r"https://gate\.example"):
        gate_that_answers(200, content).status(CLAIM)


def test_a_redirect_is_not_followed() -> None:
    answer = httpx.Response(302, headers={"location": "http://elsewhere.example/"})
    transport = httpx.MockTransport(lambda _request: answer)
    with pytest.raises(GateUnreachable):
        HttpBankClient("https://gate.example", transport=transport).status(CLAIM)


@pytest.mark.parametrize("status", [429, 503])
def test_busy(status: int) -> None:
    with pytest.raises(GateBusy):
        gate_that_answers(status, b"").status(CLAIM)


def test_a_refusal_is_passed_on_without_control_characters() -> None:
    problem = b'{"type":"urn:x:y","detail":"no\\u001b[31m thanks"}'
    with pytest.raises(GateRefused, match=r"no\[31m thanks"):
        gate_that_answers(409, problem, "application/problem+json").status(CLAIM)


def test_a_broken_server() -> None:
    with pytest.raises(GateUnreachable):
        gate_that_answers(500, b"").status(CLAIM)
