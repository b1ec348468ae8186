"""In-memory stores on simulated disks, which lose unsynced writes in a crash.

The stores write and sync at the same points as device/store/sqlcipher_vault.py and carry/store/:
every transaction is synced before it is answered; a file is synced before its row is written; the
deletion of a vault's file may be lost until the next sync.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, BinaryIO, Final

from entrenous.base.identifiers import BlobId
from entrenous.carry.relay import RowTransaction, RowView
from tests.in_memory.blobs import MemoryBlobs
from tests.in_memory.mail import MemoryRowStore
from tests.in_memory.vault import MemoryVault
from tests.village.sim.disk import Change, SimDisk

_FILE_TABLE: Final = "file"  # the first part of each key of a finished file
_PARTIAL_UPLOAD: Final = "part"  # the first part of the key of an unfinished upload
_PIECE_COUNT: Final = 3  # a file is written to the disk in this many writes


class SimVault:
    """A vault on two disks, one for records and one for files."""

    def __init__(self, records: SimDisk, files: SimDisk) -> None:
        self._records, self._files = records, files
        self._pending, self._unlinked, self._depth = list[Change](), list[Change](), 0
        self.memory_store = MemoryVault()
        self._read()

    def _read(self) -> None:
        """Load the contents of the disks; delete files without a row, which a crash left behind."""
        for (table, key), stored in self._records.durable.items():
            if table != _FILE_TABLE:
                self.memory_store.put(str(table), str(key), stored)
        for location, stored in list(self._files.durable.items()):
            if location in self._records.durable:
                self.memory_store._files[location[1]] = stored  # type: ignore[index]
            else:
                self._files.durable.pop(location)

    def __getattr__(self, call: str) -> Any:
        return getattr(self.memory_store, call)

    def put(self, table: str, key: str, record: bytes) -> None:
        self.memory_store.put(table, key, record)
        self._write(((table, key), record))

    def drop(self, table: str, key: str) -> None:
        self.memory_store.drop(table, key)
        self._write(((table, key), None))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        with self.memory_store.transaction():
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._pending.clear()
                    self._unlinked.clear()
                raise
            self._depth -= 1
            self._commit()

    def store_file(self, data: bytes) -> BlobId:
        blob = self.memory_store.store_file(data)
        self._store_new_file(blob)
        return blob

    def store_sealed_file(self, sealed: bytes | BinaryIO) -> BlobId:
        return self.store_file(sealed if isinstance(sealed, bytes) else sealed.read())

    def store_file_as(self, blob: BlobId, reader: BinaryIO, *, sealed: bool = False) -> bool:
        new = self.memory_store.store_file_as(blob, reader, sealed=sealed)
        if new:
            self._store_new_file(blob)
        return new

    @contextlib.contextmanager
    def append_to_sealed_file(self, blob: BlobId) -> Iterator[BinaryIO]:
        before = self.memory_store.read_stored_file(blob)
        try:
            with self.memory_store.append_to_sealed_file(blob) as file:
                yield file
        finally:
            self._write_appended(blob, before)

    def delete_file(self, blob: BlobId) -> None:
        self.memory_store.delete_file(blob)
        self._unlinked.append(((_FILE_TABLE, blob), None))
        self._write(((_FILE_TABLE, blob), None))

    def _store_new_file(self, blob: BlobId) -> None:
        self._write_appended(blob, b"")
        self._write(((_FILE_TABLE, blob), b"1"))

    def _write_appended(self, blob: BlobId, before: bytes) -> None:
        """Write the appended bytes of a file in several pieces, and sync them."""
        whole = self.memory_store.read_stored_file(blob)
        for piece in range(1, _PIECE_COUNT + 1):
            end = len(before) + (len(whole) - len(before)) * piece // _PIECE_COUNT
            self._files.write(((_FILE_TABLE, blob), whole[:end]))
        self._files.sync()

    def _write(self, change: Change) -> None:
        self._pending.append(change)
        self._commit()

    def _commit(self) -> None:
        if self._depth == 0 and self._pending:
            self._records.write(*self._pending)
            self._pending.clear()
            self._records.sync()
        while self._depth == 0 and self._unlinked:
            self._files.write(self._unlinked.pop())


class SimRowStore:
    """A relay's rows on one disk."""

    def __init__(self, disk: SimDisk) -> None:
        self._disk, self.memory_store = disk, MemoryRowStore()
        for (kind, *key), row in disk.durable.items():
            self.memory_store._transaction._rows[kind][tuple(key)] = row  # type: ignore[index]

    async def transact(
        self,
        work: Callable[[RowTransaction], Any],
        ahead: Callable[[RowView], object] | None = None,
    ) -> Any:
        """Run a transaction, sync the rows that it changed, and return the answer."""
        answer = await self.memory_store.transact(work, ahead)
        changes = self._changes()
        if changes:
            self._disk.write(*changes)
            self._disk.sync()
        return answer

    async def read(
        self, work: Callable[[RowView], Any], ahead: Callable[[RowView], object] | None = None
    ) -> Any:
        return await self.memory_store.read(work, ahead)

    async def clear_deleted_rows(self) -> None:
        await self.memory_store.clear_deleted_rows()

    def _changes(self) -> list[Change]:
        transaction = self.memory_store._transaction
        changed = dict.fromkeys((kind, *key) for kind, key, _ in transaction.changed_rows)
        return [(place, transaction._rows[place[0]].get(place[1:])) for place in changed]


class SimBlobs:
    """A relay's blobs on one disk."""

    def __init__(self, disk: SimDisk) -> None:
        self._disk, self.memory_store = disk, MemoryBlobs()
        for (kind, name), stored in disk.durable.items():
            if kind == _PARTIAL_UPLOAD:
                self.memory_store._parts[str(name)] = bytearray(stored)
            else:
                self.memory_store._blobs[str(name)] = stored

    async def store(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        sha256: bytes,
        start: int = 0,
        owner: bytes = b"",
    ) -> None:
        try:
            await self.memory_store.store(name, chunks, sha256, start, owner)
        finally:
            part = self.memory_store._parts.get(name)
            if part is not None:
                self._disk.write(((_PARTIAL_UPLOAD, name), bytes(part)))
        whole = self.memory_store._blobs[name]
        for piece in range(1, _PIECE_COUNT + 1):
            self._disk.write(((_PARTIAL_UPLOAD, name), whole[: len(whole) * piece // _PIECE_COUNT]))
        self._disk.sync()
        self._disk.write(((_PARTIAL_UPLOAD, name), None), ((_FILE_TABLE, name), whole))
        self._disk.sync()

    async def drop(self, name: str) -> None:
        await self.memory_store.drop(name)
        self._disk.write(((_PARTIAL_UPLOAD, name), None), ((_FILE_TABLE, name), None))
        self._disk.sync()

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        return await self.memory_store.read(name, start, stop)

    async def partial_size(self, name: str) -> int:
        return await self.memory_store.partial_size(name)

    def free_bytes(self) -> int | None:
        return None
