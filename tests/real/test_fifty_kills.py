"""A relay loses no acknowledged message if it is killed, its disk is full, or its database stops.

A relay reports an unreachable database. On SQLite, a relay syncs each message to the disk before it
answers. ``python -m tests.real.kills --kills 50`` kills relays fifty times.
"""

import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenous.carry.store import postgres as relay_postgres
from tests.postgres import Cluster, run_cluster
from tests.real.kills import (
    RELAY_PROGRAM,
    Device,
    RelayConnection,
    run_relay,
    run_trial,
    send_and_fetch,
)
from tests.real.processes import wait_until
from tests.sizes import size

pytestmark = pytest.mark.real

LARGE_MESSAGE_BYTES = 32 * 1024  # large, so that the disk is full after few messages
NO_FAULTS = {"lost": 0, "invented": 0, "faults": []}


@pytest.mark.threat("relay-killed")
def test_kills_lose_and_duplicate_no_message(tmp_path: Path) -> None:
    done = run_trial(4, tmp_path, "", seed=1, device_count=12)
    assert done.pop("acknowledged") > 50
    assert done == {"kills": 4, **NO_FAULTS}


@pytest.mark.threat("relay-killed")
def test_kills_of_two_relays_on_one_database_lose_and_duplicate_no_message(
    tmp_path: Path, postgres: Cluster
) -> None:
    done = run_trial(4, tmp_path, postgres.create_database(), seed=2, device_count=12)
    assert done.pop("acknowledged") > 20
    assert done == {"kills": 4, **NO_FAULTS}


def test_full_disk_refuses_messages_and_loses_none(tmp_path: Path) -> None:
    """A limit on the size of files simulates a full disk."""
    device = Device(random.Random(3), message_bytes=LARGE_MESSAGE_BYTES)
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({6 << 20},) * 2)\n"
    ignore = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    command = [sys.executable, "-c", limited + ignore + RELAY_PROGRAM, str(tmp_path / "relay"), ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        connection = RelayConnection(process.stdout.readline().strip())
        device.create_mailbox(connection)
        statuses = [_post_message(device, connection) for _ in range(250)]
        connection.close()
        process.kill()
        process.wait()
    refused = [status for status in statuses if status != 201]
    assert set(refused) <= {503, 507}
    assert len(refused) > 10
    with run_relay(tmp_path / "relay") as (_, url):
        connection = RelayConnection(url)
        device.finish(connection)
        connection.close()
    assert device.accepted <= device.received
    assert device.faults == []


def _post_message(device: Device, connection: RelayConnection) -> int:
    name = device.create_message()
    status, _ = connection.request(
        "PUT", f"{device.path}/envelopes/{name}", device.sender, device.posted[name]
    )
    if status == 201:
        device.accepted.add(name)
    return status


@pytest.fixture(scope="module")
def stoppable_postgres() -> Iterator[Cluster]:
    """Run a PostgreSQL server that a test may stop, and must then start again."""
    with run_cluster() as made:
        yield made


def test_stopped_database_loses_no_message(tmp_path: Path, stoppable_postgres: Cluster) -> None:
    """The database stops under load and starts again. Meanwhile requests wait, or get a 503."""
    devices = [Device(random.Random(f"away {n}")) for n in range(6)]
    with run_relay(tmp_path, stoppable_postgres.create_database()) as (_, url):
        connection, stop_requested = RelayConnection(url), threading.Event()
        for device in devices:
            device.create_mailbox(connection)
        threads = [
            threading.Thread(target=send_and_fetch, args=(one, url, stop_requested))
            for one in devices
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        stoppable_postgres.stop()
        before = sum(len(device.accepted) for device in devices)
        time.sleep(size(1.5, 10))
        stoppable_postgres.start()
        assert wait_until(
            lambda: sum(len(device.accepted) for device in devices) > before + 20, 180
        )
        stop_requested.set()
        for thread in threads:
            thread.join()
        for device in devices:
            device.finish(connection)
        connection.close()
        assert all(device.accepted <= device.received for device in devices)
        assert [fault for device in devices for fault in device.faults] == []


def test_unreachable_database_is_reported_with_the_time_to_retry(
    tmp_path: Path, stoppable_postgres: Cluster
) -> None:
    """In this test, the relay waits one second for the database."""
    assert relay_postgres._DATABASE_WAIT_S_MAX < 20
    with run_relay(tmp_path, stoppable_postgres.create_database(), "1") as (_, url):
        device, connection = Device(random.Random(4)), RelayConnection(url)
        device.create_mailbox(connection)
        stoppable_postgres.stop()
        connection._web.request(
            "GET",
            f"{device.path}/envelopes",
            headers={"Entrenous-Protocol": "2", "Authorization": "Bearer " + "A" * 43},
        )
        answer = connection._web.getresponse()
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "5"
        assert json.loads(answer.read())["type"] == "urn:entrenous:unreachable:database-away"
        connection.close()
        stoppable_postgres.start()


def test_no_success_is_sent_before_an_fdatasync(tmp_path: Path) -> None:
    """strace shows an fdatasync between each request to store something and the answer."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace: apt-get install strace")
    trace = tmp_path / "trace"
    calls = "trace=fdatasync,write,writev,sendto,sendmsg,pwrite64,recvfrom,read"
    command = [strace, "-f", "--kill-on-exit", "-qq", "-s", "24", "-e", calls, "-o", str(trace)]
    command += [sys.executable, "-c", RELAY_PROGRAM, str(tmp_path / "relay"), ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        connection = RelayConnection(process.stdout.readline().strip())
        device = Device(random.Random(5))
        device.create_mailbox(connection)
        for _ in range(20):
            device.send(connection)
        connection.close()
        process.kill()
    _check_fdatasync_before_answer(trace.read_text().splitlines())


def _check_fdatasync_before_answer(calls: list[str]) -> None:
    """Check that an fdatasync succeeded between each PUT and the answer with the status 20x."""
    is_requested, is_synced, answered_count = False, False, 0
    for call in calls:
        if '"PUT ' in call:
            is_requested, is_synced = True, False
        elif "fdatasync" in call and call.endswith("= 0"):
            is_synced = is_requested
        elif '"HTTP/1.1 20' in call and is_requested:
            assert is_synced, call
            is_requested, answered_count = False, answered_count + 1
    assert answered_count >= 22
