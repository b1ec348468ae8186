"""Tests of releasing a share: the limit, concurrent requests, and the count of openings."""

import asyncio
from pathlib import Path

import pytest

from entrenous.base.errors import TakenBack, UsedUp
from entrenous.base.limits import OPENINGS_PER_SHARE_MAX
from entrenous.base.secret import Secret
from entrenous.carry.relay import Relay
from entrenous.carry.release import finish_attempt, release_key_share
from entrenous.carry.withdraw import envelope_status, withdraw
from tests.carry.relays import SampleMessage, disk_relay, new_relay, run
from tests.carry.test_expire import create_mailbox_and_post
from tests.deterministic import SettableClock


async def open_concurrently(
    relay: Relay, message: SampleMessage, attempt_count: int
) -> list[object]:
    openings = [
        release_key_share(message.id, message.open, n.to_bytes(16), relay)
        for n in range(attempt_count)
    ]
    return await asyncio.gather(*openings, return_exceptions=True)


@pytest.mark.parametrize("opens", [1, 3])
def test_concurrent_openings_never_exceed_the_limit(tmp_path: Path, opens: int) -> None:
    message = SampleMessage()
    with disk_relay(tmp_path, SettableClock()) as relay:
        asyncio.run(create_mailbox_and_post(relay, message, opens))
        outcomes = asyncio.run(open_concurrently(relay, message, 100))
    assert sum(isinstance(one, Secret) for one in outcomes) == opens
    assert sum(isinstance(one, UsedUp) for one in outcomes) == 100 - opens


def test_withdrawal_amid_concurrent_openings_reports_their_number(tmp_path: Path) -> None:
    message = SampleMessage()
    with disk_relay(tmp_path, SettableClock()) as relay:
        asyncio.run(create_mailbox_and_post(relay, message))

        async def open_and_withdraw() -> tuple[list[object], list[object], int]:
            one, status, two = await asyncio.gather(
                open_concurrently(relay, message, 40),
                withdraw(message.id, message.withdraw, relay),
                open_concurrently(relay, message, 80),
            )
            return one, two, status.opened

        one, two, opened = asyncio.run(open_and_withdraw())
    assert all(isinstance(outcome, Secret | TakenBack) for outcome in one + two)
    released = {
        n for row in (one, two) for n, outcome in enumerate(row) if isinstance(outcome, Secret)
    }
    assert len(released) == opened
    assert any(isinstance(outcome, TakenBack) for outcome in two)


@pytest.mark.slow
def test_openings_after_the_thousandth_are_not_counted() -> None:
    relay, message = new_relay(), SampleMessage()

    async def run_scenario() -> None:
        await create_mailbox_and_post(relay, message)
        for n in range(OPENINGS_PER_SHARE_MAX + 3):
            share = await release_key_share(message.id, message.open, n.to_bytes(16), relay)
            assert share == message.share
        status = await envelope_status(message.id, message.withdraw, relay)
        assert status.opened == OPENINGS_PER_SHARE_MAX

    run(run_scenario())


def test_finished_attempt_cannot_be_repeated() -> None:
    """If somebody with a copy of the device's disk repeats a finished attempt, the relay refuses it
    and counts no further opening.
    """
    relay, message = new_relay(), SampleMessage()
    run(create_mailbox_and_post(relay, message, 2))
    attempt = message.new_attempt()
    for _ in range(3):
        assert run(release_key_share(message.id, message.open, attempt, relay)) == message.share
    run(finish_attempt(message.id, message.open, attempt, relay))
    with pytest.raises(UsedUp):
        run(release_key_share(message.id, message.open, attempt, relay))
    assert run(envelope_status(message.id, message.withdraw, relay)).opened == 1
    assert (
        run(release_key_share(message.id, message.open, message.new_attempt(), relay))
        == message.share
    )


def test_unlimited_envelope_opens_repeatedly_with_one_attempt() -> None:
    relay, message = new_relay(), SampleMessage()
    run(create_mailbox_and_post(relay, message, None))
    attempt = message.new_attempt()
    for _ in range(2):
        assert run(release_key_share(message.id, message.open, attempt, relay)) == message.share
        run(finish_attempt(message.id, message.open, attempt, relay))
    assert run(envelope_status(message.id, message.withdraw, relay)).opened == 1
