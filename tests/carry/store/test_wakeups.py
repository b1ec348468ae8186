"""Tests that every WakeUps passes, and some for PostgreSQL only."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from entrenous.base.identifiers import MailboxId
from entrenous.carry.relay import WakeUps
from entrenous.carry.relay_settings import LongPollLimits
from entrenous.carry.store.postgres import PostgresWakeUps, connect_postgres
from entrenous.carry.wake_ups import LocalWakeUps
from tests.postgres import Cluster, cluster

# The event loop's wake-up channel is a socket pair.
pytestmark = pytest.mark.usefixtures("socket_enabled")

HERE, THERE = MailboxId(b"h" * 16), MailboxId(b"t" * 16)
Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(params=["local", pytest.param("postgres", marks=pytest.mark.real)])
def bell(request: pytest.FixtureRequest) -> Iterator[WakeUps]:
    if request.param == "local":
        yield LocalWakeUps()
        return
    made = PostgresWakeUps(
        partial(connect_postgres, request.getfixturevalue("postgres").url("ours"))
    )
    yield made
    made.close()


async def both(*waiting: Any) -> list[Any]:
    return list(await asyncio.gather(*waiting))


def test_wake_up_between_listening_and_waiting_is_received(bell: WakeUps, run: Run) -> None:
    async def story() -> bool:
        with bell.listen(HERE) as rings:
            bell.wake(HERE)
            return await rings(20)

    assert run(story()) is True


def test_wake_up_reaches_all_listeners_of_its_mailbox_only(bell: WakeUps, run: Run) -> None:
    async def story() -> list[bool]:
        with bell.listen(HERE) as one, bell.listen(HERE) as two, bell.listen(THERE) as other:
            bell.wake(HERE)
            return await both(one(20), two(20), other(0))

    assert run(story()) == [True, True, False]


async def until_the_database_returned(bell: WakeUps) -> None:
    """Wait until PostgreSQL has delivered this process's earlier notifications to it.

    It delivers them in the order of their commits, but those of one commit in any order. Therefore
    a second notification, sent after the first one was delivered, comes after all earlier ones.
    """
    if isinstance(bell, PostgresWakeUps):
        with bell.listen(THERE) as rings:
            for _ in range(2):
                bell.wake(THERE)
                await rings(0)  # from this process
                await rings(20)  # from the database


def test_wake_up_before_listening_is_not_received(bell: WakeUps, run: Run) -> None:
    async def story() -> bool:
        bell.wake(HERE)
        await until_the_database_returned(bell)
        with bell.listen(HERE) as rings:
            return await rings(0)

    assert run(story()) is False


def test_listeners_do_not_wait_once_the_relay_stops(bell: WakeUps, run: Run) -> None:
    async def story() -> list[bool]:
        with bell.listen(HERE) as rings:
            bell.stop_waiting()
            first = await rings(20)
        with bell.listen(THERE) as rings:
            return [first, await rings(20)]

    assert run(story()) == [True, True]


def test_second_listening_does_not_receive_an_earlier_wake_up(bell: WakeUps, run: Run) -> None:
    async def story() -> list[bool]:
        with bell.listen(HERE) as rings:
            bell.wake(HERE)
            first = await rings(20)
        with bell.listen(HERE) as rings:
            return [first, await rings(0)]

    assert run(story()) == [True, False]


@pytest.fixture(params=["local", pytest.param("postgres", marks=pytest.mark.real)])
def small(request: pytest.FixtureRequest) -> Iterator[WakeUps]:
    """Yield wake-ups for two listeners per mailbox, three per network and five in all."""
    bounds = LongPollLimits(mailbox=2, network=3, total=5)
    if request.param == "local":
        yield LocalWakeUps(bounds)
        return
    url = request.getfixturevalue("postgres").url("ours")
    made = PostgresWakeUps(partial(connect_postgres, url), bounds)
    yield made
    made.close()


async def yielded(bell: WakeUps, *listeners: tuple[int, bytes]) -> list[int]:
    """Return the indices of the listeners (mailbox, network) that yield; others are woken."""
    with ExitStack() as listening:
        waiting = []
        for mailbox, network in listeners:
            rings = listening.enter_context(bell.listen(MailboxId(bytes([mailbox]) * 16), network))
            waiting.append(asyncio.create_task(rings(20)))
        await asyncio.sleep(0)  # listeners that have to yield return at once
        bell.stop_waiting()
        heard = await asyncio.gather(*waiting)
    return [number for number, rung in enumerate(heard) if not rung]


def test_oldest_listener_yields_at_a_full_mailbox(small: WakeUps, run: Run) -> None:
    assert run(yielded(small, (1, b"a"), (2, b"b"), (1, b"c"), (1, b"d"))) == [0]


def test_oldest_listener_yields_in_a_full_network(small: WakeUps, run: Run) -> None:
    crowd = [(number, b"crowd") for number in range(1, 5)]
    assert run(yielded(small, (9, b"home"), *crowd)) == [1]


def test_network_with_most_listeners_yields_when_all_is_full(small: WakeUps, run: Run) -> None:
    """The oldest listener of all stays, so nobody can displace others by reconnecting."""
    one, many = [(1, b"home")], [(number, b"many") for number in range(2, 5)]
    more = [(number, b"more") for number in range(5, 8)]
    assert run(yielded(small, *one, *many, *more)) == [1, 2]


def test_mailboxes_are_treated_equally_without_known_networks(small: WakeUps, run: Run) -> None:
    assert run(yielded(small, (1, b""), (2, b""), (2, b""), (3, b""), (4, b""), (5, b""))) == [1]


def test_listener_that_yielded_frees_its_place(small: WakeUps, run: Run) -> None:
    async def story() -> list[int]:
        for _ in range(3):
            await yielded(small, *[(number, b"x") for number in range(9)])
        return await yielded(small, *[(number, bytes([number])) for number in range(1, 6)])

    assert run(story()) == []


@pytest.mark.real
def test_a_ring_is_heard_in_another_process(postgres: Cluster, run: Run) -> None:
    """Two instances stand for two processes, since they share only the database."""
    here, there = (
        PostgresWakeUps(partial(connect_postgres, postgres.url("ours"))) for _ in range(2)
    )

    async def story() -> list[bool]:
        with there.listen(HERE) as one, there.listen(THERE) as other:
            here.wake(HERE)
            return await both(one(20), other(0.2))

    assert there.wait_until_listening(20)
    assert run(story()) == [True, False]
    here.close()
    there.close()


@pytest.mark.real
def test_wake_ups_survive_a_database_restart(run: Run) -> None:
    """Wake-ups work within the process meanwhile, and between processes again afterwards."""
    with cluster("-c fsync=off") as own:
        here, there = (
            PostgresWakeUps(partial(connect_postgres, own.url("ours"))) for _ in range(2)
        )
        assert there.wait_until_listening(20)
        own.stop()

        async def story() -> bool:
            with here.listen(HERE) as rings:
                here.wake(HERE)
                return await rings(20)

        async def again() -> bool:
            with there.listen(THERE) as rings:
                for _ in range(100):
                    here.wake(THERE)
                    if await rings(0.2):
                        return True
            return False

        assert run(story())
        own.start("-c fsync=off")
        assert run(again())
        here.close()
        there.close()
