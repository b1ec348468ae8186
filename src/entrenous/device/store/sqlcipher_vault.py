"""The vault on disk: a SQLCipher database and a folder of sealed files."""

import contextlib
import io
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Literal

from entrenous.base.files import write_private_file_with
from entrenous.base.identifiers import ID_BYTES, BlobId
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import seal_file, seal_stream, unseal_file, unseal_stream
from entrenous.crypto.nouns import DecryptionFailed
from entrenous.device.lock_errors import VaultFileDamaged, VaultFileMissing
from entrenous.device.store.database import Database, lock_folder, translate_disk_errors
from entrenous.device.vault_tables import OWN_RECORDS

LOCK_WAIT_S: Final = 10.0  # seconds to wait for another command to release the vault
_FILES_KEY_RECORD: Final = (OWN_RECORDS, "files-key")
# suffix of files that arrived encrypted, and were stored without encrypting them again
_STORED_AS_IS_SUFFIX: Final = ".age"
_COPY_CHUNK_BYTES: Final = 1024 * 1024  # bytes copied at a time


class SqlcipherVault:
    """A vault in a folder; :class:`entrenous.device.device.Vault` documents its methods."""

    def __init__(
        self,
        folder: Path,
        key: Secret,
        *,
        wait_s: float = LOCK_WAIT_S,
        lock_descriptor: int | None = None,
    ) -> None:
        """Open or create the vault in ``folder``. If the caller has locked it already,
        ``lock_descriptor`` is the descriptor of the lock file.

        Raises:
            WrongPassphrase: ``key`` is not this vault's.
            VaultInUse: another process held the lock for longer than ``wait_s``.
        """
        self._folder = folder
        self._forgotten: list[str] = []  # files whose rows the open transaction deletes
        self._lock = lock_folder(folder, wait_s) if lock_descriptor is None else lock_descriptor
        try:
            (folder / "files").mkdir(mode=0o700, exist_ok=True)
            self._database = Database(folder, key)
            self._files_key = self._load_or_create_files_key()
            if not self._database.just_created:
                self._remove_leftover_files()
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Close the vault and unlock its folder."""
        self._database.close()
        os.close(self._lock)

    def call_before_first_change(self, action: Callable[[], object]) -> None:
        self._database.call_before_first_change(action)

    def rekey(self, key: Secret) -> None:
        """Re-encrypt the database in one transaction; durable on return.

        Pages under the old key are overwritten, as far as the disk allows it.
        """
        self._database.rekey(key)

    def get(self, table: str, key: str) -> bytes | None:
        row = self._database.execute(
            "SELECT value FROM record WHERE table_name = ? AND key = ?", table, key
        )
        found = row.fetchone()
        return None if found is None else bytes(found[0])

    def put(self, table: str, key: str, record: bytes) -> None:
        self._database.execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", table, key, record)

    def drop(self, table: str, key: str) -> None:
        self._database.execute("DELETE FROM record WHERE table_name = ? AND key = ?", table, key)

    def items(self, table: str) -> Iterator[tuple[str, bytes]]:
        rows = self._database.execute(
            "SELECT key, value FROM record WHERE table_name = ? ORDER BY key", table
        )
        return iter([(str(key), bytes(value)) for key, value in rows.fetchall()])

    def keys(self, table: str, start: str = "") -> tuple[str, ...]:
        rows = self._database.execute(
            "SELECT key FROM record WHERE table_name = ? AND key >= ? AND key < ? ORDER BY key",
            table,
            start,
            start + chr(0x10FFFF),  # the highest code point, which no key contains
        )
        return tuple(str(key) for (key,) in rows.fetchall())

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        try:
            with self._database.transaction():
                yield
        except BaseException:
            if not self._database.in_transaction:
                self._forgotten.clear()
            raise
        if not self._database.in_transaction:
            self._delete_files_of_deleted_rows()

    def store_file(self, data: bytes) -> BlobId:
        blob = _new_blob_id()
        sealed = seal_file(self._files_key, data, blob)
        self._write_file(blob.hex(), lambda file: file.write(sealed))
        return blob

    def store_file_as(self, blob: BlobId, reader: BinaryIO, *, sealed: bool = False) -> bool:
        names = (blob.hex(), blob.hex() + _STORED_AS_IS_SUFFIX)
        row = self._database.execute("SELECT 1 FROM file WHERE name IN (?, ?)", *names).fetchone()
        if row is not None:
            return False
        if sealed:
            self._store_as_is(blob, reader)
        else:
            self._write_file(
                blob.hex(), lambda file: seal_stream(self._files_key, reader, file, blob)
            )
        return True

    def store_sealed_file(self, sealed: bytes | BinaryIO) -> BlobId:
        blob = _new_blob_id()
        reader = io.BytesIO(sealed) if isinstance(sealed, bytes) else sealed
        self._store_as_is(blob, reader)
        return blob

    def read_stored_file(self, blob: BlobId) -> bytes:
        with self._open_for_reading(blob) as (file, sealed_here):
            data = file.read()
        try:
            return unseal_file(self._files_key, data, blob) if sealed_here else data
        except DecryptionFailed:
            raise VaultFileDamaged(name=blob.hex()) from None

    def copy_file_to(self, blob: BlobId, writer: BinaryIO) -> None:
        with self._open_for_reading(blob) as (file, sealed_here):
            if not sealed_here:
                shutil.copyfileobj(file, writer, _COPY_CHUNK_BYTES)
                return
            try:
                unseal_stream(self._files_key, file, writer, blob)
            except DecryptionFailed:
                raise VaultFileDamaged(name=blob.hex()) from None

    @contextlib.contextmanager
    def open_sealed_file(self, blob: BlobId) -> Iterator[BinaryIO]:
        with self._open_stored_as_is(blob, "rb") as file:
            yield file

    @contextlib.contextmanager
    def append_to_sealed_file(self, blob: BlobId) -> Iterator[BinaryIO]:
        with self._open_stored_as_is(blob, "r+b") as file:
            file.seek(0, os.SEEK_END)
            try:
                yield file
            finally:
                file.flush()
                os.fsync(file.fileno())

    def sealed_file_size(self, blob: BlobId) -> int:
        with self._open_stored_as_is(blob, "rb") as file:
            return os.fstat(file.fileno()).st_size

    def delete_file(self, blob: BlobId) -> None:
        for name in (blob.hex(), blob.hex() + _STORED_AS_IS_SUFFIX):
            self._database.execute("DELETE FROM file WHERE name = ?", name)
            self._forgotten.append(name)
        if not self._database.in_transaction:
            self._delete_files_of_deleted_rows()

    def empty_journal(self) -> None:
        """Empty the write-ahead log, which has earlier versions of pages.

        The database itself overwrites pages when they are freed (secure_delete).
        """
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _delete_files_of_deleted_rows(self) -> None:
        """Delete the files whose rows are deleted.

        Files that a crash leaves behind are removed when the vault is next opened.
        """
        while self._forgotten:
            (self._folder / "files" / self._forgotten.pop()).unlink(missing_ok=True)

    def _store_as_is(self, blob: BlobId, reader: BinaryIO) -> None:
        self._write_file(
            blob.hex() + _STORED_AS_IS_SUFFIX,
            lambda file: shutil.copyfileobj(reader, file, _COPY_CHUNK_BYTES),
        )

    def _write_file(self, name: str, fill: Callable[[BinaryIO], object]) -> None:
        with translate_disk_errors():
            write_private_file_with(self._folder / "files" / name, fill)
        self._database.execute("INSERT INTO file VALUES (?)", name)
        self._forgotten = [one for one in self._forgotten if one != name]

    @contextlib.contextmanager
    def _open_for_reading(self, blob: BlobId) -> Iterator[tuple[BinaryIO, bool]]:
        """Yield a file that is open for reading, and whether this device encrypted it."""
        as_it_is = self._database.execute(
            "SELECT 1 FROM file WHERE name = ?", blob.hex() + _STORED_AS_IS_SUFFIX
        ).fetchone()
        name = blob.hex() if as_it_is is None else blob.hex() + _STORED_AS_IS_SUFFIX
        try:
            file = self._path_of(name).open("rb")
        except FileNotFoundError:
            raise VaultFileMissing(name=name) from None
        with file:
            yield file, as_it_is is None

    @contextlib.contextmanager
    def _open_stored_as_is(self, blob: BlobId, mode: Literal["rb", "r+b"]) -> Iterator[BinaryIO]:
        """Open a file that was stored without encrypting it again."""
        name = blob.hex() + _STORED_AS_IS_SUFFIX
        with translate_disk_errors():
            try:
                file = self._path_of(name).open(mode)
            except FileNotFoundError:
                raise VaultFileMissing(name=name) from None
            with file:
                yield file

    def _path_of(self, name: str) -> Path:
        """Return the file's path; raises VaultFileMissing if this transaction has deleted it."""
        if name in self._forgotten:
            raise VaultFileMissing(name=name)
        return self._folder / "files" / name

    def _remove_leftover_files(self) -> None:
        known = {
            str(name) for (name,) in self._database.execute("SELECT name FROM file").fetchall()
        }
        for place in (self._folder / "files").iterdir():
            if place.name not in known:
                place.unlink()

    def _load_or_create_files_key(self) -> Secret:
        stored = self.get(*_FILES_KEY_RECORD)
        if stored is None:
            stored = secrets.token_bytes(32)
            self.put(*_FILES_KEY_RECORD, stored)
        return Secret(stored)


def _new_blob_id() -> BlobId:
    return BlobId(secrets.token_bytes(ID_BYTES))
