"""A vault in memory for tests; a vault on disk is slower."""

import contextlib
import io
import secrets
from collections.abc import Iterator
from typing import BinaryIO

from entrenous.base.identifiers import ID_BYTES, BlobId
from entrenous.device.lock_errors import VaultFileMissing


class MemoryVault:
    """An implementation of the ``Vault`` protocol with dictionaries."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, bytes]] = {}
        self._files: dict[BlobId, bytes] = {}
        self._depth = 0

    def copy(self) -> "MemoryVault":
        """Return an independent vault with the same records and files."""
        other = MemoryVault()
        other._tables = {name: dict(records) for name, records in self._tables.items()}
        other._files = dict(self._files)
        return other

    def get(self, table: str, key: str) -> bytes | None:
        """Return a record, or None if there is none."""
        return self._tables.get(table, {}).get(key)

    def put(self, table: str, key: str, record: bytes) -> None:
        """Insert or replace a record."""
        self._tables.setdefault(table, {})[key] = record

    def drop(self, table: str, key: str) -> None:
        """Delete a record, if it exists."""
        self._tables.get(table, {}).pop(key, None)

    def items(self, table: str) -> Iterator[tuple[str, bytes]]:
        """Return all records of a table, sorted by key."""
        return iter(sorted(self._tables.get(table, {}).items()))

    def keys(self, table: str, start: str = "") -> tuple[str, ...]:
        """Return the sorted keys of a table that begin with ``start``."""
        records = self._tables.get(table, {})
        return tuple(sorted(key for key in records if key.startswith(start)))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Undo changes of records and deletions of files if the block raises.

        A nested transaction joins the outer one.
        """
        before, files = None, dict[BlobId, bytes]()
        if self._depth == 0:
            # The records themselves are immutable.
            before = {name: dict(records) for name, records in self._tables.items()}
            files = dict(self._files)
        self._depth += 1
        try:
            yield
        except BaseException:
            if before is not None:
                self._tables = before
                self._files = files | self._files  # restore deleted files, keep new ones
            raise
        finally:
            self._depth -= 1

    def store_file(self, data: bytes) -> BlobId:
        """Store a file under a random name, and return the name."""
        blob = BlobId(secrets.token_bytes(ID_BYTES))
        self._files[blob] = data
        return blob

    def read_stored_file(self, blob: BlobId) -> bytes:
        """Return the content of a file; raises VaultFileMissing."""
        if blob not in self._files:
            raise VaultFileMissing(name=blob.hex())
        return self._files[blob]

    def store_file_as(self, blob: BlobId, reader: BinaryIO, *, sealed: bool = False) -> bool:  # noqa: ARG002
        """Store a file under a given name; return False if the name is taken."""
        if blob in self._files:
            return False
        self._files[blob] = reader.read()
        return True

    def store_sealed_file(self, sealed: bytes | BinaryIO) -> BlobId:
        """Store ciphertext unchanged under a random name, and return the name."""
        return self.store_file(sealed if isinstance(sealed, bytes) else sealed.read())

    def copy_file_to(self, blob: BlobId, writer: BinaryIO) -> None:
        """Write the content of a file to ``writer``; raises VaultFileMissing."""
        writer.write(self.read_stored_file(blob))

    @contextlib.contextmanager
    def open_sealed_file(self, blob: BlobId) -> Iterator[BinaryIO]:
        """Open a file as a seekable reader; raises VaultFileMissing."""
        yield io.BytesIO(self.read_stored_file(blob))

    @contextlib.contextmanager
    def append_to_sealed_file(self, blob: BlobId) -> Iterator[BinaryIO]:
        """Open a file to append to it; raises VaultFileMissing."""
        more, before = io.BytesIO(), self.read_stored_file(blob)
        try:
            yield more
        finally:
            self._files[blob] = before + more.getvalue()

    def sealed_file_size(self, blob: BlobId) -> int:
        """Return the size of a file in bytes; raises VaultFileMissing."""
        return len(self.read_stored_file(blob))

    def empty_journal(self) -> None:
        """Do nothing: there is no journal."""

    def delete_file(self, blob: BlobId) -> None:
        """Delete a file, if it exists."""
        self._files.pop(blob, None)
