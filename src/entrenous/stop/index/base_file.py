"""The base of an index (its large part, which is never changed in place) as a file: written
atomically, memory-mapped, and verified when it is opened and while it is in use.

A bank's hashes are read in pages and divided into shards by their first bits, so that a large bank
is never in memory as Python objects. Each shard has its own file. One process at a time writes a
base; leftovers of a killed one are removed.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self

import numpy as np
from numpy.typing import NDArray

from entrenous.base.errors import Malformed
from entrenous.base.files import write_private_file_with
from entrenous.base.limits import PDQ_BYTES
from entrenous.fingerprint.linear_scan import ScanIndex, Words, hashes_as_words
from entrenous.fingerprint.multi_index import (
    HashIndex,
    IndexSegment,
    build_hash_index,
    substring_plan,
)
from entrenous.stop.nouns import HashEntry

if TYPE_CHECKING:
    from entrenous.stop.store.bank_store import BankStore

SHARDS_MAX: Final = 64
_SINGLE_SHARD_FILE_NAME: Final = "base"
_FIRST_BYTE_MASK: Final = np.uint64(0xFF)  # mask of a hash's first byte: words are little-endian


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of an index that is divided into ``of`` parts; ``number`` counts from 0.

    It has the hashes whose first byte times ``of``, divided by 256 and rounded down, is ``number``.
    """

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of <= SHARDS_MAX:
            raise ValueError(f"an index has 1 to {SHARDS_MAX} shards")

    @classmethod
    def all_shards(cls, count: int) -> tuple[Self, ...]:
        return tuple(cls(number, count) for number in range(count))

    @property
    def file_name(self) -> str:
        """Return the name of the shard's file."""
        return (
            _SINGLE_SHARD_FILE_NAME
            if self.of == 1
            else f"{_SINGLE_SHARD_FILE_NAME}-{self.number}-of-{self.of}"
        )

    def contains(self, words: Words) -> NDArray[np.bool_]:
        """Return for each of these hashes, shape (N, 4), whether it belongs to this shard: shape
        (N,).
        """
        first = (words[:, 0] & _FIRST_BYTE_MASK).astype(np.uint16)
        return np.asarray(first * np.uint16(self.of) >> 8 == self.number)

    def select(self, entries: NDArray[np.int64], words: Words) -> tuple[NDArray[np.int64], Words]:
        """Return the entries, with their hashes, that belong to this shard."""
        if self.of == 1:
            return entries, words
        here = self.contains(words)
        return entries[here], words[here]


SINGLE_SHARD: Final = Shard()


def shard_of(bits: bytes, of: int) -> int:
    """Return the number of the shard that a hash belongs to, if there are ``of`` shards."""
    return bits[0] * of >> 8


def entries_not_in_base(
    new_entries: Sequence[HashEntry], upto: Sequence[int]
) -> Sequence[HashEntry]:
    """Return the entries that no shard's file has; ``upto`` has the highest entry number of each
    shard.
    """
    if not new_entries or new_entries[0].number > max(upto):
        return new_entries
    return [one for one in new_entries if one.number > upto[shard_of(one.bits, len(upto))]]


def remove_files_of_other_shard_counts(folder: Path, shards: Sequence[Shard]) -> None:
    """Remove the files of an index with a different number of shards.

    They contain hashes and are no longer updated.
    """
    current = {shard.file_name for shard in shards}
    for path in folder.glob(f"{_SINGLE_SHARD_FILE_NAME}*"):
        if path.name not in current:
            path.unlink(missing_ok=True)


NumberedHashes = tuple[NDArray[np.int64], Words]  # entry numbers (N,) and hashes (N, 4)


def read_entry_pages(bank: BankStore, after: int) -> Iterator[Sequence[HashEntry]]:
    """Yield entries with a number above ``after``, in order, a page of the bank at a time."""
    while new_entries := bank.entries(after):
        yield new_entries
        after = new_entries[-1].number


def build_from_bank(bank: BankStore, shard: Shard = SINGLE_SHARD) -> tuple[HashIndex, HashIndex]:
    """Read a shard from the bank: whole pictures, and parts."""
    pages = [
        tuple(
            shard.select(*_entry_numbers_and_hashes(new_entries, part=part))
            for part in (False, True)
        )
        for new_entries in read_entry_pages(bank, 0)
    ]
    whole, parts = ([page[kind] for page in pages] for kind in (0, 1))
    return build_hash_index(*_join_pages(whole), inverted=True), build_hash_index(
        *_join_pages(parts)
    )


def _entry_numbers_and_hashes(new_entries: Sequence[HashEntry], *, part: bool) -> NumberedHashes:
    entries = [entry for entry in new_entries if entry.part is part]
    numbers = np.asarray([entry.number for entry in entries], dtype=np.int64)
    return numbers, hashes_as_words([entry.bits for entry in entries])


def _join_pages(pages: Sequence[NumberedHashes]) -> NumberedHashes:
    none = (np.zeros(0, dtype=np.int64), hashes_as_words([]))
    numbers, words = zip(none, *pages, strict=True)
    return np.concatenate(numbers), np.concatenate(words)


_UNFINISHED_FILE_PATTERN: Final = ".entrenous-*"  # as base/files.py names them


@contextmanager
def lock_and_clean_folder(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Lock ``folder`` for writing; yield False if another process or thread has the lock.

    The lock is on an open file (flock), so it ends with the process, even after a crash.
    """
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        locked = _try_lock(handle, wait=wait)
        if locked:
            # With the lock, nobody else is writing, so these files will never be finished. They
            # contain hashes, so delete them.
            for left in folder.glob(_UNFINISHED_FILE_PATTERN):
                left.unlink(missing_ok=True)
        yield locked
    finally:
        os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Remove the files of a killed process, unless another process is writing now."""
    with lock_and_clean_folder(folder, wait=False):
        pass


def _try_lock(handle: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


BASE_FILE_VERSION: Final = 1
_MAGIC: Final = b"ENTRINDX"
_ALIGNMENT_BYTES: Final = 64
_HEADER_STRUCT: Final = struct.Struct("<8sI4x QI4x QI4x 8I 2H 40x")
_HEADER_BYTES: Final = _HEADER_STRUCT.size + 4
_CRC_STRUCT: Final = struct.Struct("<I")
_ALLOWED_SUBSTRING_COUNTS: Final = frozenset({0, 11, 12, 13, 16})
# NumPy types of the sections: hashes, entry numbers, starts, order.
_SECTION_TYPES: Final = ("<u8", "<i8", "<u4", "<u4")
Array = NDArray[Any]
ChecksummedRanges = Sequence[tuple[NDArray[np.uint8], int]]


class DamagedBase(Malformed):
    """The index file {path} is incomplete, was changed, or belongs to another version. Nothing is
    lost: the gate rebuilds it from its bank.
    """


@dataclass(frozen=True, slots=True, eq=False)
class MappedBase:
    """Hashes of whole pictures and of parts that were registered up to some time.

    ``file`` identifies its file by (device, inode); a file that replaces it is a different base.
    ``sections`` has the mapped bytes of each section with their CRC-32.
    """

    whole: HashIndex
    parts: HashIndex
    file: tuple[int, int]
    size_bytes: int
    written_at: datetime
    shard: Shard = SINGLE_SHARD
    sections: ChecksummedRanges = ()

    @property
    def highest_entry(self) -> int:
        """Return the highest entry number in the base; 0 if it is empty."""
        return highest_entry_number(self.segments)

    @property
    def last_entry(self) -> HashEntry | None:
        """Return the entry with the highest number; None if the base is empty."""
        ends = [
            HashEntry(int(one.entries[-1]), hash_words(one)[-1].tobytes(), part)
            for one, part in ((self.whole, False), (self.parts, True))
            if one.entries.size
        ]
        return max(ends, key=lambda entry: entry.number, default=None)

    @property
    def segments(self) -> tuple[HashIndex, HashIndex]:
        return self.whole, self.parts

    @property
    def count(self) -> int:
        return self.whole.entries.size + self.parts.entries.size


def highest_entry_number(kinds: Iterable[HashIndex]) -> int:
    """Return the highest entry number in these indexes; 0 if they are empty."""
    return max((int(one.entries[-1]) for one in kinds if one.entries.size), default=0)


def write_base(path: Path, whole: HashIndex, parts: HashIndex, shard: Shard = SINGLE_SHARD) -> None:
    """Write a base atomically, mode 0600: a crash leaves the old or the new one."""
    sections = [section for one in (whole, parts) for section in _sections_of(one)]
    header = _encode_header(whole, parts, [_section_checksum(one) for one in sections], shard)

    def write_content(file: BinaryIO) -> None:
        file.write(header)
        for section in sections:
            file.write(section.data)
            file.write(_padding(section.nbytes))

    write_private_file_with(path, write_content)


def read_base(path: Path) -> MappedBase:
    """Map the base at ``path`` and check every byte of it; about 0.4 s for a gigabyte.

    Raises:
        DamagedBase: do not use it; rebuild it from the bank.
        FileNotFoundError: there is no file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        about = os.fstat(handle)
        content = _map_content(handle, about.st_size)
    finally:
        os.close(handle)
    if content is None:
        raise DamagedBase(path=path)
    whole, parts, shard, sections = content
    at = datetime.fromtimestamp(about.st_mtime, UTC)
    return MappedBase(
        whole, parts, (about.st_dev, about.st_ino), about.st_size, at, shard, sections
    )


def file_identity(path: Path) -> tuple[int, int] | None:
    """Return the identity of the file that is at ``path`` now; None if there is none."""
    try:
        about = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return about.st_dev, about.st_ino


def hash_words(index: HashIndex) -> Array:
    """Return the hashes of this index as words, shape (N, 4)."""
    return index.words.T if isinstance(index, ScanIndex) else index.words


def _sections_of(index: HashIndex) -> list[Array]:
    none = np.zeros(0, dtype=np.uint32)
    tables = [none, none] if isinstance(index, ScanIndex) else [index.starts, index.order]
    made = zip(_SECTION_TYPES, [hash_words(index), index.entries, *tables], strict=True)
    return [np.ascontiguousarray(array, dtype=kind) for kind, array in made]


def _encode_header(whole: HashIndex, parts: HashIndex, sums: Sequence[int], shard: Shard) -> bytes:
    shape = [
        number
        for one in (whole, parts)
        for number in (one.entries.size, 0 if isinstance(one, ScanIndex) else one.plan.substrings)
    ]
    divided = (0, 0) if shard == SINGLE_SHARD else (shard.number, shard.of)
    header = _HEADER_STRUCT.pack(_MAGIC, BASE_FILE_VERSION, *shape, *sums, *divided)
    return header + _CRC_STRUCT.pack(zlib.crc32(header))


def _map_content(
    handle: int, size: int
) -> tuple[HashIndex, HashIndex, Shard, ChecksummedRanges] | None:
    """Map whole pictures, parts, shard, and all sections; None if the file is damaged."""
    if size < _HEADER_BYTES:
        return None
    mapped = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
    magic, version, *numbers = _HEADER_STRUCT.unpack_from(mapped)
    (header_crc,) = _CRC_STRUCT.unpack_from(mapped, _HEADER_STRUCT.size)
    if (magic, version) != (_MAGIC, BASE_FILE_VERSION) or header_crc != zlib.crc32(
        mapped[: _HEADER_STRUCT.size]
    ):
        return None
    shapes, sums, shard = (numbers[:2], numbers[2:4]), numbers[4:12], _parse_shard(*numbers[12:])
    if shard is None or not _ALLOWED_SUBSTRING_COUNTS.issuperset(cut for _, cut in shapes):
        return None
    lengths = [length for count, cut in shapes for length in _section_lengths(count, cut)]
    offsets = list(_section_offsets(lengths))
    if offsets[-1] != size:
        return None
    sections = _map_sections(mapped, offsets, sums)
    if any(zlib.crc32(data.data) != wanted for data, wanted in sections):
        return None
    arrays = [
        np.ndarray(length, kind, mapped, offset)
        for length, kind, offset in zip(lengths, 2 * _SECTION_TYPES, offsets[:-1], strict=True)
    ]
    whole, parts = (
        _build_segment(shapes[0][1], *arrays[:4]),
        _build_segment(shapes[1][1], *arrays[4:]),
    )
    return whole, parts, shard, sections


def _parse_shard(number: int, of: int) -> Shard | None:
    if (number, of) == (0, 0):
        return SINGLE_SHARD
    return Shard(number, of) if number < of <= SHARDS_MAX else None


def _map_sections(
    mapped: mmap.mmap, offsets: Sequence[int], sums: Sequence[int]
) -> ChecksummedRanges:
    return tuple(
        (np.ndarray(end - start, np.uint8, mapped, start), wanted)
        for (start, end), wanted in zip(pairwise(offsets), sums, strict=True)
    )


def _build_segment(
    substrings: int, words: Array, entries: Array, starts: Array, order: Array
) -> HashIndex:
    rows = words.reshape(-1, PDQ_BYTES // 8)
    if not substrings:
        return ScanIndex(entries, np.ascontiguousarray(rows.T))
    return IndexSegment(substring_plan(substrings), entries, rows, starts, order)


def _section_lengths(count: int, substrings: int) -> tuple[int, int, int, int]:
    cells = substring_plan(substrings).buckets + 1 if substrings else 0
    return PDQ_BYTES // 8 * count, count, cells, substrings * count


def _section_offsets(lengths: Sequence[int]) -> Iterator[int]:
    """Yield the offset of each section, and of the end of the file."""
    at = _HEADER_BYTES
    yield at
    for length, kind in zip(lengths, 2 * _SECTION_TYPES, strict=True):
        size = length * np.dtype(kind).itemsize
        at += size + len(_padding(size))
        yield at


def _padding(size: int) -> bytes:
    return bytes(-size % _ALIGNMENT_BYTES)


def _section_checksum(section: Array) -> int:
    return zlib.crc32(_padding(section.nbytes), zlib.crc32(section.data))


def has_file_size_changed(path: Path, base: MappedBase) -> bool:
    """Return whether the file that ``base`` maps changed its length, so that reading it is not
    safe.

    If the file was replaced by another one, return False.
    """
    try:
        about = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (about.st_dev, about.st_ino) == base.file and about.st_size != base.size_bytes


class BaseVerifier:
    """Verifies bases again while they are in use, some bytes at a time."""

    __slots__ = ("_at", "_crc", "_is_intact", "_left", "bases")

    def __init__(self, bases: Sequence[MappedBase]) -> None:
        self.bases = bases
        self._left = [one for base in bases for one in base.sections]
        self._at, self._crc, self._is_intact = 0, 0, True

    def verify_some(self, most_bytes: int) -> bool:
        """Verify at most ``most_bytes`` more bytes; after the end, the next call starts over.

        Return whether all verified bytes are unchanged. Once any have changed, this and all later
        calls return False.
        """
        while self._is_intact and self._left and most_bytes > 0:
            data, wanted = self._left[0]
            piece = data[self._at : self._at + most_bytes]
            self._crc = zlib.crc32(piece.data, self._crc)
            self._at += piece.size
            most_bytes -= piece.size
            if self._at == data.size:
                self._is_intact = self._crc == wanted
                self._at, self._crc = 0, 0
                del self._left[0]
        if not self._left:
            self._left = [one for base in self.bases for one in base.sections]
        return self._is_intact
