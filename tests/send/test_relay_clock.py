"""One wrong clock reading at a relay loses no letters and no send tokens."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from entrenous.base.errors import RelayClockAhead
from entrenous.carry.expire import expire_due
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.message.draft import WaitsInOutbox
from entrenous.send.open import open_message
from tests.deterministic import SettableClock
from tests.send.send_device import RELAY_URL, SMALL_PICTURE, Network


@pytest.fixture
def network_after_sweep(friends: Network) -> Network:
    """Ana and Ben, whose relay has already run an expiry sweep."""
    asyncio.run(expire_due(friends.relays[RELAY_URL]))
    return friends


def sweep_with_clock_ahead(network: Network) -> None:
    """Run one sweep of the relay; the sweep must fail because the relay's clock is far ahead."""
    with pytest.raises(RelayClockAhead):
        asyncio.run(expire_due(network.relays[RELAY_URL]))


@pytest.mark.slow
def test_one_relay_sweep_with_a_wrong_clock_loses_nothing(network_after_sweep: Network) -> None:
    ana, ben, right_time = (
        network_after_sweep["ana"],
        network_after_sweep["ben"],
        network_after_sweep.clock.moment,
    )
    ana.send(SMALL_PICTURE, ben)
    network_after_sweep.clock.moment = right_time + timedelta(days=400)
    sweep_with_clock_ahead(network_after_sweep)
    network_after_sweep.clock.moment = right_time
    fetch_messages(ben.device)
    (message,) = received_messages(ben.device)
    assert open_message(message.name, ben.device).files
    assert ben.send(SMALL_PICTURE, ana)
    assert ana.send(SMALL_PICTURE, ben)
    assert (ana.received_count(), ben.received_count()) == (1, 2)


@pytest.mark.slow
def test_messages_wait_while_the_relays_clock_is_wrong(network_after_sweep: Network) -> None:
    """The devices' clocks are right, and only the relay's clock is far ahead."""
    ana, ben, right_time = (
        network_after_sweep["ana"],
        network_after_sweep["ben"],
        network_after_sweep.clock.moment,
    )
    ana.send(SMALL_PICTURE, ben)
    fetch_messages(ben.device)
    (message,) = received_messages(ben.device)
    for one in (ana, ben):
        one.device = replace(one.device, clock=SettableClock(right_time))
    network_after_sweep.clock.moment = right_time + timedelta(days=400)
    sweep_with_clock_ahead(network_after_sweep)
    with pytest.raises(RelayClockAhead):
        open_message(message.name, ben.device)
    with pytest.raises(WaitsInOutbox, match="400 days have passed"):
        ana.send(SMALL_PICTURE, ben)
    network_after_sweep.clock.moment = right_time
    assert open_message(message.name, ben.device).files
    fetch_messages(ana.device)
    assert ben.received_count() == 2


@pytest.mark.slow
def test_message_waits_if_the_relays_clock_becomes_wrong_during_an_upload(
    network_after_sweep: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, ana, ben = network_after_sweep, network_after_sweep["ana"], network_after_sweep["ben"]
    right_time, blobs = network.clock.moment, network.relays[RELAY_URL].blobs
    ana.device = replace(ana.device, clock=SettableClock(right_time))
    honest_store = blobs.store

    async def store_and_jump(*arguments: Any) -> None:
        await honest_store(*arguments)
        network.clock.moment = right_time + timedelta(days=400)

    monkeypatch.setattr(blobs, "store", store_and_jump)
    with pytest.raises(WaitsInOutbox):
        ana.send(SMALL_PICTURE, ben)
    monkeypatch.undo()
    network.clock.moment = right_time
    fetch_messages(ana.device)
    assert ben.received_count() == 1
