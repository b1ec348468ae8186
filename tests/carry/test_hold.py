"""A blob is kept from the moment that its relay says so, whatever interrupts the saying."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from entrenous.adapters.courier.memory import at_once
from entrenous.carry.expire import expire
from entrenous.carry.hold import bring_blob, find_blob
from entrenous.carry.mailbox import create_mailbox
from entrenous.carry.tokens import register_token
from entrenous.craft.crypto.hashing import lock_of
from entrenous.model.envelope import NoSuchBlob
from entrenous.model.held import ComingBlob, HeldBlob, Leftover
from entrenous.ports import MailStore, Relay
from tests.carry.relays import Post, WoundClock, disk_relay, memory_relay, stream

# An event loop wakes itself through a pair of sockets.
pytestmark = pytest.mark.usefixtures("socket_enabled")


class Interrupted:
    """A store that does what it is asked for the ``at``-th time, while its caller is cancelled."""

    def __init__(self, store: MailStore, at: int) -> None:
        self._store, self._left = store, at
        self.look, self.scrub = store.look, store.scrub

    async def together(self, work: Callable[[Any], Any]) -> Any:
        self._left -= 1
        if self._left:
            return await self._store.together(work)
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)
        return await self._store.together(work)


@pytest.fixture(params=["memory", "disk"])
def relay(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Relay]:
    if request.param == "memory":
        yield memory_relay()
        return
    with disk_relay(tmp_path, WoundClock()) as relay:
        yield relay


async def ready(relay: Relay, post: Post) -> None:
    await create_mailbox(post.mailbox, lock_of(post.owner), relay)
    await register_token(post.mailbox, post.owner, post.granted(), relay)


async def read(relay: Relay, post: Post) -> bytes:
    held = await find_blob(post.blob_id, post.fetch, relay)
    chunks = await relay.blobs.read(held.name, 0, held.size)
    return b"".join([chunk async for chunk in chunks])


def rows(relay: Relay, kind: type) -> int:
    return asyncio.run(relay.mail.look(lambda view: view.count(kind)))


def test_a_request_cancelled_while_its_blob_is_given_loses_nothing(tmp_path: Path) -> None:
    """The transaction was on its way: its row is there, so its bytes must stay."""
    post = Post()

    async def story(relay: Relay) -> None:
        await ready(relay, post)
        broken = replace(relay, mail=Interrupted(relay.mail, at=2))
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(
                bring_blob(post.deposit(), post.token, stream(post.blob), broken)
            )
        assert not await bring_blob(post.deposit(), post.token, stream(post.blob), relay)
        await expire(relay)
        assert await read(relay, post) == post.blob

    with disk_relay(tmp_path, WoundClock()) as relay:
        asyncio.run(story(relay))
        assert (rows(relay, HeldBlob), rows(relay, Leftover), rows(relay, ComingBlob)) == (1, 0, 0)


def test_a_request_that_ends_before_its_bytes_do_leaves_nothing(relay: Relay) -> None:
    post = Post()

    async def breaks() -> AsyncIterator[bytes]:
        yield post.blob[:1000]
        raise ConnectionError

    async def story() -> None:
        await ready(relay, post)
        with pytest.raises(ConnectionError):
            await bring_blob(post.deposit(), post.token, breaks(), relay)
        assert await bring_blob(post.deposit(), post.token, stream(post.blob), relay)
        assert await read(relay, post) == post.blob

    asyncio.run(story())
    assert (rows(relay, HeldBlob), rows(relay, Leftover), rows(relay, ComingBlob)) == (1, 0, 0)


def test_an_upload_slower_than_a_day_is_not_given_what_a_sweep_may_be_removing() -> None:
    clock = WoundClock()
    relay, post = memory_relay(clock), Post()
    at_once(ready(relay, post))

    async def slow() -> AsyncIterator[bytes]:
        yield post.blob
        clock.moment += timedelta(hours=24)

    with pytest.raises(NoSuchBlob):
        at_once(bring_blob(post.deposit(), post.token, slow(), relay))
    at_once(expire(relay))
    kinds = (HeldBlob, Leftover, ComingBlob)
    assert [at_once(relay.mail.look(lambda view, of=of: view.count(of))) for of in kinds] == [0] * 3
