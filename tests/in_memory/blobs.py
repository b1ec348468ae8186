"""A relay's blob store in memory, which needs no event loop."""

import hashlib
from collections.abc import AsyncIterator

from entrenous.base.errors import DamagedBlob, NoSuchBlob
from entrenous.carry.store.file_blobs import ExclusiveUploads


class MemoryBlobs:
    """A :class:`entrenous.carry.relay.BlobStore` that keeps blobs in dictionaries."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self._parts: dict[str, bytearray] = {}
        self._writer = ExclusiveUploads()

    def copy(self) -> "MemoryBlobs":
        """Return an independent store with the same blobs."""
        other = MemoryBlobs()
        other._blobs = dict(self._blobs)
        other._parts = {name: bytearray(part) for name, part in self._parts.items()}
        return other

    async def store(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        sha256: bytes,
        start: int = 0,
        owner: bytes = b"",
    ) -> None:
        """Store a blob from byte ``start`` on; raise DamagedBlob for a gap or a wrong hash."""
        with self._writer.reserve(name, owner):
            await self._store(name, chunks, sha256, start)

    async def _store(
        self, name: str, chunks: AsyncIterator[bytes], sha256: bytes, start: int
    ) -> None:
        part = self._parts.setdefault(name, bytearray())
        if len(part) < start:
            raise DamagedBlob
        content = part[:start]
        async for chunk in chunks:
            content += chunk
            part[: len(content)] = content
        if hashlib.sha256(content).digest() != sha256:
            raise DamagedBlob
        self._blobs[name] = bytes(content)
        self._parts.pop(name, None)

    async def partial_size(self, name: str) -> int:
        """Return the number of stored bytes of an unfinished upload."""
        return len(self._parts.get(name, b""))

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Return the bytes from ``start`` to ``stop``; raise NoSuchBlob if the blob is missing."""
        if name not in self._blobs:
            raise NoSuchBlob
        return _chunks(self._blobs[name][start:stop])

    async def drop(self, name: str) -> None:
        """Delete a blob and its unfinished upload, if they exist."""
        self._blobs.pop(name, None)
        self._parts.pop(name, None)

    def free_bytes(self) -> int | None:
        """Return None: the free space is unknown."""
        return None

    def __len__(self) -> int:
        return len(self._blobs) + len(self._parts)


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data
