"""Targets for archives: the index, the tar, the key as text, and the encrypted key."""

import io
from random import Random
from typing import Final

from entrenous.archive.archive_format import (
    ArchiveIndex,
    ArchivePart,
    BadArchive,
    WrongArchivePassphrase,
    decrypt_key,
    read_index,
    tar_end,
    tar_entries,
    tar_header,
    tar_padding,
    write_index,
)
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import (
    age_identity,
    age_private_key,
    encrypt_with_passphrase,
)
from tests.fuzz.mutate import change_bytes, change_json
from tests.fuzz.seeds import NOON, PERSON
from tests.fuzz.target import Target, property_check, round_trip

_TAR_BLOCK_BYTES: Final = 512
_PASSPHRASE: Final = Secret(b"four unrelated words")
_CHECKSUM_FIELD: Final = slice(148, 156)


def _read_tar_entries(untrusted: bytes) -> list[tuple[str, int]]:
    """Return the name and size of each file in a tar; read the content of every second file."""
    found = list[tuple[str, int]]()
    for entry in tar_entries(io.BytesIO(untrusted)):
        if len(found) % 2 == 0 and len(entry.content.read()) > entry.size:
            raise AssertionError("more than it announces")
        found.append((entry.name, entry.size))
    return found


def _are_sizes_valid(untrusted_files: list[tuple[str, int]]) -> bool:
    return all(size >= 0 for _, size in untrusted_files)


def _write_tar(*files: tuple[str, bytes]) -> bytes:
    parts = (tar_header(name, len(data)) + data + tar_padding(len(data)) for name, data in files)
    return b"".join(parts) + tar_end()


def _change_tar(data: bytes, rng: Random) -> bytes:
    """Change a few bytes, mostly in the first blocks, and usually correct the first checksum."""
    split = min(len(data), rng.choice((_TAR_BLOCK_BYTES, 2 * _TAR_BLOCK_BYTES, len(data))))
    changed = bytearray(change_bytes(data[:split], rng) + data[split:])
    if rng.randrange(4) and len(changed) >= _TAR_BLOCK_BYTES:
        changed[_CHECKSUM_FIELD] = b" " * 8
        changed[_CHECKSUM_FIELD] = b"%06o\0 " % sum(changed[:_TAR_BLOCK_BYTES])
    return bytes(changed)


def _index_bytes() -> bytes:
    parts = (ArchivePart("contacts/a.cbor", 7, b"h" * 32), ArchivePart("files/0f", 9, b"i" * 32))
    return write_index(ArchiveIndex(NOON, PERSON, parts))


def _encrypt_cheaply(key: Secret) -> bytes:
    """Encrypt the key of an archive with scrypt's lowest work factor."""
    identity = age_identity(key).reveal()
    return encrypt_with_passphrase(
        _PASSPHRASE, b"# created: today\n" + identity + b"\n", bytes(range(48)), work_factor=1
    )


def _decrypt_cheap_key(untrusted: bytes) -> Secret:
    """Decrypt a key; refuse work factors other than 1, which take more time and memory."""
    if b" 1\n" not in untrusted[:64]:
        raise BadArchive
    return decrypt_key(untrusted, _PASSPHRASE)


TARGETS: Final = (
    Target(
        "archive-index",
        round_trip(read_index, write_index),
        lambda: [_index_bytes(), write_index(ArchiveIndex(NOON, None, ()))],
        change_json,
        input_bytes_max=2048,
    ),
    Target(
        "archive-tar",
        property_check(_read_tar_entries, _are_sizes_valid),
        lambda: [
            _write_tar(("index.json", b"{}"), ("files/0f", b"f" * 600)),
            *(_write_tar(("a/b", b"")), _write_tar()),
        ],
        _change_tar,
    ),
    Target(
        "age-identity",
        round_trip(
            lambda untrusted: age_private_key(Secret(untrusted)),
            lambda key: age_identity(key).reveal(),
            (ValueError,),
        ),
        lambda: [age_identity(Secret(bytes(range(32)))).reveal(), b"AGE-SECRET-KEY-1"],
        input_bytes_max=128,
    ),
    Target(
        "archive-key",
        round_trip(_decrypt_cheap_key, _encrypt_cheaply, (BadArchive, WrongArchivePassphrase)),
        lambda: [_encrypt_cheaply(Secret(bytes(range(32)))), b"age-encryption.org/v1\n"],
        input_bytes_max=1024,
    ),
)
