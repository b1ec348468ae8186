"""The format of an archive, and the errors of reading one (docs/spec/archive.md, sections 1 and 2).

An archive is two age files: an encrypted tar, and its key, encrypted under a passphrase.
"""

import io
import os
import re
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

import msgspec

from entrenous.base.errors import EntrenousError, Malformed, NotFound, Refused, Unproven
from entrenous.base.identifiers import PersonId
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import (
    SCRYPT_WORK_FACTOR,
    age_identity,
    age_private_key,
    decrypt_stream,
    decrypt_with_passphrase,
    encrypt_stream,
    encrypt_with_passphrase,
)
from entrenous.crypto.nouns import BadKey, DecryptionFailed


@dataclass(frozen=True, slots=True)
class ArchivePart:
    """One file of an archive; its ``sha256`` hash has 32 bytes."""

    name: str
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class ArchiveIndex:
    """An archive's list of parts, in order. ``person`` made the archive (None if their device had
    no relay).
    """

    made_at: datetime
    person: PersonId | None
    parts: tuple[ArchivePart, ...]

    @property
    def size(self) -> int:
        """The total size of all parts in bytes."""
        return sum(part.size for part in self.parts)


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote and left out.

    ``lost`` counts files that a record names but that are missing or damaged. ``unopened`` counts
    messages that stay on the device. ``left_of_cases`` counts files of cases in which somebody was,
    or may have been, under 18; these files stay on the device as well.
    """

    index: ArchiveIndex
    lost: int
    unopened: int
    left_of_cases: int = 0


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import added to a device.

    ``other_cases`` are the names of cases that were left out because this device has a different
    case with that name; ``erased_cases`` were left out because they were erased on this device as
    cases of somebody under 18. ``person`` made the archive; None means a device without a relay.
    ``made_by`` is this device's name for that person, None if unknown.
    """

    made_at: datetime
    person: PersonId | None = None
    made_by: str | None = None
    people: int = 0
    circles: int = 0
    sent: int = 0
    received: int = 0
    traces: int = 0
    cases: int = 0
    protections: int = 0
    other_cases: tuple[str, ...] = ()
    erased_cases: tuple[str, ...] = ()

    @property
    def has_nothing_new(self) -> bool:
        """Whether the archive had nothing that was new to this device."""
        counts = (self.people, self.circles, self.sent, self.received, self.traces)
        return not any((*counts, self.cases, self.protections))


class ArchiveNotFound(NotFound):
    """
    {path} does not contain a complete archive. An archive is a folder with the files
    archive.tar.age and archive.key.age; if the export was interrupted, the second file is missing.
    Nothing was changed. Check the path. If your browser saved the archive as one file, unpack the
    file and give the folder. If you have no complete archive, make one on the device that has your
    messages and cases: entrenous archive export --out DIR
    """


class NotAnArchive(Malformed):
    """This is not a complete Entrenous archive, so nothing was changed. Choose the file that the
    other device saved.
    """


class WrongArchivePassphrase(Refused):
    """
    That passphrase does not open this archive. Nothing was changed. Type the passphrase that was
    chosen when the archive was made; it may differ from your device's. Then try again.
    """


class TooMuchForArchive(Refused):
    """
    This device has more data than an archive can hold, or one item is too large. No archive was
    made, and nothing on this device was changed. A newer version of Entrenous may be able to export
    it.
    """


class BadArchive(Malformed):
    """
    Entrenous cannot read this archive: it is damaged, or a newer version of Entrenous wrote it.
    Nothing was changed. Update Entrenous and try again, or use another archive.
    """


class DamagedArchive(Unproven):
    """
    In this archive, {name} was changed or damaged after the archive was made. Nothing was imported
    or changed. Copy the archive again from the place where it was made, or use another one.
    """


_CHUNK_BYTES: Final = 1024 * 1024


def encrypt_key(key: Secret, passphrase: Secret, noise: bytes) -> bytes:
    """Write ``key`` (32 bytes) as an age identity file, and encrypt that under a passphrase.

    ``noise`` is 48 random bytes (crypto/encryption_at_rest.py).
    """
    return encrypt_with_passphrase(
        passphrase, age_identity(key).reveal() + b"\n", noise, SCRYPT_WORK_FACTOR
    )


def decrypt_key(untrusted_file: bytes, passphrase: Secret) -> Secret:
    """Return the key in an age identity file that a passphrase protects.

    Raises:
        WrongArchivePassphrase.
        BadArchive: the file has a different form, or does not hold exactly one X25519 identity.
    """
    try:
        text = decrypt_with_passphrase(passphrase, untrusted_file)
    except BadKey:
        raise WrongArchivePassphrase from None
    except DecryptionFailed:
        raise BadArchive from None
    lines = [line.strip() for line in text.splitlines()]
    identities = [line for line in lines if line and not line.startswith(b"#")]
    if len(identities) != 1:
        raise BadArchive
    try:
        return age_private_key(Secret(identities[0]))
    except ValueError:
        raise BadArchive from None


@contextmanager
def encrypting_writer(key: Secret, writer: BinaryIO) -> Iterator[BinaryIO]:
    """Yield a file whose content is encrypted into ``writer``. The ciphertext is complete when the
    context ends.

    If the context ends with an error, the caller has to discard what was written.

    Raises:
        OSError: from ``writer``.
    """
    source, sink = os.pipe()
    with ThreadPoolExecutor(1) as executor:
        done = executor.submit(_encrypt_from_pipe, key, source, writer)
        try:
            with os.fdopen(sink, "wb") as pipe:
                yield pipe
        except BrokenPipeError:
            done.result()  # raises the error that stopped the thread
            raise
        done.result()


@contextmanager
def decrypting_reader(key: Secret, untrusted_reader: BinaryIO) -> Iterator[BinaryIO]:
    """Yield a file from which to read what :func:`encrypting_writer` wrote.

    The content is known to be authentic only when the context ends. Until then, do nothing with it
    that cannot be undone.

    Raises:
        DecryptionFailed: the key is wrong, or bytes were changed, removed or added.
    """
    source, sink = os.pipe()
    with ThreadPoolExecutor(1) as executor:
        done = executor.submit(_decrypt_into_pipe, key, untrusted_reader, sink)
        try:
            with os.fdopen(source, "rb") as pipe:
                yield pipe
                while pipe.read(_CHUNK_BYTES):
                    pass
        except EntrenousError:
            if isinstance(done.exception(), DecryptionFailed):
                raise DecryptionFailed from None  # this error ended the data early
            raise
        done.result()


def _encrypt_from_pipe(key: Secret, source: int, writer: BinaryIO) -> None:
    with os.fdopen(source, "rb") as reader:
        encrypt_stream(key, reader, writer)


def _decrypt_into_pipe(key: Secret, untrusted_reader: BinaryIO, sink: int) -> None:
    with os.fdopen(sink, "wb") as writer:
        decrypt_stream(key, untrusted_reader, writer)


ARCHIVE_SCHEMA: Final = "entrenous/archive/1"
INDEX_FILE_NAME: Final = "index.json"
FILES_PREFIX: Final = "files/"
INDEX_BYTES_MAX: Final = 64 * 1024**2
RECORD_BYTES_MAX: Final = 128 * 1024**2
FILE_BYTES_MAX: Final = 8 * 1024**3 - 1
_TAR_BLOCK_BYTES: Final = 512
_NAME_SEGMENT_PATTERN: Final = r"(?!\.)[A-Za-z0-9._-]{1,80}"
_PART_NAME_PATTERN: Final = re.compile(
    rf"{_NAME_SEGMENT_PATTERN}/{_NAME_SEGMENT_PATTERN}(?:/{_NAME_SEGMENT_PATTERN})?"
)
_SHA256_HEX_PATTERN: Final = re.compile(r"[0-9a-f]{64}")
_UNIX_SECONDS_MAX: Final = 253_402_300_799  # the last second of the year 9999


class _IndexJson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: str
    made_at: int
    person: str | None
    parts: list[tuple[str, int, str]]


@dataclass(frozen=True, slots=True)
class TarEntry:
    """One file of a tar; its ``content`` must be read before the next entry is requested."""

    name: str
    size: int
    content: BinaryIO


def write_index(index: ArchiveIndex) -> bytes:
    """Encode ``index.json``.

    Raises:
        TooMuchForArchive: a part, or the index itself, is larger than readers accept.
        ValueError: a field has a value that readers refuse.
    """
    if any(part.size > _size_limit_of_part(part.name) for part in index.parts):
        raise TooMuchForArchive
    parts = [(part.name, part.size, part.sha256.hex()) for part in index.parts]
    person = None if index.person is None else index.person.hex()
    shape = _IndexJson(ARCHIVE_SCHEMA, int(index.made_at.timestamp()), person, parts)
    written = msgspec.json.encode(shape)
    if len(written) > INDEX_BYTES_MAX:
        raise TooMuchForArchive
    try:
        read_index(written)
    except BadArchive:
        raise ValueError("a part of this index violates the specification") from None
    return written


def read_index(untrusted_text: bytes) -> ArchiveIndex:
    """Decode ``index.json``; raises BadArchive."""
    try:
        read = msgspec.json.decode(untrusted_text, type=_IndexJson)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise BadArchive from None
    if read.schema != ARCHIVE_SCHEMA or not 0 <= read.made_at <= _UNIX_SECONDS_MAX:
        raise BadArchive
    parts = tuple(
        ArchivePart(name, size, _parse_sha256(sha256)) for name, size, sha256 in read.parts
    )
    _refuse_invalid_parts(parts)
    person = None if read.person is None else PersonId(_parse_sha256(read.person))
    return ArchiveIndex(datetime.fromtimestamp(read.made_at, UTC), person, parts)


def tar_header(name: str, size: int) -> bytes:
    """Return the 512-byte header of a file; its content is padded with zeros
    (:func:`tar_padding`).
    """
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def tar_padding(size: int) -> bytes:
    """Return the padding after a file of this size."""
    return bytes(-size % _TAR_BLOCK_BYTES)


def tar_end() -> bytes:
    """Return the end mark after the last file."""
    return bytes(2 * _TAR_BLOCK_BYTES)


def tar_entries(untrusted_reader: BinaryIO) -> Iterator[TarEntry]:
    """Yield the files of a tar in order. Read the content of each file before you request the next
    file; otherwise the content is lost.

    Raises:
        BadArchive: something is not a regular file or a folder, a header is damaged, or the tar
            ends early.
    """
    while any(block := _read_exactly(untrusted_reader, _TAR_BLOCK_BYTES)):
        info = _parse_tar_header(block)
        if info.type == tarfile.DIRTYPE and not info.size:
            continue
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.size < 0:
            raise BadArchive
        content = _LimitedReader(untrusted_reader, info.size)
        yield TarEntry(info.name, info.size, io.BufferedReader(content, _CHUNK_BYTES))
        while content.read(_CHUNK_BYTES):
            pass
        if content.left:
            raise BadArchive
        _read_exactly(untrusted_reader, -info.size % _TAR_BLOCK_BYTES)


def _parse_tar_header(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.TarError, ValueError):
        raise BadArchive from None


def _read_exactly(untrusted_reader: BinaryIO, size: int) -> bytes:
    data = untrusted_reader.read(size)
    if len(data) != size:
        raise BadArchive
    return data


def _parse_sha256(text: str) -> bytes:
    if not _SHA256_HEX_PATTERN.fullmatch(text):
        raise BadArchive
    return bytes.fromhex(text)


def _refuse_invalid_parts(parts: tuple[ArchivePart, ...]) -> None:
    if len({part.name for part in parts}) != len(parts):
        raise BadArchive
    files = [part.name.startswith(FILES_PREFIX) for part in parts]
    if files != sorted(files):  # records come first, so that the files they name are known
        raise BadArchive
    for part in parts:
        if not _PART_NAME_PATTERN.fullmatch(part.name) or not 0 <= part.size <= _size_limit_of_part(
            part.name
        ):
            raise BadArchive


def _size_limit_of_part(name: str) -> int:
    """Return the maximum size in bytes of a part with this name."""
    return FILE_BYTES_MAX if name.startswith(FILES_PREFIX) else RECORD_BYTES_MAX


class _LimitedReader(io.RawIOBase):
    """Reads at most the next ``left`` bytes of another reader."""

    def __init__(self, reader: BinaryIO, left: int) -> None:
        super().__init__()
        self._reader, self.left = reader, left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._reader.read(min(len(buffer), self.left))
        buffer[: len(data)] = data
        self.left -= len(data)
        return len(data)
