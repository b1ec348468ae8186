"""Blobs in memory, for the village and for tests."""

from collections.abc import AsyncIterator

from entrenous.model.envelope import NoSuchBlob


class MemoryBlobs:
    """A :class:`entrenous.ports.BlobStore` that forgets everything with its process."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    async def keep(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """Store a stream."""
        self._blobs[name] = b"".join([chunk async for chunk in chunks])

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Some of the bytes."""
        if name not in self._blobs:
            raise NoSuchBlob
        return _one(self._blobs[name][start:stop])

    async def drop(self, name: str) -> None:
        """Remove it."""
        self._blobs.pop(name, None)

    def __len__(self) -> int:
        return len(self._blobs)


async def _one(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data
