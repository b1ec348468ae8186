"""Import an archive into a device, either completely or not at all (docs/spec/archive.md,
section 5).
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, BinaryIO, cast

from entrenous.archive.archive_format import (
    FILES_PREFIX,
    INDEX_BYTES_MAX,
    INDEX_FILE_NAME,
    ArchiveIndex,
    ArchivePart,
    BadArchive,
    DamagedArchive,
    ImportReport,
    TarEntry,
    read_index,
    tar_entries,
)
from entrenous.archive.contents import (
    CIRCLES_FOLDER,
    CONTACTS_FOLDER,
    DEVICE_LISTS_FOLDER,
    PROTECTION_TABLE,
    PROTECTIONS_FOLDER,
    RAW_RECORD_FOLDERS,
    RECORD_TYPE_BY_FOLDER,
    ArchiveRecord,
    archived_files_of,
    records_in,
)
from entrenous.archive.take_records import (
    PLACEHOLDER_NAME,
    import_cases,
    import_received_messages,
    import_sent_copies_and_receipts,
    import_sent_messages,
    import_traces,
)
from entrenous.archive.write_archive import ReportBytesDone, own_person_id
from entrenous.base.errors import BadRecord
from entrenous.base.identifiers import ID_BYTES, BlobId, PersonId
from entrenous.crypto.hashing import HashingReader, sha256
from entrenous.device.device import Device
from entrenous.device.identities import CONTACT_TABLE, comparable_name, contacts
from entrenous.device.vault_tables import DEVICE_LIST, unpack
from entrenous.send.devices.sync_records import record_change_times
from entrenous.send.people.circles import CIRCLE_TABLE, Circle, store_circle
from entrenous.send.people.keep_contacts import contact_by_id, free_contact_name, taken_names
from entrenous.wire.text import is_name


@dataclass(frozen=True, slots=True)
class ImportedRecords:
    """The result of importing records: a report, and the files that the new records name.

    Files in ``sealed`` are stored as ciphertext.
    """

    report: ImportReport
    files: frozenset[BlobId]
    sealed: frozenset[BlobId]


def import_records(
    items: Sequence[ArchiveRecord], made_at: datetime, device: Device
) -> ImportedRecords:
    """Store new records; call it in a vault transaction.

    Raises:
        BadArchive: two records contradict each other.
    """
    people, in_circles = _import_people(items, device), _import_circles(items, device)
    ledger = import_sent_messages(items, device)
    import_sent_copies_and_receipts(items, device)
    received, cases = import_received_messages(items, device), import_cases(items, device)
    report = ImportReport(
        made_at,
        people=people,
        circles=in_circles,
        sent=len(ledger.new),
        received=len(received),
        traces=import_traces(items, ledger, device),
        cases=len(cases.new),
        protections=_import_protections(items, device),
        other_cases=cases.others,
        erased_cases=cases.erased,
    )
    record_change_times(device)
    sealed = frozenset(blob for message in received for blob in message.kept)
    plain = (blob for noun in (*ledger.new, *cases.new) for blob in archived_files_of(noun))
    return ImportedRecords(report, sealed.union(plain), sealed)


def _import_people(items: Sequence[ArchiveRecord], device: Device) -> int:
    """Store new people, with the verified history of their device lists.

    Because the history is stored, no relay can later present an older list as current.
    """
    known = {contact.person.id for contact in contacts(device)} | {own_person_id(device)}
    fresh = [
        item.decoded
        for item in records_in(CONTACTS_FOLDER, items)
        if item.decoded.person.id not in known
    ]
    taken = taken_names(device)
    for contact in fresh:
        name = _name_or_placeholder(contact.name)
        if comparable_name(name) in taken:
            name = free_contact_name(name, device)
        taken.add(comparable_name(name))
        person = replace(contact.person, name=_name_or_placeholder(contact.person.name))
        named = replace(contact, name=name, person=person)
        CONTACT_TABLE.store(named, contact.person.id.hex(), device.vault)
    new = {contact.person.id.hex() for contact in fresh}
    for item in records_in(DEVICE_LISTS_FOLDER, items):
        if item.key in new:
            device.vault.put(DEVICE_LIST, item.key, item.data)
    return len(fresh)


def _import_circles(items: Sequence[ArchiveRecord], device: Device) -> int:
    fresh: list[Circle] = [
        item.decoded
        for item in records_in(CIRCLES_FOLDER, items)
        if not CIRCLE_TABLE.has(item.decoded.id.hex(), device.vault)
    ]
    for circle in fresh:
        store_circle(
            replace(circle, name=free_contact_name(_name_or_placeholder(circle.name), device)),
            device.vault,
        )
    return len(fresh)


def _name_or_placeholder(untrusted: str) -> str:
    """Return a name that can be displayed and typed."""
    return untrusted if is_name(untrusted) else PLACEHOLDER_NAME


def _import_protections(items: Sequence[ArchiveRecord], device: Device) -> int:
    fresh = [
        item
        for item in records_in(PROTECTIONS_FOLDER, items)
        if device.vault.get(PROTECTION_TABLE, item.decoded.claim) is None
    ]
    for item in fresh:
        device.vault.put(PROTECTION_TABLE, item.decoded.claim, item.data)
    return len(fresh)


def import_opened_archive(
    opened: AbstractContextManager[BinaryIO], device: Device, progress: ReportBytesDone
) -> ImportReport:
    """Import everything in an archive that is not yet on this device.

    ``opened`` yields the archive's tar. If the tar was not authentic, ``opened`` raises on exit,
    and the import is rolled back.

    Raises:
        BadArchive, DamagedArchive, DiskFull, and the errors of ``opened``: nothing was changed.
    """
    importing = _ArchiveImport(device, progress)
    try:
        with device.vault.transaction(), opened as untrusted_reader:
            return importing.import_all(tar_entries(untrusted_reader))
    except BaseException:
        # the vault rolls back records, but not files
        for blob in importing.stored_files:
            device.vault.delete_file(blob)
        raise


@dataclass(slots=True)
class _ArchiveImport:
    """One pass over a tar: records first, then the files that the new records name."""

    device: Device
    progress: ReportBytesDone
    done: int = 0
    stored_files: list[BlobId] = field(default_factory=list)

    def import_all(self, entries: Iterator[TarEntry]) -> ImportReport:
        """Import everything, in the order of the index."""
        index = _read_index_entry(entries)
        named = [part for part in index.parts if not part.name.startswith(FILES_PREFIX)]
        items = []
        for part in named:
            items.append(_parse_record_entry(_expect_entry(entries, part), part))
            self._report_progress(part, index)
        # looked up before the import adds these people
        made_by = _name_of_maker(index.person, self.device)
        imported = import_records(items, index.made_at, self.device)
        for part in index.parts[len(named) :]:
            self._check_file_and_import_if_new(_expect_entry(entries, part), part, imported)
            self._report_progress(part, index)
        if next(entries, None) is not None:
            raise BadArchive
        return replace(imported.report, person=index.person, made_by=made_by)

    def _check_file_and_import_if_new(
        self, entry: TarEntry, part: ArchivePart, imported: ImportedRecords
    ) -> None:
        blob, hashing = _parse_blob_id(part.name), HashingReader(entry.content)
        reader, sealed = cast("BinaryIO", hashing), blob in imported.sealed
        if blob in imported.files and self.device.vault.store_file_as(blob, reader, sealed=sealed):
            self.stored_files.append(blob)
        if hashing.hash_to_end() != part.sha256:
            raise DamagedArchive(name=part.name)

    def _report_progress(self, part: ArchivePart, index: ArchiveIndex) -> None:
        self.done += part.size
        self.progress(self.done, index.size)


def _name_of_maker(person: PersonId | None, device: Device) -> str | None:
    if person is None:
        return None
    known = contact_by_id(person, device)
    return None if known is None else known.name


def _read_index_entry(entries: Iterator[TarEntry]) -> ArchiveIndex:
    first = next(entries, None)
    if first is None or first.name != INDEX_FILE_NAME or first.size > INDEX_BYTES_MAX:
        raise BadArchive
    return read_index(first.content.read())


def _expect_entry(entries: Iterator[TarEntry], part: ArchivePart) -> TarEntry:
    entry = next(entries, None)
    if entry is None or (entry.name, entry.size) != (part.name, part.size):
        raise DamagedArchive(name=part.name)
    return entry


def _parse_record_entry(entry: TarEntry, part: ArchivePart) -> ArchiveRecord:
    data = entry.content.read()
    if sha256(data) != part.sha256:
        raise DamagedArchive(name=part.name)
    folder, _, key = part.name.partition("/")
    return ArchiveRecord(
        folder, key, data if folder in RAW_RECORD_FOLDERS else _parse_record(folder, data), data
    )


def _parse_record(folder: str, data: bytes) -> Any:
    if folder not in RECORD_TYPE_BY_FOLDER:
        raise BadArchive
    try:
        return unpack(RECORD_TYPE_BY_FOLDER[folder], data)
    except BadRecord:
        raise BadArchive from None


def _parse_blob_id(name: str) -> BlobId:
    try:
        blob = BlobId(bytes.fromhex(name.removeprefix(FILES_PREFIX)))
    except ValueError:
        raise BadArchive from None
    if len(blob) != ID_BYTES or name != FILES_PREFIX + blob.hex():
        raise BadArchive
    return blob
