"""Blobs as runs of objects in an S3 bucket (docs/decisions/0016-s3-runs-of-objects.md).

A blob is the objects ``name/00000``, ``name/00001`` and so on, each of 16 MiB but the last, and
then ``name/whole``, which holds how many there are: without that one it is not whole. Each object
is durable by itself, so what came of a broken upload needs nobody to remember it. A rest that fills
no object lies in ``name/00002.123``, named after its length, and is never taken for a whole one.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Final, NamedTuple

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from entrenous.adapters.blobs.one_writer import OneWriter
from entrenous.model.relay_problem import DamagedBlob, DiskFailed, NoSuchBlob

PIECE_BYTES: Final = 16 << 20
UPLOADS_MAX: Final = 16  # at the same time: each holds a piece in memory until that is full
_READ_BYTES: Final = 1 << 20
_WHOLE: Final = "whole"


class _Came(NamedTuple):
    """What is there of an unfinished one: whole pieces, and the length of the longest rest."""

    pieces: int
    rest: int


class S3Blobs:
    """A :class:`entrenous.ports.BlobStore` in a bucket, or below a prefix of one."""

    def __init__(self, store: S3Store, piece_bytes: int = PIECE_BYTES) -> None:
        self._store = store
        self._piece = piece_bytes
        self._writer = OneWriter(UPLOADS_MAX)

    async def keep(
        self, name: str, chunks: AsyncIterator[bytes], sha256: bytes, start: int = 0
    ) -> None:
        """Store a stream from ``start`` on; durable when it returns."""
        with _errors(), self._writer.of(name):
            digest = hashlib.sha256()
            held = await self._begun(name, start, digest)
            number = start // self._piece
            try:
                async for chunk in chunks:
                    held += chunk
                    while len(held) >= self._piece:
                        await self._put(f"{name}/{number:05}", bytes(held[: self._piece]), digest)
                        number, held = number + 1, held[self._piece :]
            except BaseException:
                await self._put_rest(name, number, bytes(held))
                raise
            await self._finish(name, number, bytes(held), digest, sha256)

    async def size(self, name: str) -> int:
        """How much of an unfinished one is here."""
        with _errors():
            if await self._count(name) is not None:
                return 0
            came = await self._came(name)
        return came.pieces * self._piece + came.rest

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to ``stop``."""
        with _errors():
            if await self._count(name) is None:
                raise NoSuchBlob
        return self._stretch(name, start, stop)

    async def drop(self, name: str) -> None:
        """Remove it, and an unfinished one of its name.

        First what makes it whole. A list of a bucket may lag behind, so pieces that have to be
        there are named without it.
        """
        with _errors():
            count = await self._count(name) or 0
            await self._delete([f"{name}/{_WHOLE}"])
            listed = [path for path, _ in await self._listed(name)]
            await self._delete([*listed, *(f"{name}/{number:05}" for number in range(count))])

    def room(self) -> int | None:
        """Nobody can tell."""
        return None

    async def _begun(self, name: str, start: int, digest: "hashlib._Hash") -> bytearray:
        """Hash what is left as it is; the part of a piece that ``start`` lies in is held again."""
        for number in range(start // self._piece):
            data = await self._get(f"{name}/{number:05}", 0, self._piece)
            await asyncio.to_thread(digest.update, data)
        more = start % self._piece
        if not more:
            return bytearray()
        number, came = start // self._piece, await self._came(name)
        if number < came.pieces:
            return bytearray(await self._get(f"{name}/{number:05}", 0, more))
        if number > came.pieces or more > came.rest:
            raise DamagedBlob
        return bytearray(await self._get(f"{name}/{number:05}.{came.rest}", 0, more))

    async def _finish(
        self, name: str, number: int, last: bytes, digest: "hashlib._Hash", sha256: bytes
    ) -> None:
        await asyncio.to_thread(digest.update, last)
        if digest.digest() != sha256:
            raise DamagedBlob
        if last:
            await self._put_object(f"{name}/{number:05}", last)
        count = number + bool(last)
        await obstore.put_async(self._store, f"{name}/{_WHOLE}", b"%d" % count)
        if not await self._is_there(f"{name}/00000"):
            await self._delete([f"{name}/{_WHOLE}"])
            raise NoSuchBlob  # it was dropped meanwhile
        await self._delete([path for path, _ in await self._listed(name) if "." in path])

    async def _put_rest(self, name: str, number: int, rest: bytes) -> None:
        if rest:
            await self._put_object(f"{name}/{number:05}.{len(rest)}", rest)

    async def _put(self, path: str, data: bytes, digest: "hashlib._Hash") -> None:
        await asyncio.to_thread(digest.update, data)
        await self._put_object(path, data)

    async def _put_object(self, path: str, data: bytes) -> None:
        await obstore.put_async(self._store, path, data, use_multipart=False)

    async def _get(self, path: str, start: int, stop: int) -> bytes:
        try:
            data = bytes(await obstore.get_range_async(self._store, path, start=start, end=stop))
        except FileNotFoundError:
            raise DamagedBlob from None
        if len(data) < stop - start:
            raise DamagedBlob
        return data

    async def _stretch(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        while start < stop:
            number, at = divmod(start, self._piece)
            until = min(at + _READ_BYTES, self._piece, at + stop - start)
            with _errors():
                path = f"{name}/{number:05}"
                data = await obstore.get_range_async(self._store, path, start=at, end=until)
            start += until - at
            yield bytes(data)

    async def _count(self, name: str) -> int | None:
        """How many pieces a whole one has; None if it is not whole."""
        try:
            found = await obstore.get_async(self._store, f"{name}/{_WHOLE}")
        except FileNotFoundError:
            return None
        return int(bytes(await found.bytes_async()))

    async def _came(self, name: str) -> _Came:
        sizes = dict(await self._listed(name))
        pieces = 0
        while sizes.get(f"{name}/{pieces:05}") == self._piece:
            pieces += 1
        rests = [n for path, n in sizes.items() if path.startswith(f"{name}/{pieces:05}.")]
        return _Came(pieces, max(rests, default=0))

    async def _listed(self, name: str) -> list[tuple[str, int]]:
        found = obstore.list(self._store, prefix=f"{name}/")
        return [(one["path"], one["size"]) async for page in found for one in page]

    async def _is_there(self, path: str) -> bool:
        try:
            await obstore.head_async(self._store, path)
        except FileNotFoundError:
            return False
        return True

    async def _delete(self, paths: list[str]) -> None:
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                await obstore.delete_async(self._store, path)


def open_s3(url: str) -> S3Blobs:
    """Blobs in a bucket: ``s3://bucket`` or ``s3://bucket/prefix``.

    Where it is, if not at Amazon, and who we are is told by the environment, as is usual:
    AWS_ENDPOINT, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY; AWS_ALLOW_HTTP for one on
    this machine.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    return S3Blobs(S3Store(bucket, prefix=prefix.strip("/") or None))


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NoSuchBlob from None
    except BaseError as why:
        raise DiskFailed from why
