"""The minimum pace of uploads, and the limit of concurrent uploads to a bucket."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import httpx
import pytest
from obstore.store import MemoryStore
from starlette.requests import ClientDisconnect

from entrenous.base.identifiers import BlobId
from entrenous.base.limits import TRANSFER_BYTES_MIN_PER_INTERVAL, TRANSFER_INTERVAL_S
from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.http.routes import yield_while_fast_enough
from entrenous.carry.store.s3_blobs import UPLOADS_PER_OWNER_MAX, S3Blobs
from tests.carry.http.test_relay_app import URL
from tests.carry.http.test_resumed_uploads import blob_path, upload_headers
from tests.carry.relays import SampleMessage, memory_relay
from tests.deterministic import SeededRandomSource
from tests.in_memory.courier import memory_courier


async def count_passed_bytes(sizes: Sequence[int], arrival_s: float, storage_s: float) -> int:
    """Count the bytes that pass if each piece takes ``arrival_s`` to arrive and ``storage_s`` to be
    stored.
    """
    clock, total = [0.0], 0

    async def pieces() -> AsyncIterator[bytes]:
        for size in sizes:
            clock[0] += arrival_s
            yield bytes(size)

    async for chunk in yield_while_fast_enough(pieces(), lambda: clock[0]):
        clock[0] += storage_s
        total += len(chunk)
    return total


def test_slow_store_does_not_end_an_upload_at_minimum_pace() -> None:
    half = TRANSFER_BYTES_MIN_PER_INTERVAL // 2
    assert asyncio.run(count_passed_bytes([half] * 20, TRANSFER_INTERVAL_S / 2 - 1, 0)) == 20 * half
    assert asyncio.run(count_passed_bytes([half] * 20, 1, 3 * TRANSFER_INTERVAL_S)) == 20 * half
    assert (
        asyncio.run(count_passed_bytes([1] * 9, TRANSFER_INTERVAL_S / 10, TRANSFER_INTERVAL_S)) == 9
    )  # a small blob, which arrives within one interval


def test_fast_beginning_does_not_allow_a_later_pace_below_the_minimum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("entrenous.carry.http.routes.TRANSFER_INTERVAL_S", 0.05)

    async def pieces() -> AsyncIterator[bytes]:
        yield bytes(10 * TRANSFER_BYTES_MIN_PER_INTERVAL)
        while True:
            await asyncio.sleep(0.001)
            yield b"x"

    async def run_scenario() -> None:
        async for _ in yield_while_fast_enough(pieces()):
            pass

    with pytest.raises(ClientDisconnect):
        asyncio.run(asyncio.wait_for(run_scenario(), 20))


def test_concurrent_uploads_to_a_bucket_are_limited_per_mailbox() -> None:
    relay, other, slow_post = (
        memory_relay(),
        SampleMessage(),
        SampleMessage(random_source=SeededRandomSource(calls=1000)),
    )
    courier = memory_courier({URL: relay_app(relay)})
    for message in (other, slow_post):
        courier.create_mailbox(URL, message.mailbox, message.owner)
        courier.register_token(URL, message.mailbox, message.owner, message.send_token())
    app = relay_app(replace(relay, blobs=S3Blobs(MemoryStore())))

    async def run_scenario() -> None:
        upload_started, go_on = asyncio.Semaphore(0), asyncio.Event()

        async def slow_chunks() -> AsyncIterator[bytes]:
            yield slow_post.blob[:1]
            upload_started.release()
            await go_on.wait()
            yield slow_post.blob[1:]

        async def put(message: SampleMessage, content: bytes | AsyncIterator[bytes]) -> int:
            message.blob_id = BlobId(message.random_source.token(16))
            length = upload_headers(message, **{"Content-Length": str(len(message.blob))})
            return (await web.put(blob_path(message), content=content, headers=length)).status_code

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as web:
            uploads = [
                asyncio.create_task(put(slow_post, slow_chunks()))
                for _ in range(UPLOADS_PER_OWNER_MAX)
            ]
            for _ in uploads:
                await upload_started.acquire()
            assert await put(slow_post, slow_post.blob) == 429
            assert await put(other, other.blob) == 201
            go_on.set()
            assert await asyncio.gather(*uploads) == [201] * UPLOADS_PER_OWNER_MAX
            assert await put(slow_post, slow_post.blob) == 201

    asyncio.run(run_scenario())
