"""If the disk of a relay or of its PostgreSQL is full (ENOSPC), the relay refuses messages and
loses no acknowledged data.

The disk is a small tmpfs. In one test, the relay is killed while the disk is full, and starts again
when there is space.
"""

import http.client
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.postgres import Cluster, run_cluster
from tests.real.kills import Device, RelayConnection
from tests.real.processes import wait_until
from tests.real.small_disk import mount_small_disk
from tests.real.test_relays_together import Upload
from tests.real.trial import read_first_line, run_and_kill_at_end

pytestmark = pytest.mark.real

MB = 1 << 20
# Entrenous, but it waits for an unreachable database for one second instead of twelve.
IMPATIENT_PROGRAM = """
from entrenous.__main__ import main
from entrenous.carry.store import postgres as relay_postgres

relay_postgres._DATABASE_WAIT_S_MAX = 1.0
main()
"""
LARGE_MESSAGE_BYTES = 32 * 1024  # large, so that the disk is full after few messages


@contextmanager
def run_relay(command_prefix: tuple[str, ...], folder: Path, database: str = "") -> Iterator[str]:
    """Run a relay that may use up all space on its disk, and yield the relay's URL."""
    settings = folder.parent.with_suffix(".toml")  # this file is not on the small disk
    lines = [f'data = "{folder}"', 'listen = "127.0.0.1:0"', "free_mb_min = 0"]
    settings.write_text("\n".join([*lines, *([f'database = "{database}"'] if database else [])]))
    program = ["-c", IMPATIENT_PROGRAM] if database else ["-m", "entrenous"]
    command = [sys.executable, *program, "relay", "run", "--json", "--settings", str(settings)]
    with run_and_kill_at_end([*command_prefix, *command]) as process:
        yield str(json.loads(read_first_line(process))["url"])


def post_message(device: Device, connection: RelayConnection) -> tuple[int, str]:
    """Post a message; return the status, and the type of the problem if there is one."""
    name = device.create_message()
    status, body = connection.request(
        "PUT", f"{device.path}/envelopes/{name}", device.sender, device.posted[name]
    )
    if status == 201:
        device.accepted.add(name)
    return status, "" if status == 201 else json.loads(body)["type"]


def post_until_full(
    device: Device, connection: RelayConnection, refusals_min: int = 10
) -> set[tuple[int, str]]:
    """Post until ``refusals_min`` messages are refused; return the refusals without duplicates."""
    refused = list[tuple[int, str]]()
    while len(refused) < refusals_min:
        answer = post_message(device, connection)
        refused += [answer] if answer[0] != 201 else []
    return set(refused)


def upload_blob(blob: Upload, url: str) -> tuple[int, bytes]:
    """Upload a blob; return the status and the body, or 0 and b"" if the connection was closed.

    A relay may answer, and close the connection, before all of the blob was sent.
    """
    with closing(blob.start_upload(url)) as web:
        with suppress(OSError):
            web.send(blob.data)
        try:
            answer = web.getresponse()
        except (OSError, http.client.HTTPException):
            return 0, b""
        return answer.status, answer.read()


def new_upload(device: Device, blob_bytes: int) -> Upload:
    return Upload(device, os.urandom(blob_bytes), random.Random(os.urandom(8)))


DISK_FULL = (507, "urn:entrenous:unreachable:disk-full")


def test_full_disk_loses_no_acknowledged_message_or_blob(tmp_path: Path) -> None:
    device = Device(random.Random("full"), message_bytes=LARGE_MESSAGE_BYTES)
    with mount_small_disk(tmp_path / "disk", 10) as disk:
        folder = disk.folder / "relay"
        with (
            run_relay(disk.command_prefix, folder) as url,
            closing(RelayConnection(url)) as connection,
        ):
            device.create_mailbox(connection)
            stored = new_upload(device, MB)
            assert upload_blob(stored, url) == (201, b"")
            status, body = upload_blob(new_upload(device, 20 * MB), url)
            assert (status, json.loads(body or b"{}").get("type")) in {DISK_FULL, (0, None)}
            # The relay has deleted the received part of the large blob.
            assert post_message(device, connection)[0] == 201
            assert post_until_full(device, connection) == {DISK_FULL}
            assert upload_blob(new_upload(device, MB), url)[0] in {0, 507}
            assert stored.fetch_blob(url) == stored.data
        disk.resize(60)
        with (
            run_relay(disk.command_prefix, folder) as url,
            closing(RelayConnection(url)) as connection,
        ):
            assert stored.fetch_blob(url) == stored.data
            large = new_upload(device, 20 * MB)
            assert upload_blob(large, url) == (201, b"")
            assert large.fetch_blob(url) == large.data
            check_all_arrive(device, connection)


def test_added_space_is_used_at_once(tmp_path: Path) -> None:
    device = Device(random.Random("room"), message_bytes=LARGE_MESSAGE_BYTES)
    with (
        mount_small_disk(tmp_path / "disk", 6) as disk,
        run_relay(disk.command_prefix, disk.folder / "relay") as url,
        closing(RelayConnection(url)) as connection,
    ):
        device.create_mailbox(connection)
        assert post_until_full(device, connection) == {DISK_FULL}
        disk.resize(60)
        assert post_message(device, connection) == (201, "")
        check_all_arrive(device, connection)


def test_full_postgresql_disk_loses_no_acknowledged_message(tmp_path: Path) -> None:
    """A PostgreSQL server that cannot write its log may stop. The test then starts it again."""
    if os.geteuid() != 0:
        pytest.skip("needs root: PostgreSQL runs as an account of its own on a disk of its own")
    device = Device(random.Random("postgresql"), message_bytes=LARGE_MESSAGE_BYTES)
    with run_cluster(disk_mb=400) as own_cluster:
        assert own_cluster.disk is not None
        started = run_relay((), tmp_path / "relays" / "own", own_cluster.create_database())
        with started as url, closing(RelayConnection(url)) as connection:
            device.create_mailbox(connection)
            own_cluster.disk.resize(own_cluster.disk.used_mb() + 4)
            assert post_until_full(device, connection) <= {DISK_FULL, (503, DATABASE_UNREACHABLE)}
            own_cluster.disk.resize(400)
            assert wait_until(lambda: try_post_after_restart(own_cluster, device, connection), 180)
            check_all_arrive(device, connection)


DATABASE_UNREACHABLE = "urn:entrenous:unreachable:database-away"


def try_post_after_restart(
    own_cluster: Cluster, device: Device, connection: RelayConnection
) -> bool:
    """Start the database server if it has stopped; return whether the relay accepts a message."""
    try:
        own_cluster.control("status")
    except subprocess.CalledProcessError:
        own_cluster.start()
    return post_message(device, connection)[0] == 201


def check_all_arrive(device: Device, connection: RelayConnection) -> None:
    """Check that each acknowledged message arrives, and that no message arrives once deleted."""
    device.finish(connection)
    assert len(device.accepted) > 10
    assert device.accepted <= device.received
    assert device.faults == []
