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
from tests.postgres import Cluster, run_cluster

# The event loop's wake-up channel is a socket pair.
pytestmark = pytest.mark.usefixtures("socket_enabled")

HERE, THERE = MailboxId(b"h" * 16), MailboxId(b"t" * 16)
Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(params=["local", pytest.param("postgres", marks=pytest.mark.real)])
def wake_ups(request: pytest.FixtureRequest) -> Iterator[WakeUps]:
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


def test_wake_up_between_listening_and_waiting_is_received(wake_ups: WakeUps, run: Run) -> None:
    async def story() -> bool:
        with wake_ups.listen(HERE) as wait:
            wake_ups.wake(HERE)
            return await wait(20)

    assert run(story()) is True


def test_wake_up_reaches_all_listeners_of_its_mailbox_only(wake_ups: WakeUps, run: Run) -> None:
    async def story() -> list[bool]:
        with (
            wake_ups.listen(HERE) as one,
            wake_ups.listen(HERE) as two,
            wake_ups.listen(THERE) as other,
        ):
            wake_ups.wake(HERE)
            return await both(one(20), two(20), other(0))

    assert run(story()) == [True, True, False]


async def until_notifications_delivered(wake_ups: WakeUps) -> None:
    """Wait until PostgreSQL has delivered this process's earlier notifications to it.

    It delivers them in the order of their commits, but those of one commit in any order. Therefore
    a second notification, sent after the first one was delivered, comes after all earlier ones.
    """
    if isinstance(wake_ups, PostgresWakeUps):
        with wake_ups.listen(THERE) as wait:
            for _ in range(2):
                wake_ups.wake(THERE)
                await wait(0)  # from this process
                await wait(20)  # from the database


def test_wake_up_before_listening_is_not_received(wake_ups: WakeUps, run: Run) -> None:
    async def story() -> bool:
        wake_ups.wake(HERE)
        await until_notifications_delivered(wake_ups)
        with wake_ups.listen(HERE) as wait:
            return await wait(0)

    assert run(story()) is False


def test_listeners_do_not_wait_once_the_relay_stops(wake_ups: WakeUps, run: Run) -> None:
    async def story() -> list[bool]:
        with wake_ups.listen(HERE) as wait:
            wake_ups.stop_waiting()
            first = await wait(20)
        with wake_ups.listen(THERE) as wait:
            return [first, await wait(20)]

    assert run(story()) == [True, True]


def test_second_listening_does_not_receive_an_earlier_wake_up(wake_ups: WakeUps, run: Run) -> None:
    async def story() -> list[bool]:
        with wake_ups.listen(HERE) as wait:
            wake_ups.wake(HERE)
            first = await wait(20)
        with wake_ups.listen(HERE) as wait:
            return [first, await wait(0)]

    assert run(story()) == [True, False]


@pytest.fixture(params=["local", pytest.param("postgres", marks=pytest.mark.real)])
def bounded(request: pytest.FixtureRequest) -> Iterator[WakeUps]:
    """Yield wake-ups for two listeners per mailbox, three per network and five in all."""
    limits = LongPollLimits(mailbox=2, network=3, total=5)
    if request.param == "local":
        yield LocalWakeUps(limits)
        return
    url = request.getfixturevalue("postgres").url("ours")
    made = PostgresWakeUps(partial(connect_postgres, url), limits)
    yield made
    made.close()


async def indices_that_yield(wake_ups: WakeUps, *listeners: tuple[int, bytes]) -> list[int]:
    """Return the indices of the listeners (mailbox, network) that yield; others are woken."""
    with ExitStack() as listening:
        waiting = []
        for mailbox, network in listeners:
            wait = listening.enter_context(
                wake_ups.listen(MailboxId(bytes([mailbox]) * 16), network)
            )
            waiting.append(asyncio.create_task(wait(20)))
        await asyncio.sleep(0)  # listeners that have to yield return at once
        wake_ups.stop_waiting()
        results = await asyncio.gather(*waiting)
    return [number for number, woken in enumerate(results) if not woken]


def test_oldest_listener_yields_at_a_full_mailbox(bounded: WakeUps, run: Run) -> None:
    assert run(indices_that_yield(bounded, (1, b"a"), (2, b"b"), (1, b"c"), (1, b"d"))) == [0]


def test_oldest_listener_yields_in_a_full_network(bounded: WakeUps, run: Run) -> None:
    busy = [(number, b"crowd") for number in range(1, 5)]
    assert run(indices_that_yield(bounded, (9, b"home"), *busy)) == [1]


def test_network_with_most_listeners_yields_when_all_is_full(bounded: WakeUps, run: Run) -> None:
    """The oldest listener of all stays, so nobody can displace others by reconnecting."""
    one, many = [(1, b"home")], [(number, b"many") for number in range(2, 5)]
    more = [(number, b"more") for number in range(5, 8)]
    assert run(indices_that_yield(bounded, *one, *many, *more)) == [1, 2]


def test_mailboxes_are_treated_equally_without_known_networks(bounded: WakeUps, run: Run) -> None:
    assert run(
        indices_that_yield(bounded, (1, b""), (2, b""), (2, b""), (3, b""), (4, b""), (5, b""))
    ) == [1]


def test_listener_that_yielded_frees_its_place(bounded: WakeUps, run: Run) -> None:
    async def story() -> list[int]:
        for _ in range(3):
            await indices_that_yield(bounded, *[(number, b"x") for number in range(9)])
        return await indices_that_yield(
            bounded, *[(number, bytes([number])) for number in range(1, 6)]
        )

    assert run(story()) == []


@pytest.mark.real
def test_wake_up_reaches_another_process(postgres: Cluster, run: Run) -> None:
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
    with run_cluster("-c fsync=off") as own:
        here, there = (
            PostgresWakeUps(partial(connect_postgres, own.url("ours"))) for _ in range(2)
        )
        assert there.wait_until_listening(20)
        own.stop()

        async def story() -> bool:
            with here.listen(HERE) as wait:
                here.wake(HERE)
                return await wait(20)

        async def again() -> bool:
            with there.listen(THERE) as wait:
                for _ in range(100):
                    here.wake(THERE)
                    if await wait(0.2):
                        return True
            return False

        assert run(story())
        own.start("-c fsync=off")
        assert run(again())
        here.close()
        there.close()
