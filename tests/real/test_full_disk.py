"""A relay on a full disk (ENOSPC) answers that the disk is full, and keeps what it acknowledged.

The disk is a tmpfs of a few MB. The relay is killed while the disk is full, and starts again when
there is space.
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

from tests.postgres import Cluster, cluster
from tests.real.kills import Device, Line
from tests.real.small_disk import small_disk
from tests.real.stage import wait_until
from tests.real.test_relays_together import Upload
from tests.real.trial import first_words, to_be_killed

pytestmark = pytest.mark.real

MB = 1 << 20
# Our program, but it waits one second for an unreachable database, not twelve.
IMPATIENT = """
from entrenous.__main__ import main
from entrenous.carry.store import postgres as relay_postgres

relay_postgres._DATABASE_WAIT_S_MAX = 1.0
main()
"""
LARGE = 32 * 1024  # so that few messages fill a disk


@contextmanager
def relay(inside: tuple[str, ...], folder: Path, database: str = "") -> Iterator[str]:
    """Run a relay that stores its data on the small disk until it is full; yield its URL."""
    settings = folder.parent.with_suffix(".toml")  # not on the small disk
    lines = [f'data = "{folder}"', 'listen = "127.0.0.1:0"', "free_mb_min = 0"]
    settings.write_text("\n".join([*lines, *([f'database = "{database}"'] if database else [])]))
    program = ["-c", IMPATIENT] if database else ["-m", "entrenous"]
    command = [sys.executable, *program, "relay", "run", "--json", "--settings", str(settings)]
    with to_be_killed([*inside, *command]) as process:
        yield str(json.loads(first_words(process))["url"])


def posted(device: Device, line: Line) -> tuple[int, str]:
    """Post a message; return the status, and the type of the problem if there is one."""
    name = device._new()
    status, body = line.ask(
        "PUT", f"{device.at}/envelopes/{name}", device.sender, device.posted[name]
    )
    if status == 201:
        device.taken.add(name)
    return status, "" if status == 201 else json.loads(body)["type"]


def until_full(device: Device, line: Line, least: int = 10) -> set[tuple[int, str]]:
    """Post until so many messages were refused; return the different refusals."""
    refused = list[tuple[int, str]]()
    while len(refused) < least:
        answer = posted(device, line)
        refused += [answer] if answer[0] != 201 else []
    return set(refused)


def brought(upload: Upload, url: str) -> tuple[int, bytes]:
    """Upload a blob; return the status and the body, or 0 and b"" if the relay hung up.

    A relay may answer before all of the blob was sent, and then hangs up.
    """
    with closing(upload.begins(url)) as web:
        with suppress(OSError):
            web.send(upload.data)
        try:
            answer = web.getresponse()
        except (OSError, http.client.HTTPException):
            return 0, b""
        return answer.status, answer.read()


def upload(device: Device, size: int) -> Upload:
    return Upload(device, os.urandom(size), random.Random(os.urandom(8)))


FULL = (507, "urn:entrenous:unreachable:disk-full")


def test_letters_and_blobs_on_a_full_disk(tmp_path: Path) -> None:
    device = Device(random.Random("full"), letter_bytes=LARGE)
    with small_disk(tmp_path / "disk", 10) as disk:
        folder = disk.folder / "relay"
        with relay(disk.inside, folder) as url, closing(Line(url)) as line:
            device.join(line)
            kept = upload(device, MB)
            assert brought(kept, url) == (201, b"")
            status, said = brought(upload(device, 20 * MB), url)
            assert (status, json.loads(said or b"{}").get("type")) in {FULL, (0, None)}
            assert posted(device, line)[0] == 201  # the received part of the large blob is deleted
            assert until_full(device, line) == {FULL}
            assert brought(upload(device, MB), url)[0] in {0, 507}
            assert kept.fetched(url) == kept.data
        disk.resize(60)
        with relay(disk.inside, folder) as url, closing(Line(url)) as line:
            assert kept.fetched(url) == kept.data
            later = upload(device, 20 * MB)
            assert brought(later, url) == (201, b"")
            assert later.fetched(url) == later.data
            comes_all(device, line)


def test_room_is_used_as_soon_as_there_is_some(tmp_path: Path) -> None:
    device = Device(random.Random("room"), letter_bytes=LARGE)
    with (
        small_disk(tmp_path / "disk", 6) as disk,
        relay(disk.inside, disk.folder / "relay") as url,
        closing(Line(url)) as line,
    ):
        device.join(line)
        assert until_full(device, line) == {FULL}
        disk.resize(60)
        assert posted(device, line) == (201, "")
        comes_all(device, line)


def test_a_postgresql_whose_disk_is_full(tmp_path: Path) -> None:
    """A PostgreSQL that cannot write its log restarts by itself, and is unreachable meanwhile."""
    if os.geteuid() != 0:
        pytest.skip("needs root: PostgreSQL runs as an account of its own on a disk of its own")
    device = Device(random.Random("postgresql"), letter_bytes=LARGE)
    with cluster(disk_mb=400) as own:
        assert own.disk is not None
        with relay((), tmp_path / "relays" / "own", own.fresh()) as url, closing(Line(url)) as line:
            device.join(line)
            own.disk.resize(own.disk.used_mb() + 4)
            assert until_full(device, line) <= {FULL, (503, AWAY)}
            own.disk.resize(400)
            assert wait_until(lambda: goes_on(own, device, line), 180)
            comes_all(device, line)


AWAY = "urn:entrenous:unreachable:database-away"


def goes_on(own: Cluster, device: Device, line: Line) -> bool:
    """Start the database server if it has given up; return whether a message is accepted again."""
    try:
        own.control("status")
    except subprocess.CalledProcessError:
        own.start()
    return posted(device, line)[0] == 201


def comes_all(device: Device, line: Line) -> None:
    """Check that every acknowledged message arrives, and none arrives twice."""
    device.finish(line)
    assert len(device.taken) > 10
    assert device.taken <= device.came
    assert device.faults == []
