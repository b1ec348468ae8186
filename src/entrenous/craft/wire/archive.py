"""The tar of an archive, and its index (docs/spec/archive.md section 2).

The reader is made here because ``tarfile`` lets a header ask for any amount of memory (long names,
pax records), and follows links and sparse files; of it only the 512 bytes of one header are used.
"""

import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

import msgspec

from entrenous.model.archive import BadArchive, Index, Part, TooMuchForArchive
from entrenous.model.ids import PersonId

SCHEMA: Final = "entrenous/archive/1"
INDEX: Final = "index.json"
FILES: Final = "files/"
INDEX_BYTES_MAX: Final = 64 * 1024**2
RECORD_BYTES_MAX: Final = 128 * 1024**2
FILE_BYTES_MAX: Final = 8 * 1024**3 - 1
_BLOCK: Final = 512
_CHUNK: Final = 1024 * 1024
_SEGMENT: Final = r"(?!\.)[A-Za-z0-9._-]{1,80}"
_NAME: Final = re.compile(rf"{_SEGMENT}/{_SEGMENT}(?:/{_SEGMENT})?")
_HEX_32: Final = re.compile(r"[0-9a-f]{64}")
_TIME_MAX: Final = 253_402_300_799  # the last second of the year 9999


class _Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: str
    made_at: int
    person: str | None
    parts: list[tuple[str, int, str]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a tar; ``content`` yields its bytes and no more, before the next one is asked
    for.
    """

    name: str
    size: int
    content: BinaryIO


def write_index(index: Index) -> bytes:
    """The bytes of ``index.json``.

    Raises:
        TooMuchForArchive: a part, or the index itself, is larger than a reader takes.
        ValueError: a field that a reader would refuse.
    """
    if any(part.size > _most(part.name) for part in index.parts):
        raise TooMuchForArchive
    parts = [(part.name, part.size, part.sha256.hex()) for part in index.parts]
    person = None if index.person is None else index.person.hex()
    shape = _Index(SCHEMA, int(index.made_at.timestamp()), person, parts)
    written = msgspec.json.encode(shape)
    if len(written) > INDEX_BYTES_MAX:
        raise TooMuchForArchive
    try:
        read_index(written)
    except BadArchive:
        raise ValueError("a part of this index is not what the specification allows") from None
    return written


def read_index(untrusted_text: bytes) -> Index:
    """What :func:`write_index` wrote.

    Raises:
        BadArchive.
    """
    try:
        read = msgspec.json.decode(untrusted_text, type=_Index)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise BadArchive from None
    if read.schema != SCHEMA or not 0 <= read.made_at <= _TIME_MAX:
        raise BadArchive
    parts = tuple(Part(name, size, _hash(sha256)) for name, size, sha256 in read.parts)
    _refuse_odd(parts)
    person = None if read.person is None else PersonId(_hash(read.person))
    return Index(datetime.fromtimestamp(read.made_at, UTC), person, parts)


def header(name: str, size: int) -> bytes:
    """The 512 bytes before a file; after it come zeros to a multiple of 512."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def padding(size: int) -> bytes:
    """What follows a file of this size."""
    return bytes(-size % _BLOCK)


def ending() -> bytes:
    """What follows the last file."""
    return bytes(2 * _BLOCK)


def entries(untrusted_reader: BinaryIO) -> Iterator[Entry]:
    """The files of a tar, in order; each must be read before the next is asked for, or is lost.

    Raises:
        BadArchive: something else than regular files and folders, a damaged header, or an end that
            comes too early.
    """
    while any(block := _exactly(untrusted_reader, _BLOCK)):
        info = _info(block)
        if info.type == tarfile.DIRTYPE and not info.size:
            continue
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.size < 0:
            raise BadArchive
        content = _Limited(untrusted_reader, info.size)
        yield Entry(info.name, info.size, io.BufferedReader(content, _CHUNK))
        while content.read(_CHUNK):
            pass
        if content.left:
            raise BadArchive
        _exactly(untrusted_reader, -info.size % _BLOCK)


def _info(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.TarError, ValueError):
        raise BadArchive from None


def _exactly(untrusted_reader: BinaryIO, size: int) -> bytes:
    data = untrusted_reader.read(size)
    if len(data) != size:
        raise BadArchive
    return data


def _hash(text: str) -> bytes:
    if not _HEX_32.fullmatch(text):
        raise BadArchive
    return bytes.fromhex(text)


def _refuse_odd(parts: tuple[Part, ...]) -> None:
    if len({part.name for part in parts}) != len(parts):
        raise BadArchive
    files = [part.name.startswith(FILES) for part in parts]
    if files != sorted(files):  # records first: what they name is known when the files come
        raise BadArchive
    for part in parts:
        if not _NAME.fullmatch(part.name) or not 0 <= part.size <= _most(part.name):
            raise BadArchive


def _most(name: str) -> int:
    """How many bytes a part of this name may have."""
    return FILE_BYTES_MAX if name.startswith(FILES) else RECORD_BYTES_MAX


class _Limited(io.RawIOBase):
    """The next ``left`` bytes of a reader, or fewer if it ends."""

    def __init__(self, reader: BinaryIO, left: int) -> None:
        super().__init__()
        self._reader, self.left = reader, left

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        data = self._reader.read(min(len(room), self.left))
        room[: len(data)] = data
        self.left -= len(data)
        return len(data)
