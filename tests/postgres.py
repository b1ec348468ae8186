"""Start PostgreSQL servers for tests, in temporary folders and on Unix sockets."""

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
    """A database that several tests use in turn, and that is reset for each of them."""

    url: str
    initial_rows: Rows  # the initial rows of each table

    @classmethod
    def of(cls, url: str) -> Self:
        with psycopg.connect(url) as db:
            return cls(url, {name: _all_rows(db, name) for name in _table_names(db)})

    def try_to_reset(self) -> bool:
        """Reset the database; return False if that is impossible.

        The function empties the tables that had no initial rows, and resets sequences. A reset is
        impossible if tables were added or removed, if the rows of other tables changed, or if the
        database is in use.
        """
        try:
            with psycopg.connect(self.url, options="-c lock_timeout=2s") as db:
                if _table_names(db) != list(self.initial_rows):
                    return False
                empty = [name for name, rows in self.initial_rows.items() if not rows]
                queries = (f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in empty)
                filled = [name for (name,) in db.execute(" UNION ALL ".join(queries)).fetchall()]  # type: ignore[arg-type]
                if filled:
                    db.execute(f"TRUNCATE {', '.join(filled)} CASCADE")  # type: ignore[arg-type]
                db.execute(_RESET_SEQUENCES)
                filled_at_start = {name: rows for name, rows in self.initial_rows.items() if rows}
                return all(_all_rows(db, name) == rows for name, rows in filled_at_start.items())
        except psycopg.Error:
            return False


_RESET_SEQUENCES = (
    "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)"
    " FROM pg_sequences WHERE last_value IS NOT NULL"
)


def _table_names(db: psycopg.Connection[Any]) -> list[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    return [f'"{name}"' for (name,) in db.execute(query).fetchall()]


def _all_rows(db: psycopg.Connection[Any], table: str) -> list[tuple[Any, ...]]:
    return db.execute(f"SELECT * FROM {table}").fetchall()  # type: ignore[arg-type]


@dataclass
class Cluster:
    """A running PostgreSQL server."""

    programs: Path
    folder: Path
    database_numbers: Iterator[int]
    disk: SmallDisk | None = None  # a disk that is mounted only for the server
    reused: dict[str, ReusedDatabase] = field(default_factory=dict)

    def url(self, database: str) -> str:
        return f"postgresql://entrenous@/{database}?host={self.folder}"

    def create_database(self) -> str:
        """Create a database with a relay's tables, and return its URL."""
        name = f"relay{next(self.database_numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE relay_template")
        return self.url(name)

    def reused_database(self, kind: str, create: Callable[[str], object] = bool) -> str:
        """Return the URL of an empty database with a relay's tables and those that ``create`` adds.

        All tests that pass the same ``kind`` share one database, because creating databases takes
        time. So each of these tests has to close its connections.
        """
        if kind not in self.reused or not self.reused[kind].try_to_reset():
            url = self.create_database()
            create(url)
            self.reused[kind] = ReusedDatabase.of(url)
        return self.reused[kind].url

    def start(self, *options: str) -> None:
        server_options = " ".join((f"-k {self.folder}", _OPTIONS, *options))
        self.control("-o", server_options, "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        self.control("-m", mode, "stop")

    def control(self, *words: str) -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", *words)

    def run(self, program: str, *words: str) -> None:
        """Run a program of PostgreSQL; if the tests run as root, run it as ``postgres``."""
        identity: dict[str, Any] = {}
        wrapper = (
            (*self.disk.command_prefix, "runuser", "-u", "postgres", "--") if self.disk else ()
        )
        if os.geteuid() == 0 and not wrapper:
            entry = pwd.getpwnam("postgres")
            identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        subprocess.run(
            [*wrapper, self.programs / program, *words],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            **identity,
        )


@contextlib.contextmanager
def run_cluster(*options: str, disk_mb: int | None = None) -> Iterator[Cluster]:
    """Start a server, optionally on a small disk; skip the test if PostgreSQL is missing."""
    programs = _programs_folder()
    if programs is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    # The user ``postgres`` may not enter the folders of pytest.
    folder = Path(tempfile.mkdtemp(prefix="entrenous-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    server, disks = Cluster(programs, folder, count(1)), contextlib.ExitStack()
    try:
        if disk_mb is not None:
            server.disk = disks.enter_context(mount_small_disk(folder / "data", disk_mb))
            chown = [
                *server.disk.command_prefix,
                "chown",
                "postgres:postgres",
                str(folder / "data"),
            ]
            subprocess.run(chown, check=True)
        server.run(
            *("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "entrenous"),
            *("--no-locale", "-E", "UTF8", "--no-sync"),
        )
        server.start(*options)
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE relay_template")
        open_postgres(server.url("relay_template")).close()
        yield server
        server.stop()
    finally:
        disks.close()
        shutil.rmtree(folder, ignore_errors=True)


def _programs_folder() -> Path | None:
    """Return the folder of PostgreSQL's programs: Debian's, or else the one on PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    return Path(on_path).parent if on_path else None
