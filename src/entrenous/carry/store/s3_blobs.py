"""Blobs in an S3 bucket, each in several objects (docs/decisions/0016-s3-runs-of-objects.md)."""

import asyncio
import contextlib
import hashlib
import itertools
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from entrenous.base.errors import DamagedBlob, DiskFailed, NoSuchBlob
from entrenous.carry.store.file_blobs import AdaptiveReadSize, ExclusiveUploads

BLOB_PIECE_BYTES: Final = 16 << 20
UPLOADS_MAX: Final = 16  # uploads at the same time, since each keeps a piece in memory
UPLOADS_PER_OWNER_MAX: Final = 4  # uploads at the same time into one mailbox
_COMPLETE_MARKER: Final = "whole"
_PIECE_NAME_PATTERN: Final = re.compile(
    r"(?P<number>[0-9]{5})(?P<writer>-[0-9a-f]+)(?:\.(?P<rest>[0-9]+))?"
)


class _StoredPieces(NamedTuple):
    """The stored parts of an incomplete blob.

    They are its complete pieces, and the longest stored part of the next piece (``rest``, "" if
    there is none).
    """

    pieces: list[str]
    rest: str
    rest_bytes: int


@dataclass
class _UploadInProgress:
    """One upload: the random word in the names of its pieces, the pieces stored so far, and the
    hash of all bytes so far.
    """

    name: str
    word: str
    digest: "hashlib._Hash"
    pieces: list[str] = field(default_factory=list)

    def next_piece_path(self) -> str:
        return f"{self.name}/{len(self.pieces):05}-{self.word}"


class S3Blobs:
    """Implements :class:`entrenous.carry.relay.BlobStore` in a bucket, or below a prefix of one."""

    def __init__(self, store: S3Store, piece_bytes: int = BLOB_PIECE_BYTES) -> None:
        self._store = store
        self._piece = piece_bytes
        self._writer = ExclusiveUploads(UPLOADS_MAX, UPLOADS_PER_OWNER_MAX)

    async def store(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        sha256: bytes,
        start: int = 0,
        owner: bytes = b"",
    ) -> None:
        with _translate_s3_errors(), self._writer.reserve(name, owner):
            writing = _UploadInProgress(name, secrets.token_hex(4), hashlib.sha256())
            held = await self._resume(writing, start)
            try:
                async for chunk in chunks:
                    held += chunk
                    while len(held) >= self._piece:
                        await self._hash_and_store_piece(writing, bytes(held[: self._piece]))
                        held = held[self._piece :]
            except BaseException:
                await self._store_partial_piece(writing, bytes(held))
                raise
            await self._complete_blob(writing, bytes(held), sha256)

    async def partial_size(self, name: str) -> int:
        with _translate_s3_errors():
            if await self._pieces_of_complete_blob(name) is not None:
                return 0
            came = await self._list_stored_pieces(name)
        return len(came.pieces) * self._piece + came.rest_bytes

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        with _translate_s3_errors():
            pieces = await self._pieces_of_complete_blob(name)
        if pieces is None:
            raise NoSuchBlob
        return self._read_pieces(pieces, start, stop)

    async def drop(self, name: str) -> None:
        """Delete the marker that makes the blob complete, then its pieces.

        A bucket's listing may lag behind, so the pieces that the marker names are deleted even if
        the listing lacks them.
        """
        with _translate_s3_errors():
            pieces = await self._pieces_of_complete_blob(name) or []
            await self._delete_objects([f"{name}/{_COMPLETE_MARKER}"])
            listed = [path for path, _ in await self._list_objects(name)]
            await self._delete_objects([*listed, *pieces])

    def free_bytes(self) -> int | None:
        return None

    async def _resume(self, writing: "_UploadInProgress", start: int) -> bytearray:
        """Hash the complete pieces before ``start``, and return the bytes of the next piece that
        precede ``start``.
        """
        if not start:
            return bytearray()
        came, (full, more) = (
            await self._list_stored_pieces(writing.name),
            divmod(start, self._piece),
        )
        if full > len(came.pieces):
            raise DamagedBlob
        for path in came.pieces[:full]:
            data = await self._read_object_range(path, 0, self._piece)
            await asyncio.to_thread(writing.digest.update, data)
            writing.pieces.append(path)
        if not more:
            return bytearray()
        if full < len(came.pieces):
            return bytearray(await self._read_object_range(came.pieces[full], 0, more))
        if more > came.rest_bytes:
            raise DamagedBlob
        return bytearray(await self._read_object_range(came.rest, 0, more))

    async def _complete_blob(
        self, writing: "_UploadInProgress", last: bytes, sha256: bytes
    ) -> None:
        await asyncio.to_thread(writing.digest.update, last)
        if writing.digest.digest() != sha256:
            raise DamagedBlob
        if last:
            await self._store_piece(writing, last)
        name, whole = writing.name, f"{writing.name}/{_COMPLETE_MARKER}"
        named = "\n".join(path.removeprefix(f"{name}/") for path in writing.pieces)
        await obstore.put_async(self._store, whole, named.encode())
        if not writing.pieces or not await self._object_exists(writing.pieces[0]):
            await self._delete_objects([whole])
            raise NoSuchBlob  # the blob was dropped meanwhile
        # Delete only partial pieces: another relay may be about to complete the blob with its own
        # pieces.
        await self._delete_objects(
            [path for path, _ in await self._list_objects(name) if "." in path]
        )

    async def _store_partial_piece(self, writing: "_UploadInProgress", rest: bytes) -> None:
        if rest:
            await self._store_object(f"{writing.next_piece_path()}.{len(rest)}", rest)

    async def _hash_and_store_piece(self, writing: "_UploadInProgress", data: bytes) -> None:
        await asyncio.to_thread(writing.digest.update, data)
        await self._store_piece(writing, data)

    async def _store_piece(self, writing: "_UploadInProgress", data: bytes) -> None:
        await self._store_object(writing.next_piece_path(), data)
        writing.pieces.append(writing.next_piece_path())

    async def _store_object(self, path: str, data: bytes) -> None:
        await obstore.put_async(self._store, path, data, use_multipart=False)

    async def _read_object_range(self, path: str, start: int, stop: int) -> bytes:
        try:
            data = bytes(await obstore.get_range_async(self._store, path, start=start, end=stop))
        except FileNotFoundError:
            raise DamagedBlob from None
        if len(data) < stop - start:
            raise DamagedBlob
        return data

    async def _read_pieces(self, pieces: list[str], start: int, stop: int) -> AsyncIterator[bytes]:
        read_size = AdaptiveReadSize()
        while start < stop:
            number, at = divmod(start, self._piece)
            until = min(at + read_size.bytes, self._piece, at + stop - start)
            with _translate_s3_errors():
                data = await obstore.get_range_async(
                    self._store, pieces[number], start=at, end=until
                )
            start += until - at
            read_size.note_piece_passed()
            yield bytes(data)
            read_size.note_piece_requested()

    async def _pieces_of_complete_blob(self, name: str) -> list[str] | None:
        """Return the names of a complete blob's pieces; None if the blob is incomplete."""
        try:
            found = await obstore.get_async(self._store, f"{name}/{_COMPLETE_MARKER}")
        except FileNotFoundError:
            return None
        named = bytes(await found.bytes_async()).decode().split("\n")
        return [f"{name}/{one}" for one in named]

    async def _list_stored_pieces(self, name: str) -> _StoredPieces:
        """List the stored pieces of an incomplete blob.

        If a piece was uploaded twice, either of the two may be used, since the hash of the whole
        blob is checked later.
        """
        whole, rests = dict[int, str](), dict[int, list[tuple[int, str]]]()
        for path, size in sorted(await self._list_objects(name)):
            found = _PIECE_NAME_PATTERN.fullmatch(path.removeprefix(f"{name}/"))
            if found and found["rest"]:
                rests.setdefault(int(found["number"]), []).append((size, path))
            elif found and size == self._piece:
                whole.setdefault(int(found["number"]), path)
        pieces = [whole[at] for at in itertools.takewhile(whole.__contains__, itertools.count())]
        rest_bytes, rest = max(rests.get(len(pieces), []), default=(0, ""))
        return _StoredPieces(pieces, rest, rest_bytes)

    async def _list_objects(self, name: str) -> list[tuple[str, int]]:
        found = obstore.list(self._store, prefix=f"{name}/")
        return [(one["path"], one["size"]) async for page in found for one in page]

    async def _object_exists(self, path: str) -> bool:
        try:
            await obstore.head_async(self._store, path)
        except FileNotFoundError:
            return False
        return True

    async def _delete_objects(self, paths: list[str]) -> None:
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                await obstore.delete_async(self._store, path)


def open_s3(url: str) -> S3Blobs:
    """Open a bucket: ``s3://bucket`` or ``s3://bucket/prefix``.

    Endpoint and credentials come from the usual environment variables: AWS_ENDPOINT, AWS_REGION,
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY. AWS_ALLOW_HTTP allows plain HTTP, for a store on this
    machine.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    return S3Blobs(S3Store(bucket, prefix=prefix.strip("/") or None))


@contextlib.contextmanager
def _translate_s3_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NoSuchBlob from None
    except BaseError as why:
        raise DiskFailed from why
