"""Read a relay's database from outside, whether the relay is running or not, and leave no trace."""

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def rows_of(mail: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads.

    Where nobody has the database open it is read as if it could not change; else SQLite would make
    files beside it, which belong to the account that looks and shut the relay's out.

    Raises:
        sqlite3.Error: it is no database, or can't be read.
    """
    busy = mail.with_name(f"{mail.name}-wal").exists()
    address = f"file:{mail.absolute().as_posix()}?mode=ro{'' if busy else '&immutable=1'}"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as rows:
        yield rows
