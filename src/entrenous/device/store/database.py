"""One connection to a vault's SQLCipher database, used by one process at a time."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import sqlcipher3

from entrenous.base.errors import BadRecord, DiskFailed, DiskFull
from entrenous.base.secret import Secret
from entrenous.device.lock_errors import VaultInUse, WrongPassphrase

# The folder's lock keeps other processes out, so SQLite needs no shared-memory file. That file
# would be created at each opening, and on a full disk even reading would then fail.
_PRAGMAS: Final = (
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
)
_CREATE_RECORD_TABLE_SQL: Final = """
CREATE TABLE record (
  table_name TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (table_name, key)
) WITHOUT ROWID
"""
_CREATE_FILE_TABLE_SQL: Final = "CREATE TABLE file (name TEXT PRIMARY KEY) WITHOUT ROWID"
_SELECT_TABLE_NAMES_SQL: Final = "SELECT name FROM sqlite_master WHERE type = 'table'"
_SHARED_MEMORY_FULL_CODE: Final = 4874  # SQLITE_IOERR_SHMSIZE: no room for the shared-memory file
_IO_ERROR_CODE: Final = 10  # SQLITE_IOERR, which is the low byte of all its extended codes
_READ_STATEMENT_PREFIXES: Final = ("SELECT", "PRAGMA")  # statements that change no row


class Database:
    """A vault's database, created if it does not exist."""

    def __init__(self, folder: Path, key: Secret) -> None:
        """Open or create the database in ``folder``.

        Raises:
            WrongPassphrase: ``key`` is not the database's.
            DiskFull, DiskFailed.
        """
        with translate_disk_errors():
            self._connection = _open_encrypted_database(folder / "vault.db", key)
            self.just_created = _create_tables_if_empty(self._connection)
        self._depth = 0
        self._before_change: Callable[[], object] | None = None

    def close(self) -> None:
        self._connection.close()

    def call_before_first_change(self, action: Callable[[], object]) -> None:
        """Call ``action`` once, before the next change. If it raises an error, the change is not
        made.
        """
        self._before_change = action

    def rekey(self, key: Secret) -> None:
        """Re-encrypt the database in one transaction; durable on return."""
        self.execute(f"PRAGMA rekey = \"x'{key.reveal().hex()}'\"")
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def execute(self, statement: str, *values: object) -> Any:
        """Run one statement.

        Raises:
            DiskFull: the disk is full.
            DiskFailed: the disk reported an error.
            BadRecord: a page of the database is damaged.
        """
        with translate_disk_errors():
            if self._before_change is not None and not statement.startswith(
                _READ_STATEMENT_PREFIXES
            ):
                self._before_change()
                self._before_change = None
            try:
                return self._connection.execute(statement, values)
            except sqlcipher3.DatabaseError as why:
                if "malformed" in str(why) or "not a database" in str(why):
                    raise BadRecord(kind="page of the vault") from None
                raise

    @property
    def in_transaction(self) -> bool:
        return self._depth > 0

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Open a transaction: all changes are made or none. A nested call joins the outer one."""
        self._depth += 1
        try:
            if self._depth == 1:  # inside the try, so that Ctrl-C cannot leave an open transaction
                self.execute("BEGIN IMMEDIATE")
            yield
        except BaseException:
            self._end_transaction("ROLLBACK")
            raise
        self._end_transaction("COMMIT")

    def _end_transaction(self, statement: str) -> None:
        self._depth -= 1
        if self._depth == 0 and self._connection.in_transaction:
            try:
                self.execute(statement)
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def is_right_key(folder: Path, key: Secret) -> bool:
    """Return whether ``key`` decrypts the vault in ``folder``; the vault must not be open."""
    try:
        Database(folder, key).close()
    except WrongPassphrase:
        return False
    return True


def _open_encrypted_database(path: Path, key: Secret) -> Any:
    new = not path.exists()
    connection = sqlcipher3.connect(str(path), isolation_level=None)
    if new:
        path.chmod(0o600)
    # this program reports errors in its own words
    connection.execute("PRAGMA cipher_log_level = NONE")
    connection.execute(f"PRAGMA key = \"x'{key.reveal().hex()}'\"")
    try:
        for statement in (*_PRAGMAS, _SELECT_TABLE_NAMES_SQL):
            connection.execute(statement)
    except sqlcipher3.DatabaseError as why:
        connection.close()
        if "not a database" in str(why):
            raise WrongPassphrase from None
        raise
    return connection


def _create_tables_if_empty(connection: Any) -> bool:
    """Create the tables of a new vault in one transaction; return whether the vault was new."""
    if connection.execute(_SELECT_TABLE_NAMES_SQL).fetchone() is not None:
        return False
    try:
        connection.execute("BEGIN IMMEDIATE")
        for statement in (_CREATE_RECORD_TABLE_SQL, _CREATE_FILE_TABLE_SQL):
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return True


@contextlib.contextmanager
def translate_disk_errors() -> Iterator[None]:
    """Turn errors of SQLite and of the system about the disk into DiskFull and DiskFailed.

    An error about a damaged file is passed on.
    """
    try:
        yield
    except sqlcipher3.OperationalError as why:
        code = getattr(why, "sqlite_errorcode", 0)  # sqlcipher3's own errors lack it
        if "full" in str(why) or code == _SHARED_MEMORY_FULL_CODE:
            raise DiskFull from None
        if code & 0xFF == _IO_ERROR_CODE:
            raise DiskFailed from None
        raise
    except OSError as why:
        if why.errno in (28, 122):  # ENOSPC, EDQUOT
            raise DiskFull from None
        raise


_LOCK_POLL_S = 0.05  # seconds between attempts, since flock(2) has no timeout


def lock_folder(folder: Path, wait_s: float) -> int:
    """Lock the folder, and return the descriptor of the lock file.

    Closing the descriptor, or the end of the process, unlocks the folder.

    Raises VaultInUse if another process held the lock for longer than ``wait_s``.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(handle)
                raise VaultInUse from None
            time.sleep(_LOCK_POLL_S)
        else:
            if _is_current_lock_file(handle, folder):
                return handle
            os.close(handle)  # a failed set-up deleted the lock file meanwhile
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)


def _is_current_lock_file(handle: int, folder: Path) -> bool:
    """Return whether the locked file is still the one in the folder, and not a deleted one."""
    try:
        return os.path.samestat(os.fstat(handle), (folder / "lock").stat())
    except FileNotFoundError:
        return False
