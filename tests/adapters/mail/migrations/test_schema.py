"""A database that was made, one that was brought along, and the nouns: one schema."""

import contextlib
import io
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from entrenous.adapters.mail.migrations import upgrade as module
from entrenous.adapters.mail.sqlite import open_mail
from entrenous.adapters.mail.tables import VERSION
from entrenous.adapters.mail.tables import schema as nouns
from entrenous.model.held import HELD, NewerDatabase, OlderDatabase
from entrenous.model.relay_problem import DiskFull
from tests.adapters.mail.migrations.house import before_groups, dumped, restored

STEPS = ScriptDirectory(Path(module.__file__).parent)


def schema(mail: Path) -> dict[str, Any]:
    """Every table: its columns, its indexes with theirs, and whether its rows lie in its key."""
    with contextlib.closing(sqlite3.connect(mail)) as file:
        ask = lambda question: file.execute(f"PRAGMA {question}").fetchall()  # noqa: E731
        tables = [(row[1], row[4]) for row in ask("table_list") if row[0] == "main"]
        return {
            name: (
                no_rowid,
                {column[1:] for column in ask(f"table_info({name})")},
                {index[1:] for index in ask(f"index_list({name})")},
                {
                    (index[1], *column)
                    for index in ask(f"index_list({name})")
                    for column in ask(f"index_xinfo({index[1]})")
                    if column[5]  # the rest is the table's own key
                },
            )
            for name, no_rowid in tables
            if not name.startswith("sqlite_")
        }


def by_name(found: dict[str, Any], mail: Path) -> dict[str, Any]:
    """The same with columns by name instead of their place, which nobody relies on."""
    with contextlib.closing(sqlite3.connect(mail)) as file:
        places = {
            name: {row[0]: row[1] for row in file.execute(f"PRAGMA table_info({name})")}
            for name in found
        }
    return {
        name: (
            no_rowid,
            columns,
            indexes,
            {(index, rank, places[name][place], *rest) for index, rank, place, *rest in parts},
        )
        for name, (no_rowid, columns, indexes, parts) in found.items()
    }


def described(mail: Path) -> dict[str, Any]:
    return by_name(schema(mail), mail)


def test_made_anew_and_brought_along_are_the_same(tmp_path: Path) -> None:
    open_mail(tmp_path / "new.db").close()
    old = restored(tmp_path)
    assert described(old) != described(tmp_path / "new.db")
    open_mail(old).close()
    assert schema(old) == schema(tmp_path / "new.db")


def test_the_steps_lead_to_the_nouns(tmp_path: Path) -> None:
    open_mail(tmp_path / "new.db").close()
    engine = sql.create_engine(f"sqlite:///{tmp_path / 'nouns.db'}")
    nouns().create_all(engine)
    engine.dispose()
    made = described(tmp_path / "new.db")
    assert made.pop("alembic_version")
    assert made == described(tmp_path / "nouns.db")
    assert len(made) == len(HELD)


def test_an_early_database_that_lacks_what_came_later(tmp_path: Path) -> None:
    """The first relays numbered their schema 1 before they had grown to all of it."""
    old = restored(tmp_path)
    with contextlib.closing(sqlite3.connect(old)) as file:
        file.execute("DROP INDEX held_blob_by_mailbox")
        file.execute("DROP TABLE coming_blob")
    open_mail(old).close()
    open_mail(tmp_path / "new.db").close()
    assert schema(old) == schema(tmp_path / "new.db")


def test_a_database_of_before_groups(tmp_path: Path) -> None:
    old = restored(tmp_path)
    before_groups(old)
    open_mail(old).close()
    open_mail(tmp_path / "new.db").close()
    assert schema(old) == schema(tmp_path / "new.db")


def test_the_version_is_the_number_of_steps(tmp_path: Path) -> None:
    steps = [step.revision for step in STEPS.walk_revisions()]
    assert steps == [f"{number:04}" for number in range(VERSION, 0, -1)]
    open_mail(tmp_path / "mail.db").close()
    text = dumped(tmp_path / "mail.db")
    assert f"PRAGMA user_version={VERSION};" in text
    assert f"""INSERT INTO "alembic_version" VALUES('{VERSION:04}');""" in text


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    mail = restored(tmp_path)
    open_mail(mail).close()
    after = mail.read_bytes()
    open_mail(mail).close()
    assert mail.read_bytes() == after


def test_a_step_that_is_not_known_here_is_refused(tmp_path: Path) -> None:
    mail = restored(tmp_path)
    with contextlib.closing(sqlite3.connect(mail)) as file:
        file.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        file.execute("INSERT INTO alembic_version VALUES ('9999')")
        file.commit()
    before = dumped(mail)
    with pytest.raises(NewerDatabase):
        open_mail(mail)
    assert dumped(mail) == before


def test_whoever_only_looks_does_not_bring_it_along(tmp_path: Path) -> None:
    mail = restored(tmp_path)
    before = dumped(mail)
    with pytest.raises(OlderDatabase):
        open_mail(mail, upgrade=False)
    assert dumped(mail) == before
    open_mail(mail).close()
    open_mail(mail, upgrade=False).close()


def test_a_full_disk_leaves_it_as_it_was(tmp_path: Path) -> None:
    mail = restored(tmp_path)
    before = dumped(mail)
    with pytest.raises(DiskFull):
        open_mail(mail, bytes_max=mail.stat().st_size)
    assert dumped(mail) == before
    open_mail(mail).close()


def test_the_steps_speak_postgresql() -> None:
    written = io.StringIO()
    options = {"as_sql": True, "output_buffer": written}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    for step in reversed(list(STEPS.walk_revisions())):
        step.module.upgrade(Operations(context))
    text = written.getvalue()
    assert "ALTER TABLE held_share ALTER COLUMN mailbox SET NOT NULL" in text
    assert text.count("CREATE TABLE") == len(HELD) + 1
    assert "BLOB" not in text
