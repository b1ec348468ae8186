"""A store of blobs that refuses holds up neither the rows nor the blobs that it would let go."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from entrenous.adapters.blobs.memory import MemoryBlobs
from entrenous.adapters.mail.memory import MemoryMail
from entrenous.adapters.mail.postgres import PostgresMail, open_postgres
from entrenous.adapters.mail.sqlite import SqliteMail, open_mail
from entrenous.carry.leftovers import remove_leftovers
from entrenous.carry.restore import fail_closed
from entrenous.faces.relay.app import relay_app
from entrenous.model.held import HeldLetter, Leftover
from entrenous.model.ids import EnvelopeId, MailboxId
from entrenous.model.relay_problem import DiskFailed
from entrenous.ports import MailStore, Relay
from tests.carry.minute import expire
from tests.carry.relays import NOON, CountingDice, WoundClock, disk_relay
from tests.carry.test_expire import found_in

# An event loop wakes itself through a pair of sockets.
pytestmark = pytest.mark.usefixtures("socket_enabled")

SEALED = b"a letter that was deleted " * 20
LETTER = HeldLetter(
    EnvelopeId(b"E" * 16), MailboxId(b"M" * 16), 1, SEALED, NOON + timedelta(days=1)
)


class Refusing(MemoryBlobs):
    """Does not let go of some, and notes whom it was asked for."""

    def __init__(self, *stuck: str) -> None:
        super().__init__()
        self.stuck, self.asked = set(stuck), list[str]()

    async def drop(self, name: str) -> None:
        self.asked.append(name)
        if name in self.stuck:
            raise DiskFailed


class Silent(MemoryBlobs):
    """A bucket that is away: it never says so."""

    async def drop(self, _: str) -> None:
        await asyncio.Event().wait()


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.real)])
def mail(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MailStore]:
    if request.param == "memory":
        yield MemoryMail()
        return
    store: SqliteMail | PostgresMail
    if request.param == "sqlite":
        store = open_mail(tmp_path / "mail.db")
    else:
        store = open_postgres(request.getfixturevalue("postgres").fresh())
    yield store
    store.close()


async def leave(relay: Relay, *names: str) -> None:
    """Names that are due, the first one longest."""
    first = relay.clock.now() - timedelta(seconds=len(names))
    for number, name in enumerate(names):
        row = Leftover(name, first + timedelta(seconds=number))
        await relay.mail.together(lambda desk, row=row: desk.put(row))


async def left(relay: Relay) -> list[str]:
    return [row.name for row in await relay.mail.look(lambda view: view.find(Leftover))]


async def fails(relay: Relay) -> None:
    with pytest.raises(DiskFailed):
        await remove_leftovers(relay)


def test_what_fails_goes_behind_all_others(mail: MailStore) -> None:
    """And is told; it goes a minute later, if the store lets it then."""

    async def story() -> None:
        clock, blobs = WoundClock(), Refusing("a", "b")
        relay = Relay(mail, blobs, clock, CountingDice())
        await leave(relay, "a", "b", "c", "d")
        await fails(relay)
        assert await left(relay) == ["a", "b"]
        assert blobs.asked == ["a", "b", "c", "d"]
        await remove_leftovers(relay)  # of a request meanwhile, which is not held up
        assert blobs.asked == ["a", "b", "c", "d"]
        clock.wind(minutes=1)
        blobs.stuck = {"b"}
        await fails(relay)
        assert await left(relay) == ["b"]
        clock.wind(minutes=1)
        blobs.stuck = set()
        await remove_leftovers(relay)
        assert await left(relay) == []

    asyncio.run(story())


def test_of_a_store_that_is_away_no_more_than_three_are_asked_for(mail: MailStore) -> None:
    """Each may take minutes to fail. The next sweep asks for others first."""

    async def story() -> None:
        clock, blobs = WoundClock(), Refusing(*"abcde")
        relay = Relay(mail, blobs, clock, CountingDice())
        await leave(relay, *"abcdef")
        await fails(relay)
        assert blobs.asked == [*"abc"]
        clock.wind(minutes=1)
        await fails(relay)
        assert blobs.asked == [*"abcdefa"]
        assert await left(relay) == [*"abcde"]

    asyncio.run(story())


def test_a_name_that_another_relay_removed_meanwhile_does_not_come_back() -> None:
    async def story() -> None:
        mail = MemoryMail()
        blobs = Refusing("a")
        relay = Relay(mail, blobs, WoundClock(), CountingDice())
        await leave(relay, "a")
        refuse = blobs.drop

        async def drop(name: str) -> None:
            await mail.together(lambda desk: desk.drop(Leftover, name))
            await refuse(name)

        blobs.drop = drop  # type: ignore[method-assign]
        await fails(relay)
        assert await left(relay) == []

    asyncio.run(story())


def restore(relay: Relay) -> Awaitable[object]:
    return fail_closed(relay, frozenset(), with_shares=True)


@pytest.mark.threat("account-takeover")
@pytest.mark.parametrize("sweep", [expire, restore], ids=["sweep", "restore"])
def test_a_deleted_letter_is_off_the_medium_while_blobs_do_not_go(
    tmp_path: Path, sweep: Callable[[Relay], Awaitable[object]]
) -> None:
    with disk_relay(tmp_path, WoundClock()) as disk:
        relay = replace(disk, blobs=Refusing("a"))

        async def story() -> None:
            await relay.mail.together(lambda desk: desk.put(LETTER))
            await leave(relay, "a")
            await relay.mail.together(lambda desk: desk.drop(HeldLetter, LETTER.envelope))
            assert found_in(tmp_path, [SEALED[:24]]) == 1
            with pytest.raises(DiskFailed):
                await sweep(relay)
            assert found_in(tmp_path, [SEALED[:24]]) == 0

        asyncio.run(story())


@pytest.mark.threat("account-takeover")
def test_nor_does_a_bucket_that_says_nothing_keep_it_there(tmp_path: Path) -> None:
    """What a running relay does each minute, while a blob is waited for."""
    with disk_relay(tmp_path, WoundClock()) as disk:
        relay = replace(disk, blobs=Silent())

        async def story() -> None:
            await relay.mail.together(lambda desk: desk.put(LETTER))
            await leave(relay, "a")
            await relay.mail.together(lambda desk: desk.drop(HeldLetter, LETTER.envelope))
            app: Any = relay_app(relay)
            async with app._app.router.lifespan_context(app._app):
                while found_in(tmp_path, [SEALED[:24]]):  # noqa: ASYNC110 -- a file says nothing
                    await asyncio.sleep(0.01)

        asyncio.run(asyncio.wait_for(story(), 20))
