"""Tests of waiting for SQLite's write lock: a busy writer, the timeout, and other errors."""

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from entrenous.base.identifiers import BankName
from entrenous.stop.nouns import Bank, BankUnreachable
from entrenous.stop.store import engine as engines
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import exclusive_write, open_engine

# This program holds the write lock nearly all the time.
GREEDY_WRITER = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], timeout=10, isolation_level=None)
print("ready", flush=True)
while True:
    db.execute("BEGIN IMMEDIATE")
    time.sleep(0.03)
    db.execute("COMMIT")
    time.sleep(0.001)
"""


@pytest.fixture
def database_path(tmp_path: Path) -> Path:
    made = tmp_path / "bank.db"
    open_engine(made).dispose()
    return made


def test_writer_is_not_starved_by_a_busy_one(database_path: Path) -> None:
    engine = open_engine(database_path)
    with subprocess.Popen(
        [sys.executable, "-c", GREEDY_WRITER, str(database_path)], stdout=subprocess.PIPE
    ) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            began = time.monotonic()
            for number in range(20):
                BankStore(engine).set_bank(Bank(BankName(f"number {number}")))
            # SQLite itself retries less and less often. If the program left the retries to SQLite,
            # it could wait for much longer.
            assert time.monotonic() - began < 20
        finally:
            other.kill()
    engine.dispose()


def test_write_lock_times_out_with_an_error(
    database_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_LOCK_WAIT_S_MAX", 0.3)
    one, other = open_engine(database_path), open_engine(database_path)
    with exclusive_write(one):
        began = time.monotonic()
        with pytest.raises(BankUnreachable, match="locked"), exclusive_write(other):
            pytest.fail("two writers at once")
        assert 0.3 <= time.monotonic() - began < 10
    with exclusive_write(other) as db:  # the timeout is back at 0.3 s
        assert db.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 300
    one.dispose()
    other.dispose()


def test_waiting_writer_succeeds_after_the_other(database_path: Path) -> None:
    one, other = open_engine(database_path), open_engine(database_path)
    done = threading.Event()

    def write_bank() -> None:
        BankStore(other).set_bank(Bank(BankName("late")))
        done.set()

    with exclusive_write(one):
        waits = threading.Thread(target=write_bank)
        waits.start()
        assert not done.wait(0.2)
    waits.join(20)
    assert done.is_set()
    one.dispose()
    other.dispose()


def test_errors_other_than_locks_are_raised_at_once(database_path: Path) -> None:
    """SQLite refuses to begin a transaction within a transaction. Waiting would not help."""
    engine = open_engine(database_path)
    began = time.monotonic()
    with engine.connect() as db:
        db.exec_driver_sql("BEGIN")
        with pytest.raises(sqlite3.OperationalError, match="within a transaction"):
            engines._begin_writing(db)
    assert time.monotonic() - began < 5
    engine.dispose()
