"""Measure the physical limit of a disk under SQLite.

Rows as large as letters are inserted, synced, deleted and synced again. There are no rules, no
network and no second thread. A group of 64 letters corresponds to requests that arrive from all 64
connections of bench/load/cycles.py at the same moment.
"""

import os
import sqlite3
import time
from pathlib import Path

from bench.load.cycles import LETTER_BYTES


def bare_cycles_per_s(folder: Path, seconds: float, group: int = 64) -> float:
    """Return how many rows are inserted and deleted per second, in groups of ``group`` rows.

    Each transaction is durable before the next one begins.
    """
    with sqlite3.connect(folder / "bare.db", isolation_level=None) as rows:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            rows.execute(f"PRAGMA {pragma}")
        rows.execute(
            "CREATE TABLE IF NOT EXISTS letter (id BLOB PRIMARY KEY, sealed BLOB NOT NULL)"
        )
        sealed, count, began = os.urandom(LETTER_BYTES), 0, time.perf_counter()
        while time.perf_counter() < began + seconds:
            ids = [os.urandom(16) for _ in range(group)]
            rows.execute("BEGIN IMMEDIATE")
            rows.executemany("INSERT INTO letter VALUES (?, ?)", [(one, sealed) for one in ids])
            rows.execute("COMMIT")
            rows.execute("BEGIN IMMEDIATE")
            rows.executemany("DELETE FROM letter WHERE id = ?", [(one,) for one in ids])
            rows.execute("COMMIT")
            count += group
        taken = time.perf_counter() - began
    rows.close()
    return count / taken


def disk_scan_mb_s(folder: Path, size: int = 256 << 20) -> float:
    """Return how fast a file of ``size`` bytes is written and synced, in MB/s."""
    block = os.urandom(1 << 20)
    path, began = folder / "scan", time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(size >> 20):
            file.write(block)
        os.fdatasync(file.fileno())
    taken = time.perf_counter() - began
    path.unlink()
    return size / taken / 1e6
