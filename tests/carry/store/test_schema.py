"""Tests of the relay's tables: creation, schema version, and SQLite or PostgreSQL types."""

import contextlib
import hashlib
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from entrenous.base.errors import DiskFull
from entrenous.carry.relay_rows import KEY_FIELDS, NewerDatabase, OlderDatabase, UnusedDatabase
from entrenous.carry.store.sqlite_rows import open_sqlite
from entrenous.carry.store.tables import ROWID_TABLES, SCHEMA_VERSION, build_schema, table_name

#: SHA-256 of schema_description() for the schema with the number SCHEMA_VERSION.
SCHEMA_SHA256 = "0e874f55f4f1ea8597616c048366758a8a87fab1181cfc0a6aa83ff3841ac208"


def dump_database(mail: Path) -> str:
    with contextlib.closing(sqlite3.connect(mail)) as rows:
        version = rows.execute("PRAGMA user_version").fetchone()[0]
        return "\n".join((f"PRAGMA user_version={version};", *rows.iterdump(), ""))


def create_database_of_version(mail: Path, version: int) -> str:
    """Create a relay's database with that schema version; return its contents."""
    open_sqlite(mail).close()
    with contextlib.closing(sqlite3.connect(mail)) as connection:
        connection.execute(f"PRAGMA user_version={version}")
    return dump_database(mail)


def schema_description() -> list[object]:
    """Return every table with its columns and indexes, in the types of SQLite and PostgreSQL."""
    dialects = (sqlite.dialect(), postgresql.dialect())
    return [
        (
            table.name,
            [
                (one.name, *(one.type.compile(d) for d in dialects), one.nullable, one.primary_key)
                for one in table.columns
            ],
            sorted((str(one.name), [part.name for part in one.columns]) for one in table.indexes),
            table.dialect_options["sqlite"]["with_rowid"],
        )
        for table in build_schema().sorted_tables
    ]


def test_every_type_of_row_gets_its_table(tmp_path: Path) -> None:
    mail = tmp_path / "mail.db"
    open_sqlite(mail).close()
    with contextlib.closing(sqlite3.connect(mail)) as connection:
        lists = [
            row
            for row in connection.execute("PRAGMA table_list")
            if not row[1].startswith("sqlite")
        ]
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert {row[1]: bool(row[4]) for row in lists} == {
        table_name(row_type): row_type not in ROWID_TABLES for row_type in KEY_FIELDS
    }


def test_changed_schema_requires_a_new_version() -> None:
    """If this test fails, increment SCHEMA_VERSION and update SCHEMA_SHA256."""
    digest = hashlib.sha256(repr(schema_description()).encode()).hexdigest()
    assert (SCHEMA_VERSION, digest) == (7, SCHEMA_SHA256)


def test_second_start_does_not_change_the_file(tmp_path: Path) -> None:
    mail = tmp_path / "mail.db"
    open_sqlite(mail).close()
    after = mail.read_bytes()
    open_sqlite(mail).close()
    open_sqlite(mail, create=False).close()
    assert mail.read_bytes() == after


@pytest.mark.parametrize(
    ("version", "error_type"),
    [(SCHEMA_VERSION - 1, OlderDatabase), (0, OlderDatabase), (SCHEMA_VERSION + 1, NewerDatabase)],
    ids=["earlier", "missing", "newer"],
)
@pytest.mark.parametrize("create", [True, False])
def test_database_of_another_version_is_refused_and_unchanged(
    tmp_path: Path, version: int, error_type: type[Exception], *, create: bool
) -> None:
    mail = tmp_path / "mail.db"
    before = create_database_of_version(mail, version)
    with pytest.raises(error_type):
        open_sqlite(mail, create=create)
    assert dump_database(mail) == before


def test_inspecting_an_empty_file_creates_no_tables(tmp_path: Path) -> None:
    mail = tmp_path / "mail.db"
    with pytest.raises(UnusedDatabase, match="entrenous relay run"):
        open_sqlite(mail, create=False)
    assert "CREATE" not in dump_database(mail)
    open_sqlite(mail).close()
    open_sqlite(mail, create=False).close()


def test_full_disk_at_creation_leaves_no_tables(tmp_path: Path) -> None:
    mail = tmp_path / "mail.db"
    with pytest.raises(DiskFull):
        open_sqlite(mail, bytes_max=8 * 4096)
    assert "CREATE" not in dump_database(mail)
    open_sqlite(mail).close()


def test_postgresql_schema_has_every_table_and_no_blob_type() -> None:
    text = "\n".join(
        str(CreateTable(table).compile(dialect=postgresql.dialect()))
        for table in build_schema().sorted_tables
    )
    assert text.count("CREATE TABLE") == len(KEY_FIELDS)
    assert "BLOB" not in text


def test_other_tables_in_the_database_are_kept(tmp_path: Path) -> None:
    """A PostgreSQL database may also contain a gate's tables."""
    mail = tmp_path / "mail.db"
    engine = sql.create_engine(f"sqlite:///{mail}")
    with engine.begin() as other:
        other.exec_driver_sql("CREATE TABLE somebody (name TEXT)")
    engine.dispose()
    open_sqlite(mail).close()
    assert "CREATE TABLE somebody" in dump_database(mail)
