"""Start PostgreSQL servers for tests: Debian's, in a temporary folder, on a Unix socket."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest

from entrenous.carry.store.postgres import open_postgres
from tests.real.small_disk import SmallDisk, mount_small_disk

_OPTIONS = "-c listen_addresses= -c shared_buffers=64MB -c max_connections=60"


Rows = dict[str, list[tuple[Any, ...]]]


@dataclass
class ReusedDatabase:
    """A database that tests use one after the other, and that is reset for each of them."""

    url: str
    first: Rows  # the initial rows of each table

    @classmethod
    def of(cls, url: str) -> Self:
        with psycopg.connect(url) as db:
            return cls(url, {name: _all_rows(db, name) for name in _table_names(db)})

    def try_to_empty(self) -> bool:
        """Delete added rows; return False if anything else changed or the database is in use."""
        try:
            with psycopg.connect(self.url, options="-c lock_timeout=2s") as db:
                if _table_names(db) != list(self.first):
                    return False
                empty = [name for name, rows in self.first.items() if not rows]
                asked = (f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in empty)
                filled = [name for (name,) in db.execute(" UNION ALL ".join(asked)).fetchall()]  # type: ignore[arg-type]
                if filled:
                    db.execute(f"TRUNCATE {', '.join(filled)} CASCADE")  # type: ignore[arg-type]
                db.execute(_RESET_SEQUENCES)
                kept = {name: rows for name, rows in self.first.items() if rows}
                return all(_all_rows(db, name) == rows for name, rows in kept.items())
        except psycopg.Error:
            return False


_RESET_SEQUENCES = (
    "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)"
    " FROM pg_sequences WHERE last_value IS NOT NULL"
)


def _table_names(db: psycopg.Connection[Any]) -> list[str]:
    every = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    return [f'"{name}"' for (name,) in db.execute(every).fetchall()]


def _all_rows(db: psycopg.Connection[Any], table: str) -> list[tuple[Any, ...]]:
    return db.execute(f"SELECT * FROM {table}").fetchall()  # type: ignore[arg-type]


@dataclass
class Cluster:
    """A running server; ``fresh`` creates a database with a relay's tables."""

    programs: Path
    folder: Path
    numbers: Iterator[int]
    disk: SmallDisk | None = None  # that only the server sees
    used: dict[str, ReusedDatabase] = field(default_factory=dict)

    def url(self, database: str) -> str:
        return f"postgresql://entrenous@/{database}?host={self.folder}"

    def create_database(self) -> str:
        """Create a database with a relay's tables, and return its URL."""
        name = f"relay{next(self.numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as server:
            server.execute(f"CREATE DATABASE {name} TEMPLATE ours")
        return self.url(name)

    def reused_database(self, kind: str, create: Callable[[str], object] = bool) -> str:
        """Return the URL of a database with a relay's tables and those that ``create`` makes.

        It is as empty as a fresh one and takes less time, since all tests that ask for this kind
        share one database. So each of them has to close its connections.
        """
        if kind not in self.used or not self.used[kind].try_to_empty():
            url = self.create_database()
            create(url)
            self.used[kind] = ReusedDatabase.of(url)
        return self.used[kind].url

    def start(self, *options: str) -> None:
        given = " ".join((f"-k {self.folder}", _OPTIONS, *options))
        self.control("-o", given, "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        self.control("-m", mode, "stop")

    def control(self, *words: str) -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", *words)

    def run(self, program: str, *words: str) -> None:
        """Run a program of PostgreSQL; if we are root, as ``postgres``, since it refuses root."""
        who: dict[str, Any] = {}
        around = (*self.disk.command_prefix, "runuser", "-u", "postgres", "--") if self.disk else ()
        if os.geteuid() == 0 and not around:
            entry = pwd.getpwnam("postgres")
            who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        subprocess.run(
            [*around, self.programs / program, *words],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            **who,
        )


@contextlib.contextmanager
def run_cluster(*options: str, disk_mb: int | None = None) -> Iterator[Cluster]:
    """Start a server, on its own disk of ``disk_mb`` MB if given; skip if none is installed."""
    programs = _programs_folder()
    if programs is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    # Only their owner may enter pytest's own folders.
    folder = Path(tempfile.mkdtemp(prefix="entrenous-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    made, going = Cluster(programs, folder, count(1)), contextlib.ExitStack()
    try:
        if disk_mb is not None:
            made.disk = going.enter_context(mount_small_disk(folder / "data", disk_mb))
            own = [*made.disk.command_prefix, "chown", "postgres:postgres", str(folder / "data")]
            subprocess.run(own, check=True)
        made.run(
            *("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "entrenous"),
            *("--no-locale", "-E", "UTF8", "--no-sync"),
        )
        made.start(*options)
        with psycopg.connect(made.url("postgres"), autocommit=True) as server:
            server.execute("CREATE DATABASE ours")
        open_postgres(made.url("ours")).close()
        yield made
        made.stop()
    finally:
        going.close()
        shutil.rmtree(folder, ignore_errors=True)


def _programs_folder() -> Path | None:
    """Return the folder of PostgreSQL's programs: on Debian not in PATH, one for each version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    return Path(on_path).parent if on_path else None
