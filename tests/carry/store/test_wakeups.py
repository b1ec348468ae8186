"""Tests of wake-ups in one process and through PostgreSQL, and of limits on listeners."""

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

MAILBOX, OTHER_MAILBOX = MailboxId(b"h" * 16), MailboxId(b"t" * 16)
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
    wake_ups = PostgresWakeUps(
        partial(connect_postgres, request.getfixturevalue("postgres").url("relay_template"))
    )
    assert wake_ups.wait_until_listening(20)
    yield wake_ups
    wake_ups.close()


async def gather_results(*waiting: Any) -> list[Any]:
    return list(await asyncio.gather(*waiting))


def test_wake_up_between_listening_and_waiting_is_received(wake_ups: WakeUps, run: Run) -> None:
    async def run_scenario() -> bool:
        with wake_ups.listen(MAILBOX) as wait:
            wake_ups.wake(MAILBOX)
            return await wait(20)

    assert run(run_scenario()) is True


def test_wake_up_reaches_all_listeners_of_its_mailbox_only(wake_ups: WakeUps, run: Run) -> None:
    async def run_scenario() -> list[bool]:
        with (
            wake_ups.listen(MAILBOX) as one,
            wake_ups.listen(MAILBOX) as two,
            wake_ups.listen(OTHER_MAILBOX) as other,
        ):
            wake_ups.wake(MAILBOX)
            return await gather_results(one(20), two(20), other(0))

    assert run(run_scenario()) == [True, True, False]


async def wait_until_notifications_are_delivered(wake_ups: WakeUps) -> None:
    """Wait until this process has received its own earlier notifications from PostgreSQL.

    Notifications of one batch are delivered in any order, but a batch only after the batch before
    it. So when the second of two successive notifications arrives, all earlier ones have arrived.
    """
    if isinstance(wake_ups, PostgresWakeUps):
        for _ in range(2):
            with wake_ups.listen(OTHER_MAILBOX):  # listening stores the running event loop
                pass
            wake_ups.wake(OTHER_MAILBOX)  # nobody in this process listens yet
            with wake_ups.listen(OTHER_MAILBOX) as wait:
                assert await wait(20)  # the database delivers the notification


def test_wake_up_before_listening_is_not_received(wake_ups: WakeUps, run: Run) -> None:
    async def run_scenario() -> bool:
        wake_ups.wake(MAILBOX)
        await wait_until_notifications_are_delivered(wake_ups)
        with wake_ups.listen(MAILBOX) as wait:
            return await wait(0)

    assert run(run_scenario()) is False


def test_listeners_are_woken_when_the_relay_stops(wake_ups: WakeUps, run: Run) -> None:
    async def run_scenario() -> list[bool]:
        with wake_ups.listen(MAILBOX) as wait:
            wake_ups.stop_waiting()
            first = await wait(20)
        with wake_ups.listen(OTHER_MAILBOX) as wait:
            return [first, await wait(20)]

    assert run(run_scenario()) == [True, True]


def test_second_listening_does_not_receive_an_earlier_wake_up(wake_ups: WakeUps, run: Run) -> None:
    async def run_scenario() -> list[bool]:
        with wake_ups.listen(MAILBOX) as wait:
            wake_ups.wake(MAILBOX)
            first = await wait(20)
        with wake_ups.listen(MAILBOX) as wait:
            return [first, await wait(0)]

    assert run(run_scenario()) == [True, False]


@pytest.fixture(params=["local", pytest.param("postgres", marks=pytest.mark.real)])
def limited_wake_ups(request: pytest.FixtureRequest) -> Iterator[WakeUps]:
    """Yield wake-ups for two listeners per mailbox, three per network and five in all."""
    limits = LongPollLimits(mailbox=2, network=3, total=5)
    if request.param == "local":
        yield LocalWakeUps(limits)
        return
    url = request.getfixturevalue("postgres").url("relay_template")
    wake_ups = PostgresWakeUps(partial(connect_postgres, url), limits)
    yield wake_ups
    wake_ups.close()


async def displaced_listeners(wake_ups: WakeUps, *listeners: tuple[int, bytes]) -> list[int]:
    """Start a listener for each pair (mailbox, network), and return the indices of the displaced
    listeners.
    """
    with ExitStack() as listening:
        waiting = []
        for mailbox, network in listeners:
            wait = listening.enter_context(
                wake_ups.listen(MailboxId(bytes([mailbox]) * 16), network)
            )
            waiting.append(asyncio.create_task(wait(20)))
        await asyncio.sleep(0)  # displaced listeners return at once
        wake_ups.stop_waiting()
        results = await asyncio.gather(*waiting)
    return [number for number, woken in enumerate(results) if not woken]


def test_oldest_listener_at_a_full_mailbox_is_displaced(
    limited_wake_ups: WakeUps, run: Run
) -> None:
    assert run(
        displaced_listeners(limited_wake_ups, (1, b"a"), (2, b"b"), (1, b"c"), (1, b"d"))
    ) == [0]


def test_oldest_listener_of_a_full_network_is_displaced(
    limited_wake_ups: WakeUps, run: Run
) -> None:
    same_network = [(number, b"crowd") for number in range(1, 5)]
    assert run(displaced_listeners(limited_wake_ups, (9, b"home"), *same_network)) == [1]


def test_full_relay_displaces_listeners_of_the_largest_network(
    limited_wake_ups: WakeUps, run: Run
) -> None:
    """The oldest listener of all stays: it is alone in its network."""
    one, many = [(1, b"home")], [(number, b"many") for number in range(2, 5)]
    more = [(number, b"more") for number in range(5, 8)]
    assert run(displaced_listeners(limited_wake_ups, *one, *many, *more)) == [1, 2]


def test_full_relay_displaces_listeners_of_the_largest_mailbox(
    limited_wake_ups: WakeUps, run: Run
) -> None:
    assert run(
        displaced_listeners(
            limited_wake_ups, (1, b""), (2, b""), (2, b""), (3, b""), (4, b""), (5, b"")
        )
    ) == [1]


def test_displaced_listener_frees_its_place(limited_wake_ups: WakeUps, run: Run) -> None:
    async def run_scenario() -> list[int]:
        for _ in range(3):
            await displaced_listeners(limited_wake_ups, *[(number, b"x") for number in range(9)])
        return await displaced_listeners(
            limited_wake_ups, *[(number, bytes([number])) for number in range(1, 6)]
        )

    assert run(run_scenario()) == []


@pytest.mark.real
def test_wake_up_reaches_another_process(postgres: Cluster, run: Run) -> None:
    """Two instances stand for two processes: they share only the database."""
    sending_relay, listening_relay = (
        PostgresWakeUps(partial(connect_postgres, postgres.url("relay_template"))) for _ in range(2)
    )

    async def run_scenario() -> list[bool]:
        with listening_relay.listen(MAILBOX) as one, listening_relay.listen(OTHER_MAILBOX) as other:
            sending_relay.wake(MAILBOX)
            return await gather_results(one(20), other(0.2))

    assert listening_relay.wait_until_listening(20)
    assert run(run_scenario()) == [True, False]
    sending_relay.close()
    listening_relay.close()


@pytest.mark.real
def test_wake_ups_survive_a_database_restart(run: Run) -> None:
    """While the database is down, wake-ups work within one instance. After the restart, they work
    between two instances.
    """
    with run_cluster("-c fsync=off") as own:
        sending_relay, listening_relay = (
            PostgresWakeUps(partial(connect_postgres, own.url("relay_template"))) for _ in range(2)
        )
        assert listening_relay.wait_until_listening(20)
        own.stop()

        async def run_scenario() -> bool:
            with sending_relay.listen(MAILBOX) as wait:
                sending_relay.wake(MAILBOX)
                return await wait(20)

        async def receive_after_restart() -> bool:
            with listening_relay.listen(OTHER_MAILBOX) as wait:
                for _ in range(100):
                    sending_relay.wake(OTHER_MAILBOX)
                    if await wait(0.2):
                        return True
            return False

        assert run(run_scenario())
        own.start("-c fsync=off")
        assert run(receive_after_restart())
        sending_relay.close()
        listening_relay.close()
