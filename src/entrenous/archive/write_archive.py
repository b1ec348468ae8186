"""Collect the records and files of an archive, and write it (docs/spec/archive.md, sections 3 and
4): every record, then every file, in chunks.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import BinaryIO, cast

from entrenous.archive.archive_format import (
    FILES,
    INDEX,
    ExportReport,
    Index,
    Part,
    end_of_tar,
    header,
    padding,
    write_index,
)
from entrenous.archive.contents import (
    CASES,
    CIRCLES,
    CONTACTS,
    CUSTODY,
    KEYS,
    LEDGER,
    LISTS,
    LOOKS,
    PROOF_TABLES,
    PROTECTION_TABLE,
    PROTECTIONS,
    RECEIVED,
    SENT,
    TRACES,
    files_of,
)
from entrenous.base.errors import NoSuchBlob
from entrenous.base.identifiers import BlobId, PersonId
from entrenous.base.limits import TOKEN_BYTES
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import age_identity
from entrenous.crypto.hashing import HashingWriter, sha256
from entrenous.crypto.key_derivation import blob_key
from entrenous.crypto.nouns import DoesNotOpen
from entrenous.device.device import Device
from entrenous.device.identities import CONTACT_TABLE, OWN_IDENTITY
from entrenous.device.sent_messages import SEALED_TABLE, Departure
from entrenous.device.vault_tables import (
    CIRCLE,
    LIST,
    pack,
    unpack,
)
from entrenous.respond.nouns import Case
from entrenous.send.clock_sanity import this_second
from entrenous.send.inbox import ENDED, received_messages
from entrenous.send.message.states import INBOX_TABLE, InboxState, Received

Record = tuple[str, bytes]  # its name in the archive, and its content
NO_TOKEN = Secret(bytes(TOKEN_BYTES))  # replaces send tokens, which are not archived


def archive_records(device: Device) -> Iterator[Record]:
    """Yield all records, in the order of the archive."""
    return chain(
        _people(device),
        _as_they_are(CIRCLES, CIRCLE, device),
        _ledger(device),
        _sent(device),
        _traces(device),
        _received(device),
        _cases(device),
        _as_they_are(PROTECTIONS, PROTECTION_TABLE, device),
    )


def archive_files(device: Device) -> tuple[BlobId, ...]:
    """Return the files that the records name, each once."""
    cases = (unpack(Case, record) for _, record in device.vault.items(CASES))
    nouns = chain(device.ledger.messages(), _worth_keeping(device), cases)
    return tuple(dict.fromkeys(blob for noun in nouns for blob in files_of(noun)))


def excluded_case_files(device: Device) -> int:
    """Return the number of files that are not archived because somebody was under 18."""
    cases = (unpack(Case, record) for _, record in device.vault.items(CASES))
    return sum(len(case.evidence) - len(tuple(files_of(case))) for case in cases)


def unopened_count(device: Device) -> int:
    """Return the number of received messages not archived because they can still be opened here."""
    every = sum(1 for _ in INBOX_TABLE.all(device.vault))
    return every - sum(1 for _ in _worth_keeping(device))


def _people(device: Device) -> Iterator[Record]:
    for contact in CONTACT_TABLE.all(device.vault):
        without = replace(contact, send_token=NO_TOKEN)
        yield f"{CONTACTS}/{contact.person.id.hex()}", pack(without)
    yield from _as_they_are(LISTS, LIST, device)


def _ledger(device: Device) -> Iterator[Record]:
    for message in device.ledger.messages():
        yield f"{LEDGER}/{message.id.hex()}", pack(message)
        for position in range(len(message.pictures)):
            look = device.ledger.look(message.id, position)
            if look is not None:
                yield f"{LOOKS}/{message.id.hex()}/{position:04d}", look


def _sent(device: Device) -> Iterator[Record]:
    for copy in SEALED_TABLE.all(device.vault):
        if copy.departure is not Departure.WAITING:
            yield f"{SENT}/{copy.envelope.hex()}", pack(copy)
    for folder, table in PROOF_TABLES.items():
        yield from _as_they_are(folder, table, device)


def _traces(device: Device) -> Iterator[Record]:
    for trace in device.ledger.traces():
        yield f"{TRACES}/{trace.number:08d}", pack(trace)


def _received(device: Device) -> Iterator[Record]:
    for number, received in enumerate(_worth_keeping(device)):
        yield f"{RECEIVED}/{number:08d}", pack(replace(received, manifest=None, attempt=None))
        yield from _keys(received)


def _keys(received: Received) -> Iterator[Record]:
    """Yield the key of each encrypted file, so that it can be decrypted without this program."""
    if received.key is not None:
        for place, blob in enumerate(received.kept):
            identity = age_identity(blob_key(received.key, place))
            yield f"{KEYS}/{blob.hex()}", identity.reveal() + b"\n"


def _worth_keeping(device: Device) -> Iterator[Received]:
    """Yield messages that were opened without an opening limit, or that have ended."""
    for received in INBOX_TABLE.all(device.vault):
        opened = received.state is InboxState.OPENED and received.key is not None
        if received.state in ENDED or (opened and received.opens is None):
            yield received


def _cases(device: Device) -> Iterator[Record]:
    """Yield cases in the form that was hashed, and their custody chains."""
    yield from _as_they_are(CASES, CASES, device)
    yield from _as_they_are(CUSTODY, CUSTODY, device)


def _as_they_are(folder: str, table: str, device: Device) -> Iterator[Record]:
    items = device.vault.items(table)
    return ((f"{folder}/{key.replace(' ', '/')}", record) for key, record in items)


Progress = Callable[[int, int], None]  # bytes done, bytes in total


def write_archive(writer: BinaryIO, device: Device, progress: Progress) -> ExportReport:
    """Write everything that may leave this device into ``writer``, as a tar.

    Raises:
        BadRecord: something in the vault is damaged.
        TooMuchForArchive: no device could read it back; nothing was written.
        OSError: from ``writer``.
    """
    received_messages(device)  # ends expired messages, so that they are not archived
    every, wanted = list(archive_records(device)), archive_files(device)
    present = {blob: part for blob in wanted if (part := _measured(blob, device)) is not None}
    parts = (*(Part(name, len(data), sha256(data)) for name, data in every), *present.values())
    index = Index(this_second(device), own_person(device), parts)
    out = _Counted(writer, index.size, progress)
    _add(INDEX, write_index(index), writer)
    for name, data in every:
        _add(name, data, cast("BinaryIO", out))
    for blob, part in present.items():
        _add_file(blob, part, out, device)
    writer.write(end_of_tar())
    return ExportReport(
        index, len(wanted) - len(present), unopened_count(device), excluded_case_files(device)
    )


def own_person(device: Device) -> PersonId | None:
    """Return the person of this device; None without a relay."""
    identity = OWN_IDENTITY.load(device.vault)
    return None if identity is None or identity.person is None else identity.person.id


def _measured(blob: BlobId, device: Device) -> Part | None:
    """Return a file's entry in the index; None if the file is missing or damaged."""
    seen = HashingWriter(cast("BinaryIO", _Nowhere()))
    try:
        device.vault.read_to(blob, cast("BinaryIO", seen))
    except (NoSuchBlob, DoesNotOpen):
        return None
    return Part(FILES + blob.hex(), seen.size, seen.digest())


def _add(name: str, data: bytes, writer: BinaryIO) -> None:
    writer.write(header(name, len(data)))
    writer.write(data)
    writer.write(padding(len(data)))


def _add_file(blob: BlobId, part: Part, out: "_Counted", device: Device) -> None:
    out.write(header(part.name, part.size))
    device.vault.read_to(blob, cast("BinaryIO", out))
    out.write(padding(part.size))


class _Nowhere:
    """A writer that discards everything."""

    def write(self, data: bytes) -> int:
        return len(data)

    def flush(self) -> None: ...


class _Counted:
    """A writer that passes everything on, and reports progress."""

    def __init__(self, writer: BinaryIO, total: int, progress: Progress) -> None:
        self._writer, self._total, self._progress = writer, total, progress
        self._done = 0

    def write(self, data: bytes) -> int:
        self._writer.write(data)
        self._done += len(data)
        self._progress(min(self._done, self._total), self._total)
        return len(data)

    def flush(self) -> None:
        self._writer.flush()
