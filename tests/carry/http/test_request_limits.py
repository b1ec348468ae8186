"""Tests of requests that exceed a limit, use another protocol version, or are slow or large."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from dataclasses import replace
from typing import Any

import httpx
import pytest

from entrenous.base.errors import HOW_TO_UPDATE, MailboxFull, TooFarAhead, WrongToken
from entrenous.base.identifiers import BlobId, MailboxId
from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.relay import Relay
from entrenous.carry.relay_settings import RelayLimits
from entrenous.wire.encodings import to_base64url
from tests.carry.http.test_relay_app import URL, bearer_header
from tests.carry.http.test_resumed_uploads import blob_path, upload_headers
from tests.carry.relays import NOON, SampleMessage, memory_relay
from tests.in_memory.blobs import MemoryBlobs
from tests.in_memory.courier import memory_courier, run_sync


def limited_relay(
    limits: RelayLimits, message: SampleMessage, blobs: MemoryBlobs | None = None
) -> Relay:
    """Return a relay with these limits, and with a mailbox that was created before they applied."""
    relay = memory_relay()
    courier = memory_courier({URL: relay_app(relay)})
    courier.create_mailbox(URL, message.mailbox, message.owner)
    courier.register_token(URL, message.mailbox, message.owner, message.send_token())
    return replace(relay, limits=limits, blobs=relay.blobs if blobs is None else blobs)


def client_for(relay: Relay) -> httpx.Client:
    client = memory_courier({URL: relay_app(relay)})._client
    client.headers["Entrenous-Protocol"] = "2"
    return client


def test_relay_that_accepts_no_new_mailboxes_serves_existing_ones() -> None:
    message = SampleMessage()
    relay = limited_relay(RelayLimits(mailbox_open=False), message)
    body = {"owner_lock": to_base64url(bytes(32)), "close_lock": None}
    new = client_for(relay).put(
        f"{URL}/v1/mailboxes/{to_base64url(MailboxId(b'N' * 16))}", json=body
    )
    assert new.status_code == 409
    assert new.json()["type"] == "urn:entrenous:refused:mailboxes-closed"
    courier = memory_courier({URL: relay_app(relay)})
    # The relay accepts a repeated request, because this mailbox exists already.
    courier.create_mailbox(URL, message.mailbox, message.owner)
    courier.post(URL, message.token, message.new_envelope())


def test_limit_of_waiting_letters_is_enforced() -> None:
    message = SampleMessage()
    courier = memory_courier({URL: relay_app(limited_relay(RelayLimits(letters=1), message))})
    courier.post(URL, message.token, message.new_envelope())
    with pytest.raises(MailboxFull):
        courier.post(URL, message.token, message.new_envelope())


def test_limit_of_mailbox_bytes_is_enforced() -> None:
    message = SampleMessage()
    courier = memory_courier(
        {URL: relay_app(limited_relay(RelayLimits(mailbox_bytes=4999), message))}
    )
    with pytest.raises(MailboxFull):
        courier.upload_blob(URL, message.token, message.blob_deposit(), message.blob)


def test_limit_of_keep_days_is_enforced() -> None:
    message = SampleMessage()
    courier = memory_courier({URL: relay_app(limited_relay(RelayLimits(keep_days=6), message))})
    assert (message.until - NOON).days == 7
    with pytest.raises(TooFarAhead, match=r"6\sdays"):
        courier.post(URL, message.token, message.new_envelope())


class NearlyFullBlobs(MemoryBlobs):
    def free_bytes(self) -> int | None:
        return 10_000


def test_nearly_full_disk_refuses_blobs_with_507_and_accepts_messages() -> None:
    message = SampleMessage()
    relay = limited_relay(RelayLimits(free_bytes_min=9000), message, NearlyFullBlobs())
    answer = client_for(relay).put(
        URL + blob_path(message), content=message.blob, headers=upload_headers(message)
    )
    assert (answer.status_code, answer.headers["retry-after"]) == (507, "600")
    memory_courier({URL: relay_app(relay)}).post(URL, message.token, message.new_envelope())


def test_concurrent_uploads_of_one_token_are_limited() -> None:
    """A second upload is refused while the first one is running, and accepted afterwards."""
    message, second = SampleMessage(), SampleMessage()
    second.blob_id = BlobId(bytes(16))
    app = relay_app(limited_relay(RelayLimits(coming_bytes=9999), message))

    async def run_scenario() -> list[int]:
        upload_started, go_on = asyncio.Event(), asyncio.Event()

        async def slow_chunks() -> AsyncIterator[bytes]:
            yield message.blob[:1]
            upload_started.set()
            await go_on.wait()
            yield message.blob[1:]

        web = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL)
        async with web:
            length = {"Content-Length": "5000"}
            first = asyncio.create_task(
                web.put(
                    blob_path(message),
                    content=slow_chunks(),
                    headers=upload_headers(message, **length),
                )
            )
            await upload_started.wait()
            meanwhile = await web.put(
                blob_path(second), content=second.blob, headers=upload_headers(second)
            )
            go_on.set()
            whole = await first
            after = await web.put(
                blob_path(second), content=second.blob, headers=upload_headers(second)
            )
            assert meanwhile.headers["retry-after"] == "60"
            return [meanwhile.status_code, whole.status_code, after.status_code]

    assert asyncio.run(run_scenario()) == [429, 201, 201]


@pytest.mark.threat("downgrade")
@pytest.mark.parametrize(("version", "status"), [("1", 409), ("2", 200), ("3", 409)])
def test_relay_of_protocol_2_refuses_others_and_says_how_to_update(
    version: str, status: int
) -> None:
    relay = limited_relay(RelayLimits(floor=2), SampleMessage())
    answer = client_for(relay).get(f"{URL}/v1/status", headers={"Entrenous-Protocol": version})
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["facts"] == {"floor": 2, "newest": 2, "ours": int(version)}
        assert HOW_TO_UPDATE in answer.json()["detail"]


@pytest.mark.parametrize("pause_s", [30, 0.001])
def test_stalled_or_very_slow_upload_ends_and_can_be_resumed(
    monkeypatch: pytest.MonkeyPatch, pause_s: float
) -> None:
    """A client that sends almost nothing must not keep a request open for ever."""
    monkeypatch.setattr("entrenous.carry.http.routes.TRANSFER_INTERVAL_S", 0.05)
    message = SampleMessage()
    app = relay_app(limited_relay(RelayLimits(), message))

    async def stalling_chunks() -> AsyncIterator[bytes]:
        yield message.blob[:1000]
        for at in range(1000, 5000):
            await asyncio.sleep(pause_s)
            yield message.blob[at : at + 1]

    async def run_scenario() -> tuple[int, int]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=URL) as web:
            whole_length = upload_headers(message, **{"Content-Length": "5000"})
            stalled = await web.put(
                blob_path(message), content=stalling_chunks(), headers=whole_length
            )
            rest = upload_headers(message, **{"Entrenous-Offset": "1000"})
            whole = await web.put(blob_path(message), content=message.blob[1000:], headers=rest)
        return stalled.status_code, whole.status_code

    assert asyncio.run(run_scenario()) == (408, 201)


LARGE_BODY_ROUTES = [
    ("PUT", "/v1/mailboxes/{}/card"),
    ("PUT", "/v1/mailboxes/{}/prekeys/" + to_base64url(bytes(16))),
    ("POST", "/v1/mailboxes/{}/tokens"),
    ("PUT", "/v1/mailboxes/{}/envelopes/" + to_base64url(bytes(16))),
]


@pytest.mark.parametrize(("method", "path"), LARGE_BODY_ROUTES)
@pytest.mark.parametrize("content_length", ["4097", "90000", ""])
def test_large_or_unmeasured_body_is_not_read_without_a_valid_token(
    method: str, path: str, content_length: str
) -> None:
    message, responses = SampleMessage(), list[MutableMapping[str, Any]]()

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("the body was read")

    async def send(message: MutableMapping[str, Any]) -> None:
        responses.append(message)

    headers = {
        **bearer_header(message.unrelated_token),
        "Entrenous-Protocol": "2",
        "Content-Length": content_length,
    }
    scope = {
        "type": "http",
        "method": method,
        "path": path.format(to_base64url(message.mailbox)),
        "headers": [
            (name.lower().encode(), value.encode()) for name, value in headers.items() if value
        ],
        "query_string": b"",
        "root_path": "",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
    }
    run_sync(relay_app(limited_relay(RelayLimits(), message))(scope, receive, send))
    assert responses[0]["status"] == 401


def test_repeated_post_of_a_large_message_needs_no_valid_token() -> None:
    """The first post of the message may have used up the token."""
    message = SampleMessage(sealed=b"s" * 90_000)
    courier = memory_courier({URL: relay_app(limited_relay(RelayLimits(), message))})
    envelope = message.new_envelope()
    courier.post(URL, message.token, envelope)
    courier.post(URL, message.unrelated_token, envelope)
    with pytest.raises(WrongToken):
        courier.post(URL, message.unrelated_token, message.new_envelope())


@pytest.mark.parametrize(("method", "path"), LARGE_BODY_ROUTES)
def test_slow_body_times_out(monkeypatch: pytest.MonkeyPatch, method: str, path: str) -> None:
    monkeypatch.setattr("entrenous.carry.http.request_handling._BODY_S_MAX", 0.2)
    message = SampleMessage()
    app = relay_app(limited_relay(RelayLimits(), message))

    async def endless_slow_chunks() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    async def run_scenario() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=URL) as web:
            token = message.token if "envelopes" in path else message.owner
            headers = {**bearer_header(token), "Entrenous-Protocol": "2"}
            where = path.format(to_base64url(message.mailbox))
            return await web.request(method, where, content=endless_slow_chunks(), headers=headers)

    response = asyncio.run(asyncio.wait_for(run_scenario(), 20))
    assert (response.status_code, response.headers["connection"]) == (408, "close")
    assert response.json() == {"type": "about:blank", "title": "Request Timeout", "status": 408}
