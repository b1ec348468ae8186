"""Tests of waiting requests: permission, duration, number, answers, and network prefixes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.http.routes import client_network_prefix
from entrenous.carry.relay import Relay
from entrenous.carry.wake_ups import LocalWakeUps
from entrenous.crypto.hashing import token_hash
from entrenous.wire.encodings import to_base64url
from entrenous.wire.relay_json import write_envelope
from entrenous.wire.relay_nouns import Envelope
from tests.carry.http.test_relay_app import bearer_header
from tests.carry.relays import SampleMessage, memory_relay

URL = "https://relay.test"
Scenario = Callable[[httpx.AsyncClient, SampleMessage, LocalWakeUps], Awaitable[Any]]


def run_scenario(scenario: Scenario, relay: Relay | None = None) -> Any:
    """Return the result of a scenario at a relay with one mailbox and one send token."""
    wake_ups, message = LocalWakeUps(), SampleMessage()
    relay_in_use = relay or replace(memory_relay(), wake_ups=wake_ups)

    async def run() -> Any:
        transport = httpx.ASGITransport(relay_app(relay_in_use))
        headers = {"Entrenous-Protocol": "2"}
        async with httpx.AsyncClient(transport=transport, base_url=URL, headers=headers) as web:
            locks = {"owner_lock": to_base64url(token_hash(message.owner)), "close_lock": None}
            await web.put(mailbox_path(message), json=locks)
            terms = {"uses": None, "expires_at": None}
            url = f"{mailbox_path(message)}/tokens/{to_base64url(token_hash(message.token))}"
            await web.put(url, json=terms, headers=bearer_header(message.owner))
            answer = await scenario(web, message, wake_ups)
            assert wake_ups.count_listening_mailboxes() == 0
            return answer

    return asyncio.run(run())


def mailbox_path(message: SampleMessage) -> str:
    return f"/v1/mailboxes/{to_base64url(message.mailbox)}"


async def wait_for_wake_up(
    web: httpx.AsyncClient, message: SampleMessage, seconds: int = 20
) -> httpx.Response:
    url = f"{mailbox_path(message)}/wake?seconds={seconds}"
    return await web.get(url, headers=bearer_header(message.owner))


async def post_message(web: httpx.AsyncClient, message: SampleMessage, envelope: Envelope) -> None:
    url, body = (
        f"{mailbox_path(message)}/envelopes/{to_base64url(envelope.id)}",
        write_envelope(envelope),
    )
    assert (
        await web.put(url, content=body, headers=bearer_header(message.token))
    ).status_code == 201


async def wait_until_listening(wake_ups: LocalWakeUps) -> None:
    while not wake_ups.count_listening_mailboxes():  # noqa: ASYNC110 -- nothing signals this
        await asyncio.sleep(0)


def test_message_wakes_the_waiting_device() -> None:
    async def scenario(
        web: httpx.AsyncClient, message: SampleMessage, wake_ups: LocalWakeUps
    ) -> httpx.Response:
        waiting = asyncio.create_task(wait_for_wake_up(web, message))
        await wait_until_listening(wake_ups)
        await post_message(web, message, message.new_envelope())
        return await waiting

    answer = run_scenario(scenario)
    assert (answer.status_code, answer.content) == (200, b"{}")


@pytest.mark.threat("notification-content")
def test_wake_up_does_not_depend_on_the_waiting_message() -> None:
    async def scenario(
        web: httpx.AsyncClient, message: SampleMessage, _: LocalWakeUps
    ) -> list[httpx.Response]:
        await post_message(web, message, message.new_envelope())
        first = await wait_for_wake_up(web, message)
        await post_message(
            web, message, replace(message.envelope(1, blobs=False), sealed=bytes(9000))
        )
        return [first, await wait_for_wake_up(web, message)]

    first, second = run_scenario(scenario)
    assert first.content == second.content == b"{}"
    assert dict(first.headers) == dict(second.headers)


def test_wait_without_a_message_is_204() -> None:
    async def scenario(
        web: httpx.AsyncClient, message: SampleMessage, _: LocalWakeUps
    ) -> httpx.Response:
        return await wait_for_wake_up(web, message, 0)

    answer = run_scenario(scenario)
    assert (answer.status_code, answer.content) == (204, b"")


def test_wake_up_for_another_mailbox_wakes_nobody() -> None:
    async def scenario(
        web: httpx.AsyncClient, message: SampleMessage, wake_ups: LocalWakeUps
    ) -> bool:
        waiting = asyncio.create_task(wait_for_wake_up(web, message))
        await wait_until_listening(wake_ups)
        wake_ups.wake(type(message.mailbox)(bytes(16)))
        await asyncio.sleep(0)
        awake = waiting.done()
        wake_ups.wake(message.mailbox)
        await waiting
        return awake

    assert not run_scenario(scenario)


def test_only_the_owner_may_wait() -> None:
    async def scenario(
        web: httpx.AsyncClient, message: SampleMessage, _: LocalWakeUps
    ) -> list[int]:
        tokens = (message.token, message.unrelated_token, message.open)
        responses = [
            await web.get(f"{mailbox_path(message)}/wake", headers=bearer_header(one))
            for one in tokens
        ]
        return [answer.status_code for answer in responses]

    assert run_scenario(scenario) == [401, 401, 401]


@pytest.mark.parametrize("seconds", ["61", "-1", "x", "1.5"])
def test_wait_time_must_be_a_whole_number_from_0_to_60(seconds: str) -> None:
    async def scenario(web: httpx.AsyncClient, message: SampleMessage, _: LocalWakeUps) -> int:
        url = f"{mailbox_path(message)}/wake?seconds={seconds}"
        return (await web.get(url, headers=bearer_header(message.owner))).status_code

    assert run_scenario(scenario) == 400


def test_ninth_waiting_request_at_a_mailbox_ends_the_oldest() -> None:
    async def scenario(
        web: httpx.AsyncClient, message: SampleMessage, wake_ups: LocalWakeUps
    ) -> list[int]:
        waiting = [asyncio.create_task(wait_for_wake_up(web, message)) for _ in range(8)]
        await asyncio.sleep(0.05)
        waiting.append(asyncio.create_task(wait_for_wake_up(web, message)))
        oldest = await waiting[0]
        assert oldest.headers["connection"] == "close"
        assert not any(one.done() for one in waiting[1:])
        wake_ups.wake(message.mailbox)
        others = await asyncio.gather(*waiting[1:])
        return [oldest.status_code, *(answer.status_code for answer in others)]

    assert run_scenario(scenario) == [204] + [200] * 8


def test_cancelled_request_stops_listening() -> None:
    async def scenario(
        web: httpx.AsyncClient, message: SampleMessage, wake_ups: LocalWakeUps
    ) -> None:
        waiting = asyncio.create_task(wait_for_wake_up(web, message))
        await wait_until_listening(wake_ups)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    run_scenario(scenario)


def test_relay_without_wake_ups_answers_whether_a_message_waits() -> None:
    async def scenario(
        web: httpx.AsyncClient, message: SampleMessage, _: LocalWakeUps
    ) -> list[int]:
        before = await wait_for_wake_up(web, message)
        await post_message(web, message, message.new_envelope())
        return [before.status_code, (await wait_for_wake_up(web, message)).status_code]

    assert run_scenario(scenario, memory_relay()) == [204, 200]


@pytest.mark.parametrize(
    ("address", "expected_prefix"),
    [
        ("192.0.2.7", bytes((192, 0, 2, 7))),
        ("::ffff:192.0.2.7", bytes((192, 0, 2, 7))),
        ("2001:db8:1:2:3:4:5:6", bytes.fromhex("20010db800010002")),
        ("2001:db8:1:2::9", bytes.fromhex("20010db800010002")),
        ("fe80::1%eth0", bytes.fromhex("fe80000000000000")),
        ("testclient", b""),
    ],
)
def test_network_prefix_is_an_ipv4_address_half_of_an_ipv6_address_or_empty(
    address: str, expected_prefix: bytes
) -> None:
    assert client_network_prefix(address) == expected_prefix
