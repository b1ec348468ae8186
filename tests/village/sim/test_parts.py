"""Tests of the simulator's parts: disks, vaults that crash, the schedule and the network."""

from random import Random
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.errors import NoSuchBlob
from tests.deterministic import SettableClock
from tests.village.crashes import Crash, CrashCountdown
from tests.village.sim.disk import Location, SimDisk, endless_countdown
from tests.village.sim.faults import Fate, Faults
from tests.village.sim.network import SimNetwork
from tests.village.sim.schedule import Schedule
from tests.village.sim.stores import SimVault

write_lists = st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers()), max_size=12)


def contents_after(writes: list[tuple[int, int | None]]) -> dict[Location, Any]:
    contents: dict[Location, Any] = {}
    for location, content in writes:
        contents[location,] = content
    return {location: content for location, content in contents.items() if content is not None}


@given(write_lists, write_lists, st.integers())
def test_crash_keeps_synced_writes_and_a_prefix_of_the_rest(
    synced: list[tuple[int, int | None]], unsynced: list[tuple[int, int | None]], seed: int
) -> None:
    disk = SimDisk(endless_countdown(), Random(seed))
    for location, content in synced:
        disk.write(((location,), content))
    disk.sync()
    for location, content in unsynced:
        disk.write(((location,), content))
    disk.crash()
    possible_contents = [
        contents_after(synced + unsynced[:prefix_length])
        for prefix_length in range(len(unsynced) + 1)
    ]
    assert disk.durable in possible_contents
    assert disk.journal == []


@pytest.mark.parametrize("crash_point", range(12))
def test_vault_transaction_is_atomic_whenever_the_vault_dies(crash_point: int) -> None:
    countdown = CrashCountdown(-1)
    records, files = (
        SimDisk(countdown, Random(crash_point)),
        SimDisk(countdown, Random(crash_point)),
    )
    vault = SimVault(records, files)
    vault.put("table", "old", b"old")
    countdown.remaining = crash_point
    try:
        with vault.transaction():
            blob = vault.store_file(b"a file of some length")
            vault.put("table", "new", blob)
            vault.drop("table", "old")
    except Crash:
        records.crash()
        files.crash()
    countdown.remaining = -1
    rebooted = SimVault(records, files)
    blob_in_table = rebooted.get("table", "new")
    assert (blob_in_table is None) is (rebooted.get("table", "old") == b"old")
    if blob_in_table is None:
        assert rebooted.memory_store._files == {}
    else:
        assert rebooted.read_stored_file(blob_in_table) == b"a file of some length"


def test_deleted_file_does_not_come_back_after_a_crash() -> None:
    for seed in range(20):
        records, files = (
            SimDisk(endless_countdown(), Random(seed)),
            SimDisk(endless_countdown(), Random(seed)),
        )
        vault = SimVault(records, files)
        blob = vault.store_file(b"gone")
        vault.delete_file(blob)
        files.crash()  # may undo the deletion of the file, but not that of the vault's row
        with pytest.raises(NoSuchBlob):
            SimVault(records, files).read_stored_file(blob)


def test_events_due_during_a_wait_run_meanwhile_and_in_order() -> None:
    log = list[str]()
    schedule = Schedule(SettableClock(), Random(0))

    def wait_a_minute() -> None:
        log.append("begin")
        schedule.wait(60)
        log.append("end")

    schedule.run_after(20, lambda: log.append("second"))
    schedule.run_after(10, wait_a_minute)
    schedule.run_after(300, lambda: log.append("later"))
    schedule.wait(15)
    assert log == ["begin", "second", "end"]
    assert schedule.clock.now() == SettableClock().now().replace(minute=1, second=10)


ARRIVALS_BY_FATE = {Fate.WELL: 1, Fate.LOST: 0, Fate.ANSWER_LOST: 1, Fate.DOUBLED: 2, Fate.LATE: 1}


@pytest.mark.parametrize("fate", Fate)
def test_request_arrives_as_often_as_its_fate_says(
    fate: Fate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Faults, "choose_fate", lambda *_: fate)
    schedule, arrived = Schedule(SettableClock(), Random(1)), list[bytes]()

    def answer(request: httpx.Request) -> httpx.Response:
        arrived.append(request.content)
        return httpx.Response(204)

    network = SimNetwork(schedule, Random(2), answer)
    request = httpx.Request("PUT", "http://127.0.0.1:7001/v1/x", content=iter([b"once"]))
    if fate in (Fate.WELL, Fate.DOUBLED):
        assert network.deliver(request).status_code == 204
    else:
        with pytest.raises(httpx.TransportError):
            network.deliver(request)
    schedule.wait(7 * 24 * 3600)
    assert arrived == [b"once"] * ARRIVALS_BY_FATE[fate]
