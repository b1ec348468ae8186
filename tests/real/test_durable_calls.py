"""Tests with strace that a relay stores a blob, or a message in PostgreSQL, before it answers.

Messages on SQLite are tested in test_fifty_kills.py. With PostgreSQL, only our part is tested: no
success is sent before PostgreSQL has acknowledged the flush of its log. With ``fsync`` and
``synchronous_commit`` on, PostgreSQL acknowledges a flush when the log is on the disk.
"""

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from entrenous.carry.store.postgres import connect_postgres
from tests.postgres import run_cluster
from tests.real.kills import RELAY_PROGRAM, Device, RelayConnection
from tests.real.test_relays_together import Upload

pytestmark = pytest.mark.real

_TRACE_LINE = re.compile(r"(?P<pid>\d+) +(?P<call>.*)")
#: The relay's statement that flushes PostgreSQL's log, with the zero byte that ends the statement.
FLUSH_STATEMENT = r"SELECT pg_logical_emit_message(true, 'entrenous', '')\0"
_RESUMED_CALL = re.compile(r"<\.\.\. \w+ resumed>(?P<rest>.*)")


@contextmanager
def run_traced_relay(folder: Path, calls: list[str], database: str = "") -> Iterator[str]:
    """Run a relay under strace; yield the URL. At the end, add the system calls to ``calls``."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace: apt-get install strace")
    which = "trace=fsync,fdatasync,rename,write,writev,sendto,sendmsg,recvfrom,read"
    command = [strace, "-f", "-y", "--kill-on-exit", "-qq", "-s", "400", "-e", which]
    command += [
        "-o",
        str(folder / "trace"),
        sys.executable,
        "-c",
        RELAY_PROGRAM,
        str(folder / "relay"),
    ]
    with subprocess.Popen([*command, database], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()
    calls += join_split_calls((folder / "trace").read_text().splitlines())


def join_split_calls(lines: Sequence[str]) -> Iterator[str]:
    """Yield system calls in the order in which they ended; join those that strace had to split."""
    unfinished: dict[str, str] = {}
    for line in lines:
        found = _TRACE_LINE.match(line)
        assert found is not None, line
        pid, call = found["pid"], found["call"]
        if call.endswith("<unfinished ...>"):
            unfinished[pid] = call.removesuffix("<unfinished ...>").rstrip()
            continue
        resumed = _RESUMED_CALL.match(call)
        yield unfinished.pop(pid, "") + resumed["rest"] if resumed else call


def test_blob_is_on_the_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    """The relay syncs the blob's file, renames it, and syncs the folder and the database."""
    calls, device = list[str](), Device(random.Random(6))
    with run_traced_relay(tmp_path, calls) as url:
        with closing(RelayConnection(url)) as connection:
            device.create_mailbox(connection)
        for number in range(3):
            rng = random.Random(number)
            with closing(Upload(device, rng.randbytes(100_000), rng).start_upload(url)) as web:
                web.send(random.Random(number).randbytes(100_000))
                assert web.getresponse().status == 201
    folder = re.escape(str(tmp_path / "relay" / "blobs"))
    order = (
        rf"fsync\(\d+<{folder}/\w+\.part>\) += 0$",
        rf'rename\("{folder}/\w+\.part", "{folder}/\w+"\) += 0$',
        rf"fsync\(\d+<{folder}>\) += 0$",
        r"fdatasync\(\d+<.*/mail\.db-wal>\) += 0$",
        r'\w+\(.*"HTTP/1\.1 201',
    )
    requests = [at for at, call in enumerate(calls) if '"PUT ' in call and "/blobs/" in call]
    assert len(requests) == 3
    for at, until in zip(requests, [*requests[1:], len(calls)], strict=True):
        reached = 0
        for call in calls[at:until]:
            assert reached == 4 or '"HTTP/1.1 201' not in call, order[reached]
            if reached < len(order) and re.match(order[reached], call):
                reached += 1
        assert reached == len(order)


def test_no_success_is_sent_before_postgresql_acknowledges_a_commit(tmp_path: Path) -> None:
    """The relay answers a request with success only after PostgreSQL has acknowledged a commit on
    the connection on which the relay flushes PostgreSQL's log.
    """
    calls, device = list[str](), Device(random.Random(7))
    with run_cluster() as own_cluster:
        url = own_cluster.create_database()
        with connect_postgres(url) as database:
            for name in ("fsync", "synchronous_commit"):
                assert database.execute(f"SHOW {name}").fetchone() == ("on",)
        traced = run_traced_relay(tmp_path, calls, url)
        with traced as relay, closing(RelayConnection(relay)) as connection:
            device.create_mailbox(connection)
            for _ in range(20):
                device.send(connection)
    sends = [call for call in calls if call.startswith("sendto")]
    (flushing,) = {file_descriptor(call) for call in sends if FLUSH_STATEMENT in call}
    is_requested, is_sent, is_flushed, answered_count = False, False, False, 0
    for call in calls:
        if '"PUT ' in call:
            is_requested, is_sent, is_flushed = True, False, False
        elif file_descriptor(call) == flushing:
            is_sent = is_sent or call.startswith("sendto")
            is_flushed = is_flushed or (is_sent and says_that_no_transaction_is_open(call))
        elif '"HTTP/1.1 20' in call and is_requested:
            assert is_flushed, call
            is_requested, answered_count = False, answered_count + 1
    assert answered_count >= 22


def file_descriptor(call: str) -> str | None:
    """Return the file descriptor in a system call's first argument, if there is one."""
    found = re.match(r"\w+\((\d+)<", call)
    return found and found[1]


def says_that_no_transaction_is_open(call: str) -> bool:
    """Return whether the call receives PostgreSQL's message that no transaction is open."""
    return call.startswith("recvfrom") and r"Z\0\0\0\5I" in call
