"""Read an archive into a device: all of it or nothing (docs/spec/archive.md section 5)."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, cast

from entrenous.craft.crypto.hashing import HashingReader, sha256
from entrenous.craft.wire.archive import (
    FILES,
    INDEX,
    INDEX_BYTES_MAX,
    Entry,
    entries,
    read_index,
)
from entrenous.craft.wire.record import unpack
from entrenous.model.archive import BadArchive, DamagedArchive, Index, Part, TakenIn
from entrenous.model.ids import ID_BYTES, BlobId, PersonId
from entrenous.model.record import BadRecord
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contact_of
from entrenous.send.archive.parts import NOUNS, PLAIN, Item
from entrenous.send.archive.take_in import Taken, take_in
from entrenous.send.archive.write import Progress


def read_archive(
    opened: AbstractContextManager[BinaryIO], device: Device, progress: Progress
) -> TakenIn:
    """Take in what an archive holds and this device has not.

    ``opened`` yields its tar, and raises when it is left if that was not whole; only then is
    anything of it committed.

    Raises:
        BadArchive, DamagedArchive, DiskFull, and what ``opened`` raises: nothing was changed.
    """
    reading = _Reading(device, progress)
    try:
        with device.vault.together(), opened as untrusted_reader:
            return reading.all_of(entries(untrusted_reader))
    except BaseException:
        for blob in reading.kept:  # their records are rolled back; sealed files are not
            device.vault.forget(blob)
        raise


@dataclass(slots=True)
class _Reading:
    """One pass over a tar: records first, then the files that the new ones among them name."""

    device: Device
    progress: Progress
    done: int = 0
    kept: list[BlobId] = field(default_factory=list)

    def all_of(self, every: Iterator[Entry]) -> TakenIn:
        """Everything, in the order of the index."""
        index = _index_of(every)
        named = [part for part in index.parts if not part.name.startswith(FILES)]
        items = []
        for part in named:
            items.append(_item(_next(every, part), part))
            self._reached(part, index)
        made_by = _made_by(index.person, self.device)  # as it was known before
        taken = take_in(items, index.made_at, self.device)
        for part in index.parts[len(named) :]:
            self._file(_next(every, part), part, taken)
            self._reached(part, index)
        if next(every, None) is not None:
            raise BadArchive
        return replace(taken.told, person=index.person, made_by=made_by)

    def _file(self, entry: Entry, part: Part, taken: Taken) -> None:
        blob, looked = _blob(part.name), HashingReader(entry.content)
        reader, sealed = cast("BinaryIO", looked), blob in taken.sealed
        if blob in taken.files and self.device.vault.keep_as(blob, reader, sealed=sealed):
            self.kept.append(blob)
        if looked.rest() != part.sha256:
            raise DamagedArchive(name=part.name)

    def _reached(self, part: Part, index: Index) -> None:
        self.done += part.size
        self.progress(self.done, index.size)


def _made_by(person: PersonId | None, device: Device) -> str | None:
    if person is None:
        return None
    known = contact_of(person, device)
    return None if known is None else known.name


def _index_of(every: Iterator[Entry]) -> Index:
    first = next(every, None)
    if first is None or first.name != INDEX or first.size > INDEX_BYTES_MAX:
        raise BadArchive
    return read_index(first.content.read())


def _next(every: Iterator[Entry], part: Part) -> Entry:
    entry = next(every, None)
    if entry is None or (entry.name, entry.size) != (part.name, part.size):
        raise DamagedArchive(name=part.name)
    return entry


def _item(entry: Entry, part: Part) -> Item:
    data = entry.content.read()
    if sha256(data) != part.sha256:
        raise DamagedArchive(name=part.name)
    folder, _, key = part.name.partition("/")
    return Item(folder, key, data if folder in PLAIN else _noun(folder, data), data)


def _noun(folder: str, data: bytes) -> Any:
    if folder not in NOUNS:
        raise BadArchive
    try:
        return unpack(NOUNS[folder], data)
    except BadRecord:
        raise BadArchive from None


def _blob(name: str) -> BlobId:
    try:
        blob = BlobId(bytes.fromhex(name.removeprefix(FILES)))
    except ValueError:
        raise BadArchive from None
    if len(blob) != ID_BYTES or name != FILES + blob.hex():
        raise BadArchive
    return blob
