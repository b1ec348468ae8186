"""A few kills by tests/real/kills.py, a full disk, and a database that becomes unreachable.

``python -m tests.real.kills --kills 50`` does fifty kills.
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
from tests.postgres import Cluster, cluster
from tests.real.kills import RUN, Device, Line, all_killed, live, running
from tests.sizes import size

pytestmark = pytest.mark.real

LARGE = 32 * 1024  # so that few messages fill a disk
NOTHING = {"lost": 0, "invented": 0, "faults": []}


@pytest.mark.threat("relay-killed")
def test_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    done = all_killed(4, tmp_path, "", seed=1, lines=12)
    assert done.pop("acknowledged") > 50
    assert done == {"kills": 4, **NOTHING}


@pytest.mark.threat("relay-killed")
def test_kills_of_two_relays_on_one_database(tmp_path: Path, postgres: Cluster) -> None:
    done = all_killed(4, tmp_path, postgres.fresh(), seed=2, lines=12)
    assert done.pop("acknowledged") > 20
    assert done == {"kills": 4, **NOTHING}


def test_a_full_disk_refuses_loses_nothing_and_goes_on(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk; messages are posted beyond it."""
    device = Device(random.Random(3), letter_bytes=LARGE)
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({6 << 20},) * 2)\n"
    ignore = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    command = [sys.executable, "-c", limited + ignore + RUN, str(tmp_path / "relay"), ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = Line(process.stdout.readline().strip())
        device.join(line)
        statuses = [_post(device, line) for _ in range(250)]
        line.close()
        process.kill()
        process.wait()
    refused = [status for status in statuses if status != 201]
    assert set(refused) <= {503, 507}
    assert len(refused) > 10
    with running(tmp_path / "relay") as (_, url):
        line = Line(url)
        device.finish(line)
        line.close()
    assert device.taken <= device.came
    assert device.faults == []


def _post(device: Device, line: Line) -> int:
    name = device._new()
    status, _ = line.ask("PUT", f"{device.at}/envelopes/{name}", device.sender, device.posted[name])
    if status == 201:
        device.taken.add(name)
    return status


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """Run a PostgreSQL server that a test may stop, if it starts it again."""
    with cluster() as made:
        yield made


def test_a_database_that_goes_away_is_waited_for(tmp_path: Path, own: Cluster) -> None:
    """It stops under load: requests wait, or are told when to retry, and nothing is lost."""
    devices = [Device(random.Random(f"away {n}")) for n in range(6)]
    with running(tmp_path, own.fresh()) as (_, url):
        line, ended = Line(url), threading.Event()
        for device in devices:
            device.join(line)
        threads = [threading.Thread(target=live, args=(one, url, ended)) for one in devices]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        own.stop()
        before = sum(len(device.taken) for device in devices)
        time.sleep(size(1.5, 10))
        own.start()
        _until(lambda: sum(len(device.taken) for device in devices) > before + 20)
        ended.set()
        for thread in threads:
            thread.join()
        for device in devices:
            device.finish(line)
        line.close()
        assert all(device.taken <= device.came for device in devices)
        assert [fault for device in devices for fault in device.faults] == []


def test_a_database_that_stays_away_is_said_with_the_time_to_ask_again(
    tmp_path: Path, own: Cluster
) -> None:
    """The relay waits for it for some seconds, here for one."""
    assert relay_postgres._DATABASE_WAIT_S_MAX < 20
    with running(tmp_path, own.fresh(), "1") as (_, url):
        device, line = Device(random.Random(4)), Line(url)
        device.join(line)
        own.stop()
        line._web.request(
            "GET",
            f"{device.at}/envelopes",
            headers={"Entrenous-Protocol": "2", "Authorization": "Bearer " + "A" * 43},
        )
        answer = line._web.getresponse()
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "5"
        assert json.loads(answer.read())["type"] == "urn:entrenous:unreachable:database-away"
        line.close()
        own.start()


def _until(holds: object, seconds: float = 180) -> None:
    until = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.05)


def test_no_success_is_written_before_the_disk_has_it(tmp_path: Path) -> None:
    """strace shows an fdatasync between each post and the answer that it is stored."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace: apt-get install strace")
    trace = tmp_path / "trace"
    calls = "trace=fdatasync,write,writev,sendto,sendmsg,pwrite64,recvfrom,read"
    command = [strace, "-f", "--kill-on-exit", "-qq", "-s", "24", "-e", calls, "-o", str(trace)]
    command += [sys.executable, "-c", RUN, str(tmp_path / "relay"), ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = Line(process.stdout.readline().strip())
        device = Device(random.Random(5))
        device.join(line)
        for _ in range(20):
            device.send(line)
        line.close()
        process.kill()
    _durable_before_said(trace.read_text().splitlines())


def _durable_before_said(calls: list[str]) -> None:
    """Check that between each PUT and its answer 20x an fdatasync returned 0."""
    asked, synced, said = False, False, 0
    for call in calls:
        if '"PUT ' in call:
            asked, synced = True, False
        elif "fdatasync" in call and call.endswith("= 0"):
            synced = asked
        elif '"HTTP/1.1 20' in call and asked:
            assert synced, call
            asked, said = False, said + 1
    assert said >= 22
