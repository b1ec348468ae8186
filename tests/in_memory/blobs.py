"""Blobs in memory, for simulated worlds, which need no loop."""

import hashlib
from collections.abc import AsyncIterator

from entrenous.base.errors import DamagedBlob, NoSuchBlob
from entrenous.carry.store.file_blobs import ExclusiveUploads


class MemoryBlobs:
    """A :class:`entrenous.carry.relay.BlobStore` that forgets everything with its process."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self._parts: dict[str, bytearray] = {}
        self._writer = ExclusiveUploads()

    def copied(self) -> "MemoryBlobs":
        """The same blobs in a store of its own."""
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
        """Store a stream."""
        with self._writer.reserve(name, owner):
            await self._keep(name, chunks, sha256, start)

    async def _keep(
        self, name: str, chunks: AsyncIterator[bytes], sha256: bytes, start: int
    ) -> None:
        part = self._parts.setdefault(name, bytearray())
        if len(part) < start:
            raise DamagedBlob
        mine = part[:start]
        async for chunk in chunks:
            mine += chunk
            part[: len(mine)] = mine
        if hashlib.sha256(mine).digest() != sha256:
            raise DamagedBlob
        self._blobs[name] = bytes(mine)
        self._parts.pop(name, None)

    async def partial_size(self, name: str) -> int:
        """How much of an unfinished one is here."""
        return len(self._parts.get(name, b""))

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Some of the bytes."""
        if name not in self._blobs:
            raise NoSuchBlob
        return _one(self._blobs[name][start:stop])

    async def drop(self, name: str) -> None:
        """Remove it."""
        self._blobs.pop(name, None)
        self._parts.pop(name, None)

    def free_bytes(self) -> int | None:
        """Nobody can tell."""
        return None

    def __len__(self) -> int:
        return len(self._blobs) + len(self._parts)


async def _one(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data
