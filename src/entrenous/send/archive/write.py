"""Write an archive: every record, then every file, a few chunks in memory at a time.

Each file is read twice, first to be measured: a tar says the size of a file before the file, and
its index comes before everything.
"""

from collections.abc import Callable
from typing import BinaryIO, cast

from entrenous.craft.crypto.hashing import Hashing, sha256
from entrenous.craft.wire.archive import FILES, INDEX, ending, header, padding, write_index
from entrenous.model.archive import Index, Part, Written
from entrenous.model.identity import Identity
from entrenous.model.ids import BlobId, PersonId
from entrenous.model.letter import DoesNotOpen
from entrenous.model.relay_problem import NoSuchBlob
from entrenous.ports import Device
from entrenous.send.archive.gather import files, left_of_cases, records, unopened
from entrenous.send.devices.self import IDENTITY
from entrenous.send.drawers import SELF, take
from entrenous.send.inbox import received_messages
from entrenous.send.moment import this_second

Progress = Callable[[int, int], None]  # bytes that are done, bytes in all


def write_archive(writer: BinaryIO, device: Device, progress: Progress) -> Written:
    """Write all that may leave this device into ``writer``, as a tar.

    Raises:
        BadRecord: something in the vault is damaged.
        TooMuchForArchive: no device could read it back; nothing was written.
        OSError: what ``writer`` raised.
    """
    received_messages(device)  # ends what has expired, so that it does not live on in an archive
    every, wanted = list(records(device)), files(device)
    held = {blob: part for blob in wanted if (part := _measured(blob, device)) is not None}
    parts = (*(Part(name, len(data), sha256(data)) for name, data in every), *held.values())
    index = Index(this_second(device), whose(device), parts)
    out = _Counted(writer, index.size, progress)
    _add(INDEX, write_index(index), writer)
    for name, data in every:
        _add(name, data, cast("BinaryIO", out))
    for blob, part in held.items():
        _add_file(blob, part, out, device)
    writer.write(ending())
    return Written(index, len(wanted) - len(held), unopened(device), left_of_cases(device))


def whose(device: Device) -> PersonId | None:
    """The person of this device; None of one without a relay."""
    identity = take(Identity, SELF, IDENTITY, device.vault)
    return None if identity is None or identity.person is None else identity.person.id


def _measured(blob: BlobId, device: Device) -> Part | None:
    """The part that a file becomes; None if it is not there any more, or damaged."""
    seen = Hashing(cast("BinaryIO", _Nowhere()))
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
    """Keeps nothing."""

    def write(self, data: bytes) -> int:
        return len(data)

    def flush(self) -> None: ...


class _Counted:
    """Passes on, and tells how much."""

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
