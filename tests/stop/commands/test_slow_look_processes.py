"""Tests of the processes that run a gate's deferred scans: their number and division of work."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import skimage.data
import sqlalchemy as sa

from entrenous.stop.commands import gate_run
from entrenous.stop.store.engine import open_engine, open_postgres_engine, single_read
from entrenous.stop.store.open_gate import open_platform
from entrenous.stop.store.schema import UPLOAD_TABLE
from tests.ready import start_program
from tests.sizes import size
from tests.stop.commands.gates import TIMEOUT_S, start_gate
from tests.stop.platform_for_tests import jpeg

pytestmark = pytest.mark.real

_UPLOAD_COUNT = size(5, 12)


def deferred_scan_pids(gate_pid: int) -> list[int]:
    """Return the process ids of a running gate's deferred scans."""
    children = (task / "children" for task in Path(f"/proc/{gate_pid}/task").iterdir())
    return [
        int(pid)
        for one in children
        for pid in one.read_text().split()
        if is_deferred_scan_process(pid)
    ]


def is_deferred_scan_process(pid: str) -> bool:
    with suppress(OSError):
        return b"slow-look" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return False


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def different_pictures() -> Iterator[bytes]:
    """Yield JPEG files with different sections of a photograph."""
    her_picture = skimage.data.astronaut()
    for number in range(_UPLOAD_COUNT):
        yield jpeg(her_picture[number * 8 : 200 + number * 8, number * 5 : 200 + number * 5])


@pytest.mark.parametrize(
    "database_kind", [pytest.param("sqlite", marks=pytest.mark.nightly), "postgres"]
)
def test_two_processes_scan_each_upload_once(
    database_kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    is_postgres = database_kind == "postgres"
    url = request.getfixturevalue("postgres").create_database() if is_postgres else ""
    database = f'database = "{url}"\n' if url else ""
    (tmp_path / "gate.toml").write_text(f"{database}slow_look_processes = 2\n")
    with start_gate(tmp_path) as gate:
        wait_until(lambda: len(deferred_scan_pids(gate.pid)) == 2)
        for upload in different_pictures():
            assert gate.upload(upload).json()["decision"] == "let through"
        engine = open_postgres_engine(url) if url else open_engine(tmp_path / "bank.db")
        wait_until(lambda: all(state is None for state, _ in scan_states(engine)))
        assert [times for _, times in scan_states(engine)] == [1] * _UPLOAD_COUNT
        engine.dispose()
        processes = deferred_scan_pids(gate.pid)
    assert len(processes) == 2
    assert not any(map(is_deferred_scan_process, map(str, processes)))


def test_process_waits_a_minute_while_the_database_fails(tmp_path: Path) -> None:
    """Each failure writes a line to the log. A request to stop still ends the wait at once."""
    data = tmp_path / "gate"
    with open_platform(data):
        pass
    program = [sys.executable, "-m", "entrenous", "gate", "slow-look", "--follow"]
    with closing(sqlite3.connect(data / "bank.db", isolation_level=None)) as bank:
        bank.execute("ALTER TABLE upload RENAME TO moved")
    with start_program(
        [*program, "--data", str(data)], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        assert process.stderr.readline() == b"slow look: BankUnreachable\n"
        time.sleep(3)
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(TIMEOUT_S) == 0


def scan_states(engine: sa.Engine) -> list[tuple[str | None, int]]:
    """Return, for each upload, the due scan or None, and how often a scan was started."""
    with single_read(engine) as db:
        rows = db.execute(
            sa.select(UPLOAD_TABLE.c.slow_look, UPLOAD_TABLE.c.slow_looks_taken)
        ).all()
    return [(row[0], row[1]) for row in rows]


@pytest.mark.parametrize(
    ("cpu_count", "process_count"), [(1, 1), (2, 1), (3, 1), (4, 2), (16, 8), (999, 64)]
)
def test_process_count_is_as_set_or_else_half_the_processors_from_1_to_64(
    cpu_count: int, process_count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_run, "processor_count", lambda: cpu_count)
    assert gate_run._deferred_scan_process_count(tmp_path) == process_count
    (tmp_path / "gate.toml").write_text("slow_look_processes = 5\n")
    assert gate_run._deferred_scan_process_count(tmp_path) == 5
