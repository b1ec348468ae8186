"""The base of an index as one file, written whole, mapped read-only, and checked before it is used.

All numbers are little-endian. A header of 128 bytes: ``ENTRINDX``, the version (4 bytes) and four
of nothing; for whole pictures and for parts the number of hashes (8) and of substrings (4; 0: these
are few, and scanned) and four of nothing; the CRC-32 of each of the eight sections (4 each); where
the index is divided, the number of this shard and how many there are (2 each; else zeros); zeros;
in the last four bytes the CRC-32 of those before. Then for whole pictures and for parts: hashes (32
bytes each), entry numbers (8 each, ascending), and, if there are substrings, where each of the
plan's cells begins (4 each, and one more) and the rows by cell (4 each). Every section begins at a
multiple of 64 bytes, with zeros before it that belong to the section before.

CRC-32 (ISO 3309) is against accidents: a file that was cut, a disk that lost a page. It finds any
flipped bit and misses other damage once in 2**32. Who can write to this folder can
write to the bank. A file is replaced, never written to: were it cut while a process has it mapped,
the system would end that process.
"""

import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from entrenous.adapters.index.shard import SHARDS_MAX, UNDIVIDED, Shard
from entrenous.adapters.private_file import fill_private
from entrenous.craft.fingerprint.index import ScanIndex, Searchable, Segment, plan_of
from entrenous.model.bank import Entry
from entrenous.model.errors import Malformed
from entrenous.spec import PDQ_BYTES

VERSION: Final = 1
_MAGIC: Final = b"ENTRINDX"
_ALIGNED: Final = 64
_HEADER: Final = struct.Struct("<8sI4x QI4x QI4x 8I 2H 40x")
_HEADER_BYTES: Final = _HEADER.size + 4
_CRC: Final = struct.Struct("<I")
_SUBSTRINGS: Final = frozenset({0, 11, 12, 13, 16})
_TYPES: Final = ("<u8", "<i8", "<u4", "<u4")  # hashes, entry numbers, starts, order

Array = NDArray[Any]
Sections = Sequence[tuple[NDArray[np.uint8], int]]


class DamagedBase(Malformed):
    """
    The index file {path} was cut, changed, or made by another version. Nothing is lost: it is
    made anew from the bank.
    """


@dataclass(frozen=True, slots=True, eq=False)
class Base:
    """Hashes of whole pictures and of parts, as they were registered up to some moment.

    ``file`` is the identity of the file, as (device, inode): another one is another base.
    ``sections`` are its bytes as they are mapped, each with its CRC-32.
    """

    whole: Searchable
    parts: Searchable
    file: tuple[int, int]
    size_bytes: int
    written_at: datetime
    shard: Shard = UNDIVIDED
    sections: Sections = ()

    @property
    def upto(self) -> int:
        """The highest entry number in it, 0 if it is empty."""
        return upto_of(self.kinds)

    @property
    def last(self) -> Entry | None:
        """The entry with the highest number."""
        ends = [
            Entry(int(one.entries[-1]), rows_of(one)[-1].tobytes(), part)
            for one, part in ((self.whole, False), (self.parts, True))
            if one.entries.size
        ]
        return max(ends, key=lambda entry: entry.number, default=None)

    @property
    def kinds(self) -> tuple[Searchable, Searchable]:
        """Whole pictures, and parts."""
        return self.whole, self.parts

    @property
    def count(self) -> int:
        """How many hashes."""
        return self.whole.entries.size + self.parts.entries.size


def upto_of(kinds: Iterable[Searchable]) -> int:
    """The highest entry number in them, 0 if they are empty."""
    return max((int(one.entries[-1]) for one in kinds if one.entries.size), default=0)


def write_base(path: Path, whole: Searchable, parts: Searchable, shard: Shard = UNDIVIDED) -> None:
    """Write a base, mode 0600, so that the old one or the new one is there whenever it stops."""
    sections = [section for one in (whole, parts) for section in _sections(one)]
    header = _header(whole, parts, [_crc_of(one) for one in sections], shard)

    def fill(file: BinaryIO) -> None:
        file.write(header)
        for section in sections:
            file.write(section.data)
            file.write(_padding(section.nbytes))

    fill_private(path, fill)


def read_base(path: Path) -> Base:
    """Map the base at ``path`` and check every byte of it: about 0.4 s for a gigabyte.

    Raises:
        DamagedBase: do not use it; make it anew from the bank.
        FileNotFoundError: there is none.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        about = os.fstat(handle)
        found = _found_in(handle, about.st_size)
    finally:
        os.close(handle)
    if found is None:
        raise DamagedBase(path=path)
    whole, parts, shard, sections = found
    at = datetime.fromtimestamp(about.st_mtime, UTC)
    return Base(whole, parts, (about.st_dev, about.st_ino), about.st_size, at, shard, sections)


def file_of(path: Path) -> tuple[int, int] | None:
    """The identity of the file that is there now; None if there is none."""
    try:
        about = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return about.st_dev, about.st_ino


def rows_of(one: Searchable) -> Array:
    """Its hashes as (N, 4) words."""
    return one.words.T if isinstance(one, ScanIndex) else one.words


def _sections(one: Searchable) -> list[Array]:
    none = np.zeros(0, dtype=np.uint32)
    tables = [none, none] if isinstance(one, ScanIndex) else [one.starts, one.order]
    made = zip(_TYPES, [rows_of(one), one.entries, *tables], strict=True)
    return [np.ascontiguousarray(array, dtype=kind) for kind, array in made]


def _header(whole: Searchable, parts: Searchable, sums: Sequence[int], shard: Shard) -> bytes:
    shape = [
        number
        for one in (whole, parts)
        for number in (one.entries.size, 0 if isinstance(one, ScanIndex) else one.plan.substrings)
    ]
    divided = (0, 0) if shard == UNDIVIDED else (shard.number, shard.of)
    header = _HEADER.pack(_MAGIC, VERSION, *shape, *sums, *divided)
    return header + _CRC.pack(zlib.crc32(header))


def _found_in(handle: int, size: int) -> tuple[Searchable, Searchable, Shard, Sections] | None:
    """Whole pictures, parts, shard, and all bytes; None if anything in the file is not as it was
    written.
    """
    if size < _HEADER_BYTES:
        return None
    mapped = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
    magic, version, *numbers = _HEADER.unpack_from(mapped)
    if (magic, version) != (_MAGIC, VERSION) or not _whole_header(mapped):
        return None
    shapes, sums, shard = (numbers[:2], numbers[2:4]), numbers[4:12], _shard(*numbers[12:])
    if shard is None or not _SUBSTRINGS.issuperset(cut for _, cut in shapes):
        return None
    lengths = [length for count, cut in shapes for length in _lengths(count, cut)]
    offsets = list(_offsets(lengths))
    if offsets[-1] != size:
        return None
    sections = _mapped_sections(mapped, offsets, sums)
    if any(zlib.crc32(data.data) != wanted for data, wanted in sections):
        return None
    arrays = [
        np.ndarray(length, kind, mapped, offset)
        for length, kind, offset in zip(lengths, 2 * _TYPES, offsets[:-1], strict=True)
    ]
    whole, parts = _kind(shapes[0][1], *arrays[:4]), _kind(shapes[1][1], *arrays[4:])
    return whole, parts, shard, sections


def _shard(number: int, of: int) -> Shard | None:
    if (number, of) == (0, 0):
        return UNDIVIDED
    return Shard(number, of) if number < of <= SHARDS_MAX else None


def _whole_header(mapped: mmap.mmap) -> bool:
    return _CRC.unpack_from(mapped, _HEADER.size) == (zlib.crc32(mapped[: _HEADER.size]),)


def _mapped_sections(mapped: mmap.mmap, offsets: Sequence[int], sums: Sequence[int]) -> Sections:
    return tuple(
        (np.ndarray(end - start, np.uint8, mapped, start), wanted)
        for (start, end), wanted in zip(pairwise(offsets), sums, strict=True)
    )


def _kind(substrings: int, words: Array, entries: Array, starts: Array, order: Array) -> Searchable:
    rows = words.reshape(-1, PDQ_BYTES // 8)
    if not substrings:
        return ScanIndex(entries, np.ascontiguousarray(rows.T))
    return Segment(plan_of(substrings), entries, rows, starts, order)


def _lengths(count: int, substrings: int) -> tuple[int, int, int, int]:
    cells = plan_of(substrings).buckets + 1 if substrings else 0
    return PDQ_BYTES // 8 * count, count, cells, substrings * count


def _offsets(lengths: Sequence[int]) -> Iterator[int]:
    """Where each section begins, and where the file ends."""
    at = _HEADER_BYTES
    yield at
    for length, kind in zip(lengths, 2 * _TYPES, strict=True):
        size = length * np.dtype(kind).itemsize
        at += size + len(_padding(size))
        yield at


def _padding(size: int) -> bytes:
    return bytes(-size % _ALIGNED)


def _crc_of(section: Array) -> int:
    return zlib.crc32(_padding(section.nbytes), zlib.crc32(section.data))
