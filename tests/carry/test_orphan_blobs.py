"""Tests of orphan blobs: retries, and deletions while the store is slow, failing or silent."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from entrenous.base.errors import DiskFailed, Expired
from entrenous.base.identifiers import BlobId, EnvelopeId, MailboxId
from entrenous.carry.expire import remove_orphan_blobs
from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.mailbox import create_mailbox, delete_mailbox_with_contents
from entrenous.carry.relay import Relay, RowStore
from entrenous.carry.relay_rows import OrphanBlob, StoredLetter, StoredMailbox, StoredUpload
from entrenous.carry.release import finish_attempt, release_key_share
from entrenous.carry.restore import delete_untrusted_rows
from entrenous.carry.withdraw import withdraw
from entrenous.crypto.hashing import token_hash
from entrenous.wire.relay_nouns import EnvelopeState
from tests.carry.minute_sweep import expire
from tests.carry.relays import NOON, SampleMessage, disk_relay, memory_relay
from tests.carry.test_expire import count_found_in_files, create_mailbox_and_post
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.blobs import MemoryBlobs
from tests.in_memory.mail import MemoryRowStore

SEALED_BYTES = b"a letter that was deleted " * 20
STORED_LETTER = StoredLetter(
    EnvelopeId(b"E" * 16), MailboxId(b"M" * 16), 1, SEALED_BYTES, NOON + timedelta(days=1)
)


class RefusingStore(MemoryBlobs):
    """A blob store that refuses some deletions, and records all that were requested."""

    def __init__(self, *refused_names: str) -> None:
        super().__init__()
        self.refused_names, self.requested = set(refused_names), list[str]()

    async def drop(self, name: str) -> None:
        self.requested.append(name)
        if name in self.refused_names:
            raise DiskFailed


class UnresponsiveStore(MemoryBlobs):
    """A blob store that never answers the request for a deletion."""

    async def drop(self, _: str) -> None:
        await asyncio.Event().wait()


async def add_orphans(relay: Relay, *names: str) -> None:
    """Store the rows of orphan blobs that are due for deletion, the longest overdue first."""
    first = relay.clock.now() - timedelta(seconds=len(names))
    for number, name in enumerate(names):
        row = OrphanBlob(name, first + timedelta(seconds=number))
        await relay.mail.transact(lambda tx, row=row: tx.put(row))


async def orphan_names(relay: Relay) -> list[str]:
    return [row.name for row in await relay.mail.read(lambda view: view.find(OrphanBlob))]


async def assert_removal_fails(relay: Relay) -> None:
    with pytest.raises(DiskFailed):
        await remove_orphan_blobs(relay)


def test_failed_deletion_of_an_orphan_blob_is_retried_a_minute_later(row_store: RowStore) -> None:
    """The failure is reported, and the other blobs are deleted at once."""

    async def run_scenario() -> None:
        clock, blobs = SettableClock(), RefusingStore("a", "b")
        relay = Relay(row_store, blobs, clock, SeededRandomSource())
        await add_orphans(relay, "a", "b", "c", "d")
        await assert_removal_fails(relay)
        assert await orphan_names(relay) == ["a", "b"]
        assert blobs.requested == ["a", "b", "c", "d"]
        await remove_orphan_blobs(relay)  # too early to try the failed blobs again
        assert blobs.requested == ["a", "b", "c", "d"]
        clock.advance(minutes=1)
        blobs.refused_names = {"b"}
        await assert_removal_fails(relay)
        assert await orphan_names(relay) == ["b"]
        clock.advance(minutes=1)
        blobs.refused_names = set()
        await remove_orphan_blobs(relay)
        assert await orphan_names(relay) == []

    asyncio.run(run_scenario())


def test_sweep_stops_after_three_failed_deletions(row_store: RowStore) -> None:
    """Each failure may take minutes. The sweep of the next minute tries other blobs first."""

    async def run_scenario() -> None:
        clock, blobs = SettableClock(), RefusingStore(*"abcde")
        relay = Relay(row_store, blobs, clock, SeededRandomSource())
        await add_orphans(relay, *"abcdef")
        await assert_removal_fails(relay)
        assert blobs.requested == [*"abc"]
        clock.advance(minutes=1)
        await assert_removal_fails(relay)
        assert blobs.requested == [*"abcdefa"]
        assert await orphan_names(relay) == [*"abcde"]

    asyncio.run(run_scenario())


def test_orphan_row_removed_by_another_relay_is_not_recreated() -> None:
    async def run_scenario() -> None:
        row_store = MemoryRowStore()
        blobs = RefusingStore("a")
        relay = Relay(row_store, blobs, SettableClock(), SeededRandomSource())
        await add_orphans(relay, "a")
        refuse = blobs.drop

        async def drop(name: str) -> None:
            await row_store.transact(lambda tx: tx.drop(OrphanBlob, name))
            await refuse(name)

        blobs.drop = drop  # type: ignore[method-assign]
        await assert_removal_fails(relay)
        assert await orphan_names(relay) == []

    asyncio.run(run_scenario())


def clean_up_after_restore(relay: Relay) -> Awaitable[object]:
    return delete_untrusted_rows(relay, frozenset(), with_shares=True)


@pytest.mark.threat("account-takeover")
@pytest.mark.parametrize("clean_up", [expire, clean_up_after_restore], ids=["sweep", "restore"])
def test_deleted_message_is_erased_although_blobs_cannot_be_deleted(
    tmp_path: Path, clean_up: Callable[[Relay], Awaitable[object]]
) -> None:
    with disk_relay(tmp_path, SettableClock()) as disk:
        relay = replace(disk, blobs=RefusingStore("a"))

        async def run_scenario() -> None:
            await relay.mail.transact(lambda tx: tx.put(STORED_LETTER))
            await add_orphans(relay, "a")
            await relay.mail.transact(lambda tx: tx.drop(StoredLetter, STORED_LETTER.envelope))
            assert count_found_in_files(tmp_path, [SEALED_BYTES[:24]]) == 1
            with pytest.raises(DiskFailed):
                await clean_up(relay)
            assert count_found_in_files(tmp_path, [SEALED_BYTES[:24]]) == 0

        asyncio.run(run_scenario())


@pytest.mark.threat("account-takeover")
def test_unresponsive_store_does_not_delay_message_erasure(tmp_path: Path) -> None:
    """The relay's background tasks erase the message while the blob store never answers."""
    with disk_relay(tmp_path, SettableClock()) as disk:
        relay = replace(disk, blobs=UnresponsiveStore())

        async def run_scenario() -> None:
            await relay.mail.transact(lambda tx: tx.put(STORED_LETTER))
            await add_orphans(relay, "a")
            await relay.mail.transact(lambda tx: tx.drop(StoredLetter, STORED_LETTER.envelope))
            app: Any = relay_app(relay)
            async with app._app.router.lifespan_context(app._app):
                while count_found_in_files(tmp_path, [SEALED_BYTES[:24]]):  # noqa: ASYNC110 -- polls a file
                    await asyncio.sleep(0.01)

        asyncio.run(asyncio.wait_for(run_scenario(), 20))


class SlowStore(MemoryBlobs):
    """A blob store that takes time for each deletion, as a busy disk does."""

    async def drop(self, name: str) -> None:
        await asyncio.sleep(0.01)
        await super().drop(name)


async def take_back_message(relay: Relay, message: SampleMessage) -> None:
    status = await withdraw(message.id, message.withdraw, relay)
    assert status.state is EnvelopeState.TAKEN_BACK


async def open_message(relay: Relay, message: SampleMessage) -> None:
    attempt = message.new_attempt()
    await release_key_share(message.id, message.open, attempt, relay)
    await finish_attempt(message.id, message.open, attempt, relay)


async def let_message_expire(relay: Relay, message: SampleMessage) -> None:
    relay.clock.advance(days=7)  # type: ignore[attr-defined]
    with pytest.raises(Expired):
        await release_key_share(message.id, message.open, message.new_attempt(), relay)


async def close_mailbox(relay: Relay, message: SampleMessage) -> None:
    await delete_mailbox_with_contents(message.mailbox, message.owner, relay)


EndMessage = Callable[[Relay, SampleMessage], Awaitable[None]]
IN_EACH_WAY_TO_END_A_MESSAGE = pytest.mark.parametrize(
    "end_message", [take_back_message, open_message, let_message_expire, close_mailbox]
)


async def relay_with_ended_message(
    blobs: MemoryBlobs, end_message: EndMessage, *orphans: str
) -> Relay:
    """Return a relay where a message with a blob has just ended.

    The relay also has orphan blobs with the names ``orphans``.
    """
    relay, message = replace(memory_relay(), blobs=blobs), SampleMessage()
    await create_mailbox_and_post(relay, message, opens=1)
    await add_orphans(relay, *orphans)
    await end_message(relay, message)
    return relay


@IN_EACH_WAY_TO_END_A_MESSAGE
def test_ending_a_message_does_not_wait_for_other_blobs(end_message: EndMessage) -> None:
    """Somebody else's deleted mailbox may leave thousands of orphan blobs."""

    async def run_scenario() -> None:
        others = [f"{number:04}" for number in range(1000)]
        blobs = SlowStore()
        relay = await asyncio.wait_for(relay_with_ended_message(blobs, end_message, *others), 5)
        assert len(blobs) == 0
        assert await orphan_names(relay) == others

    asyncio.run(run_scenario())


class FailingStore(MemoryBlobs):
    """A blob store that refuses every deletion."""

    async def drop(self, _: str) -> None:
        raise DiskFailed


@IN_EACH_WAY_TO_END_A_MESSAGE
@pytest.mark.parametrize("store_class", [FailingStore, UnresponsiveStore])
def test_unreachable_store_does_not_keep_messages_from_ending(
    store_class: type[MemoryBlobs], end_message: EndMessage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message ends. The relay records that the blob is an orphan, and deletes it later."""
    monkeypatch.setattr("entrenous.carry.expire._ORPHAN_REMOVAL_S_MAX", 0.05)

    async def run_scenario() -> None:
        blobs = store_class()
        relay = await asyncio.wait_for(relay_with_ended_message(blobs, end_message), 5)
        assert len(blobs) == len(await orphan_names(relay)) == 1
        again = replace(relay, blobs=MemoryBlobs())
        await expire(again)
        assert await orphan_names(relay) == []

    asyncio.run(run_scenario())


def test_large_mailbox_is_deleted_while_the_store_is_unresponsive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The relay empties the mailbox in batches, and waits for the store only at the end."""
    monkeypatch.setattr("entrenous.carry.expire._ORPHAN_REMOVAL_S_MAX", 0.3)

    async def run_scenario() -> None:
        relay, message = replace(memory_relay(), blobs=UnresponsiveStore()), SampleMessage()
        await create_mailbox(message.mailbox, token_hash(message.owner), relay)
        row = StoredUpload(message.blob_id, "", message.mailbox, 9, b"", b"", b"", message.until)
        uploads = [
            msgspec.structs.replace(row, blob=BlobId(message.random_source.token(16)), name=f"{n}")
            for n in range(3000)
        ]
        await relay.mail.transact(lambda tx: [tx.put(one) for one in uploads])
        await asyncio.wait_for(
            delete_mailbox_with_contents(message.mailbox, message.owner, relay), 1.5
        )
        assert len(await orphan_names(relay)) == 3000
        assert await relay.mail.read(lambda view: view.count(StoredMailbox)) == 0

    asyncio.run(run_scenario())
