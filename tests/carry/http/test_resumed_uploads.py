"""Resumed uploads over HTTP, also after the relay was killed, and the memory for a large blob."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from entrenous.base.secret import Secret
from entrenous.carry.blob_upload import upload_blob
from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.relay import Relay
from entrenous.crypto.hashing import token_hash
from entrenous.wire.encodings import to_base64url
from entrenous.wire.relay_json import read_upload_progress
from tests.carry.http.test_relay_app import URL, bearer_header
from tests.carry.relays import SampleMessage, in_three_days, memory_relay
from tests.deterministic import SeededRandomSource
from tests.in_memory.courier import memory_courier, run_sync
from tests.ready import start_program

MB = 1 << 20


def upload_headers(message: SampleMessage, **more: str) -> dict[str, str]:
    deposit = message.blob_deposit()
    return {
        **bearer_header(message.token),
        "Entrenous-Protocol": "2",
        "Entrenous-Fetch-Lock": to_base64url(deposit.fetch_lock),
        "Entrenous-Withdraw-Lock": to_base64url(deposit.withdraw_lock),
        "Entrenous-Sha256": to_base64url(deposit.sha256),
        "Entrenous-Expires-At": str(int(message.until.timestamp())),
        **more,
    }


def blob_path(message: SampleMessage) -> str:
    return f"/v1/mailboxes/{to_base64url(message.mailbox)}/blobs/{to_base64url(message.blob_id)}"


@pytest.fixture
def relay() -> Relay:
    return memory_relay()


@pytest.fixture
def message(relay: Relay) -> SampleMessage:
    message = SampleMessage()
    courier = memory_courier({URL: relay_app(relay)})
    courier.create_mailbox(URL, message.mailbox, message.owner)
    courier.register_token(URL, message.mailbox, message.owner, message.send_token())
    return message


@pytest.fixture
def web(relay: Relay) -> httpx.Client:
    client = memory_courier({URL: relay_app(relay)})._client
    client.headers["Entrenous-Protocol"] = "2"
    return client


def test_upload_from_an_offset_is_accepted_only_if_the_relay_has_the_bytes_before(
    web: httpx.Client, message: SampleMessage
) -> None:
    url = URL + blob_path(message)
    first = web.put(
        url, content=message.blob, headers=upload_headers(message, **{"Entrenous-Offset": "1"})
    )
    assert first.status_code == 409  # the relay has no part of this blob
    assert first.json()["type"] == "urn:entrenous:refused:wrong-offset"
    assert web.put(url, content=message.blob, headers=upload_headers(message)).status_code == 201
    rest = upload_headers(message, **{"Entrenous-Offset": "4000"})
    assert web.put(url, content=message.blob[4000:], headers=rest).status_code == 200
    progress = web.get(url, headers=bearer_header(message.withdraw))
    assert read_upload_progress(progress.content) == (5000, 5000)


def test_resumed_upload_may_have_an_empty_rest(
    web: httpx.Client, message: SampleMessage, relay: Relay
) -> None:
    """This happens if a relay is killed after it received all bytes and before it answered."""

    async def whole_blob_then_error() -> AsyncIterator[bytes]:
        yield message.blob
        raise ConnectionError

    with pytest.raises(ConnectionError):
        run_sync(upload_blob(message.blob_deposit(), message.token, whole_blob_then_error(), relay))
    url = URL + blob_path(message)
    assert read_upload_progress(web.get(url, headers=bearer_header(message.withdraw)).content) == (
        5000,
        5000,
    )
    rest = upload_headers(message, **{"Entrenous-Offset": "5000", "Content-Length": "0"})
    assert web.put(url, content=b"", headers=rest).status_code == 201
    assert web.put(url, content=b"", headers={**rest, "Entrenous-Offset": "0"}).status_code == 400


@pytest.mark.parametrize("offset", ["-1", "x", "1.5", "5000000000", ""])
def test_invalid_upload_offset_is_400(
    web: httpx.Client, message: SampleMessage, offset: str
) -> None:
    headers = upload_headers(message, **{"Entrenous-Offset": offset})
    assert web.put(URL + blob_path(message), content=b"x", headers=headers).status_code == 400


@pytest.mark.threat("preview-bot")
def test_upload_progress_needs_the_withdraw_token(
    web: httpx.Client, message: SampleMessage
) -> None:
    url = URL + blob_path(message)
    assert web.get(url, headers=bearer_header(message.withdraw)).status_code == 404
    web.put(url, content=message.blob, headers=upload_headers(message))
    for token in (message.token, message.fetch, message.owner):
        assert web.get(url, headers=bearer_header(token)).status_code == 401


@contextmanager
def running_relay(folder: Path, *, fresh_process: bool = False) -> Iterator[tuple[Any, str]]:
    """Start ``entrenous relay run``; yield the process and ``HOST:PORT``."""
    program = [sys.executable, "-m", "entrenous", "relay", "run", "--json", "--data", str(folder)]
    program += ["--listen", "127.0.0.1:0"]
    with start_program(program, fresh_process=fresh_process, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())["url"].removeprefix("http://")
        finally:
            process.kill()


def send_request(
    address: str, method: str, path: str, headers: dict[str, str], body: Any = None
) -> Any:
    host, _, port = address.partition(":")
    web = http.client.HTTPConnection(host, int(port), timeout=60)
    web.request(method, path, body, {"Entrenous-Protocol": "2", **headers})
    answer = web.getresponse()
    content = answer.read()
    web.close()
    return answer.status, content


def send_partial_upload(address: str, message: SampleMessage, size: int) -> None:
    """Begin an upload, and disconnect after ``size`` bytes."""
    host, _, port = address.partition(":")
    head = upload_headers(message, **{"Content-Length": str(len(message.blob)), "Host": address})
    lines = [
        f"PUT {blob_path(message)} HTTP/1.1",
        *(f"{name}: {value}" for name, value in head.items()),
    ]
    with socket.create_connection((host, int(port)), 60) as line:
        line.sendall("\r\n".join([*lines, "", ""]).encode() + message.blob[:size])


def uploaded_byte_count(address: str, message: SampleMessage) -> int:
    status, body = send_request(address, "GET", blob_path(message), bearer_header(message.withdraw))
    return read_upload_progress(body)[0] if status == 200 else 0


def message_with_large_blob(size: int) -> SampleMessage:
    message = SampleMessage(until=in_three_days())
    message.blob = SeededRandomSource().token(MB) * (size // MB)
    return message


def create_mailbox_with_token(address: str, message: SampleMessage) -> None:
    owner = bearer_header(message.owner)
    box = f"/v1/mailboxes/{to_base64url(message.mailbox)}"
    locks = {"owner_lock": to_base64url(token_hash(message.owner)), "close_lock": None}
    assert send_request(address, "PUT", box, {}, json.dumps(locks))[0] in {200, 201}
    terms = json.dumps({"uses": None, "expires_at": None})
    token = to_base64url(token_hash(Secret(message.token.reveal())))
    assert send_request(address, "PUT", f"{box}/tokens/{token}", owner, terms)[0] in {200, 201}


@pytest.mark.real
def test_upload_resumes_after_the_relay_was_killed(tmp_path: Path) -> None:
    """After SIGKILL at half of the upload, at most 52 % of the blob has to be sent."""
    message = message_with_large_blob(64 * MB)
    half = len(message.blob) // 2
    with running_relay(tmp_path) as (process, address):
        create_mailbox_with_token(address, message)
        send_partial_upload(address, message, half)
        deadline = time.monotonic() + 60
        while uploaded_byte_count(address, message) < half and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with running_relay(tmp_path) as (_, address):
        uploaded = uploaded_byte_count(address, message)
        rest = message.blob[uploaded:]
        assert len(rest) <= 0.52 * len(message.blob)
        headers = upload_headers(message, **{"Entrenous-Offset": str(uploaded)})
        assert send_request(address, "PUT", blob_path(message), headers, rest)[0] == 201
        status, whole = send_request(
            address,
            "GET",
            f"/v1/blobs/{to_base64url(message.blob_id)}",
            bearer_header(message.fetch),
        )
        assert status == 200
        assert whole == message.blob


@pytest.mark.real
def test_relay_needs_little_memory_for_a_large_blob(tmp_path: Path) -> None:
    message = message_with_large_blob(256 * MB)
    with running_relay(tmp_path, fresh_process=True) as (process, address):
        create_mailbox_with_token(address, message)
        assert (
            send_request(
                address,
                "PUT",
                blob_path(message),
                upload_headers(message),
                memoryview(message.blob),
            )[0]
            == 201
        )
        status, whole = send_request(
            address,
            "GET",
            f"/v1/blobs/{to_base64url(message.blob_id)}",
            bearer_header(message.fetch),
        )
        assert (status, len(whole)) == (200, len(message.blob))
        usage = Path(f"/proc/{process.pid}/status").read_text()
        (peak,) = (line.split()[1] for line in usage.splitlines() if line.startswith("VmHWM"))
        assert int(peak) / 1024 <= 150
