"""Collect the records and files of an archive, and write it (docs/spec/archive.md, sections 3, 4).

All records come first, then all files, which are read in chunks.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import BinaryIO, cast

from entrenous.archive.archive_format import (
    FILES_PREFIX,
    INDEX_FILE_NAME,
    ArchiveIndex,
    ArchivePart,
    ExportReport,
    tar_end,
    tar_header,
    tar_padding,
    write_index,
)
from entrenous.archive.contents import (
    CASES_FOLDER,
    CIRCLES_FOLDER,
    CONTACTS_FOLDER,
    CUSTODY_FOLDER,
    DEVICE_LISTS_FOLDER,
    FILE_KEYS_FOLDER,
    LEDGER_FOLDER,
    PICTURE_RECORDS_FOLDER,
    PROOF_TABLES_BY_FOLDER,
    PROTECTION_TABLE,
    PROTECTIONS_FOLDER,
    RECEIVED_FOLDER,
    SENT_COPIES_FOLDER,
    TRACES_FOLDER,
    archived_files_of,
)
from entrenous.base.errors import NoSuchBlob
from entrenous.base.identifiers import BlobId, PersonId
from entrenous.base.limits import TOKEN_BYTES
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import age_identity
from entrenous.crypto.hashing import HashingWriter, sha256
from entrenous.crypto.key_derivation import blob_key
from entrenous.crypto.nouns import DecryptionFailed
from entrenous.device.device import Device
from entrenous.device.identities import CONTACT_TABLE, OWN_IDENTITY
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, SendState
from entrenous.device.vault_tables import (
    CIRCLE,
    DEVICE_LIST,
    pack,
    unpack,
)
from entrenous.respond.nouns import Case
from entrenous.send.clock_sanity import now_in_whole_seconds
from entrenous.send.inbox import ENDED_STATES, received_messages
from entrenous.send.message.states import INBOX_TABLE, InboxState, ReceivedMessage

NamedRecord = tuple[str, bytes]  # the record's name in the archive, and its content
PLACEHOLDER_SEND_TOKEN = Secret(
    bytes(TOKEN_BYTES)
)  # written in place of send tokens, which are not archived


def iterate_archive_records(device: Device) -> Iterator[NamedRecord]:
    """Yield all records, in the order of the archive."""
    return chain(
        _people_records(device),
        _records_as_stored(CIRCLES_FOLDER, CIRCLE, device),
        _ledger_records(device),
        _sent_copy_and_proof_records(device),
        _trace_records(device),
        _received_records(device),
        _case_records(device),
        _records_as_stored(PROTECTIONS_FOLDER, PROTECTION_TABLE, device),
    )


def list_archive_files(device: Device) -> tuple[BlobId, ...]:
    """Return the files that the records name, each once."""
    cases = (unpack(Case, record) for _, record in device.vault.items(CASES_FOLDER))
    nouns = chain(device.ledger.messages(), _archivable_received(device), cases)
    return tuple(dict.fromkeys(blob for noun in nouns for blob in archived_files_of(noun)))


def count_excluded_case_files(device: Device) -> int:
    """Return the number of files left out because somebody in their case was, or may have been,
    under 18.
    """
    cases = (unpack(Case, record) for _, record in device.vault.items(CASES_FOLDER))
    return sum(len(case.evidence) - len(tuple(archived_files_of(case))) for case in cases)


def count_messages_still_openable(device: Device) -> int:
    """Return the number of received messages left out because they can still be opened on this
    device.
    """
    every = sum(1 for _ in INBOX_TABLE.all(device.vault))
    return every - sum(1 for _ in _archivable_received(device))


def _people_records(device: Device) -> Iterator[NamedRecord]:
    for contact in CONTACT_TABLE.all(device.vault):
        without = replace(contact, send_token=PLACEHOLDER_SEND_TOKEN)
        yield f"{CONTACTS_FOLDER}/{contact.person.id.hex()}", pack(without)
    yield from _records_as_stored(DEVICE_LISTS_FOLDER, DEVICE_LIST, device)


def _ledger_records(device: Device) -> Iterator[NamedRecord]:
    for message in device.ledger.messages():
        yield f"{LEDGER_FOLDER}/{message.id.hex()}", pack(message)
        for position in range(len(message.pictures)):
            look = device.ledger.picture_record(message.id, position)
            if look is not None:
                yield f"{PICTURE_RECORDS_FOLDER}/{message.id.hex()}/{position:04d}", look


def _sent_copy_and_proof_records(device: Device) -> Iterator[NamedRecord]:
    for copy in COPY_DELIVERY_TABLE.all(device.vault):
        if copy.departure is not SendState.WAITING:
            yield f"{SENT_COPIES_FOLDER}/{copy.envelope.hex()}", pack(copy)
    for folder, table in PROOF_TABLES_BY_FOLDER.items():
        yield from _records_as_stored(folder, table, device)


def _trace_records(device: Device) -> Iterator[NamedRecord]:
    for trace in device.ledger.traces():
        yield f"{TRACES_FOLDER}/{trace.number:08d}", pack(trace)


def _received_records(device: Device) -> Iterator[NamedRecord]:
    for number, received in enumerate(_archivable_received(device)):
        yield (
            f"{RECEIVED_FOLDER}/{number:08d}",
            pack(replace(received, manifest=None, attempt=None)),
        )
        yield from _file_key_records(received)


def _file_key_records(received: ReceivedMessage) -> Iterator[NamedRecord]:
    """Yield the key of each encrypted file, so that other programs can decrypt the file, too."""
    if received.key is not None:
        for place, blob in enumerate(received.kept):
            identity = age_identity(blob_key(received.key, place))
            yield f"{FILE_KEYS_FOLDER}/{blob.hex()}", identity.reveal() + b"\n"


def _archivable_received(device: Device) -> Iterator[ReceivedMessage]:
    """Yield the messages that may be archived: opened ones without an opening limit, and ended
    ones.
    """
    for received in INBOX_TABLE.all(device.vault):
        opened = received.state is InboxState.OPENED and received.key is not None
        if received.state in ENDED_STATES or (opened and received.opens is None):
            yield received


def _case_records(device: Device) -> Iterator[NamedRecord]:
    """Yield cases in exactly the form that their custody chains hash, and these chains."""
    yield from _records_as_stored(CASES_FOLDER, CASES_FOLDER, device)
    yield from _records_as_stored(CUSTODY_FOLDER, CUSTODY_FOLDER, device)


def _records_as_stored(folder: str, table: str, device: Device) -> Iterator[NamedRecord]:
    items = device.vault.items(table)
    return ((f"{folder}/{key.replace(' ', '/')}", record) for key, record in items)


ReportBytesDone = Callable[[int, int], None]  # bytes done, and bytes in total


def write_archive_tar(writer: BinaryIO, device: Device, progress: ReportBytesDone) -> ExportReport:
    """Write everything that may leave this device into ``writer``, as a tar.

    Raises:
        BadRecord: something in the vault is damaged.
        TooMuchForArchive: no device could read the archive; nothing was written.
        OSError: from ``writer``.
    """
    # marks expired messages as ended, so that they are not archived as open
    received_messages(device)
    every, wanted = list(iterate_archive_records(device)), list_archive_files(device)
    present = {
        blob: part for blob in wanted if (part := _archive_part_of_file(blob, device)) is not None
    }
    parts = (
        *(ArchivePart(name, len(data), sha256(data)) for name, data in every),
        *present.values(),
    )
    index = ArchiveIndex(now_in_whole_seconds(device), own_person_id(device), parts)
    out = _ProgressWriter(writer, index.size, progress)
    _write_entry(INDEX_FILE_NAME, write_index(index), writer)
    for name, data in every:
        _write_entry(name, data, cast("BinaryIO", out))
    for blob, part in present.items():
        _write_file_entry(blob, part, out, device)
    writer.write(tar_end())
    return ExportReport(
        index,
        len(wanted) - len(present),
        count_messages_still_openable(device),
        count_excluded_case_files(device),
    )


def own_person_id(device: Device) -> PersonId | None:
    """Return the id of this device's owner; None on a device without a relay."""
    identity = OWN_IDENTITY.load(device.vault)
    return None if identity is None or identity.person is None else identity.person.id


def _archive_part_of_file(blob: BlobId, device: Device) -> ArchivePart | None:
    """Return a file's entry in the archive's index; None if the file is missing or damaged."""
    measured = HashingWriter(cast("BinaryIO", _NullWriter()))
    try:
        device.vault.copy_file_to(blob, cast("BinaryIO", measured))
    except (NoSuchBlob, DecryptionFailed):
        return None
    return ArchivePart(FILES_PREFIX + blob.hex(), measured.size, measured.digest())


def _write_entry(name: str, data: bytes, writer: BinaryIO) -> None:
    writer.write(tar_header(name, len(data)))
    writer.write(data)
    writer.write(tar_padding(len(data)))


def _write_file_entry(
    blob: BlobId, part: ArchivePart, out: "_ProgressWriter", device: Device
) -> None:
    out.write(tar_header(part.name, part.size))
    device.vault.copy_file_to(blob, cast("BinaryIO", out))
    out.write(tar_padding(part.size))


class _NullWriter:
    """A writer that discards everything."""

    def write(self, data: bytes) -> int:
        return len(data)

    def flush(self) -> None: ...


class _ProgressWriter:
    """A writer that passes everything on to another one, and reports the progress."""

    def __init__(self, writer: BinaryIO, total: int, progress: ReportBytesDone) -> None:
        self._writer, self._total, self._progress = writer, total, progress
        self._done = 0

    def write(self, data: bytes) -> int:
        self._writer.write(data)
        self._done += len(data)
        self._progress(min(self._done, self._total), self._total)
        return len(data)

    def flush(self) -> None:
        self._writer.flush()
