"""Tests of age files; some use the public test kit, pyrage or the program ``age``."""

import errno
import hashlib
import io
import shutil
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.identifiers import BlobId
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import (
    age_identity,
    check_blob,
    decrypt_as_recipient,
    decrypt_blob,
    decrypt_stream,
    encrypt_blob,
    encrypt_stream,
    encrypt_to_recipient,
)
from entrenous.crypto.hashing import sha256
from entrenous.crypto.nouns import BadKey, BlobChanged, BlobRef, DecryptionFailed

KEY = Secret(bytes(range(32)))
SEALED_BLOB = encrypt_blob(KEY, b"picture" * 100)
BECH32_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
needs_age = pytest.mark.skipif(shutil.which("age") is None, reason="Debian's age is not installed")


def key_of_identity(identity: str) -> Secret:
    """Decode an age identity, in bech32, to its 32-byte key; the checksum is not verified."""
    letters = identity.lower().removeprefix("age-secret-key-1")[:-6]
    bits = "".join(f"{BECH32_ALPHABET.index(letter):05b}" for letter in letters)
    return Secret(int(bits[:256], 2).to_bytes(32, "big"))


@given(st.binary(min_size=32, max_size=32))
def test_pyrage_reads_our_identities(key: bytes) -> None:
    identity = age_identity(Secret(key)).reveal().decode()
    assert pyrage.x25519.Identity.from_str(identity)  # raises if the checksum is wrong
    assert key_of_identity(identity) == Secret(key)


def test_identity_encodes_the_private_key_unchanged() -> None:
    identity = str(pyrage.x25519.Identity.generate())
    assert age_identity(key_of_identity(identity)).reveal().decode() == identity


@given(st.binary(max_size=200_000))
def test_encrypted_blob_decrypts(padded: bytes) -> None:
    assert decrypt_blob(KEY, encrypt_blob(KEY, padded)) == padded


def test_wrong_key_is_refused() -> None:
    with pytest.raises(DecryptionFailed):
        decrypt_blob(Secret(bytes(32)), SEALED_BLOB)


@given(st.integers(0, len(SEALED_BLOB) * 8 - 1))
def test_flipped_bit_in_blob_is_refused(bit: int) -> None:
    flipped = bytearray(SEALED_BLOB)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DecryptionFailed):
        decrypt_blob(KEY, bytes(flipped))


@given(st.integers(0, len(SEALED_BLOB) - 1), st.binary(min_size=1, max_size=64))
def test_truncated_and_extended_files_are_refused(end: int, more: bytes) -> None:
    for changed in (SEALED_BLOB[:end], SEALED_BLOB + more):
        with pytest.raises(DecryptionFailed):
            decrypt_blob(KEY, changed)


@given(st.binary(max_size=400))
def test_random_bytes_are_refused(untrusted: bytes) -> None:
    for bytes_ in (untrusted, b"age-encryption.org/v1\n" + untrusted):
        with pytest.raises(DecryptionFailed):
            decrypt_blob(KEY, bytes_)


def test_check_blob_accepts_only_the_named_blob() -> None:
    ref = BlobRef(BlobId(bytes(16)), len(SEALED_BLOB), sha256(SEALED_BLOB))
    check_blob(ref, io.BytesIO(SEALED_BLOB))
    for other in (
        SEALED_BLOB[:-1],
        SEALED_BLOB[:-1] + bytes([SEALED_BLOB[-1] ^ 1]),
        b"",
        SEALED_BLOB + b"\x00",
    ):
        with pytest.raises(BlobChanged):
            check_blob(ref, io.BytesIO(other))
    with pytest.raises(BlobChanged):
        check_blob(BlobRef(ref.id, ref.size + 1, ref.sha256), io.BytesIO(SEALED_BLOB))


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        age_identity(Secret(bytes(33)))


@pytest.mark.slow
def test_files_of_the_age_test_kit_open_or_are_refused(
    public_vectors: Path, record_vectors: Callable[[str, int], None]
) -> None:
    """The valid binary files of C2SP/CCTV for an X25519 identity open; all others are refused.

    The whole-file reader and the streaming reader must agree. Blobs are never armored, so armored
    files must be refused.
    """
    wrong, opened, refused = [], 0, 0
    for path in sorted((public_vectors / "age").iterdir()):
        header, _, file = path.read_bytes().partition(b"\n\n")
        lines = [line.split(": ", 1) for line in header.decode().splitlines()]
        facts = dict(lines)
        if facts.get("compressed") == "zlib":
            file = zlib.decompress(file)
        keys = [value for name, value in lines if name == "identity"]
        keys = [value for value in keys if not value.startswith("AGE-SECRET-KEY-PQ-")]
        got = decrypted_hash(keys, file)
        is_binary = facts.get("armored") != "yes"
        expected = facts["payload"] if facts["expect"] == "success" and keys and is_binary else None
        opened, refused = opened + (expected is not None), refused + (expected is None)
        if got != expected:
            wrong.append((path.name, facts["expect"]))
    assert wrong == []
    assert opened >= 14
    assert refused >= 100
    record_vectors("age test kit", opened + refused)
    record_vectors("age test kit, streamed", opened + refused)


def decrypted_hash(identities: list[str], file: bytes) -> str | None:
    """Return the SHA-256 of the plaintext, or None if no identity decrypts the file."""
    for identity in identities:
        assert age_identity(key_of_identity(identity)).reveal().decode() == identity
        whole = decrypt_or_none(decrypt_blob, key_of_identity(identity), file)
        assert decrypt_or_none(decrypt_streamed, key_of_identity(identity), file) == whole
        if whole is not None:
            return hashlib.sha256(whole).hexdigest()
    return None


def decrypt_or_none(
    read: Callable[[Secret, bytes], bytes], key: Secret, file: bytes
) -> bytes | None:
    try:
        return read(key, file)
    except DecryptionFailed:
        return None


def decrypt_streamed(key: Secret, file: bytes) -> bytes:
    """Decrypt with the streaming reader."""
    opened = io.BytesIO()
    decrypt_stream(key, io.BytesIO(file), opened)
    return opened.getvalue()


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
def test_streams_and_whole_files_have_one_format(size: int) -> None:
    sealed = io.BytesIO()
    encrypt_stream(KEY, io.BytesIO(b"p" * size), sealed)
    assert decrypt_blob(KEY, sealed.getvalue()) == b"p" * size
    assert decrypt_streamed(KEY, encrypt_blob(KEY, b"p" * size)) == b"p" * size


def test_changed_stream_or_wrong_key_is_refused() -> None:
    long = encrypt_blob(KEY, bytes(200_000))
    for changed in (long[:-1], long[:70_000], long + b"\0", long[:60], b"", b"\0" * 70_000):
        with pytest.raises(DecryptionFailed):
            decrypt_streamed(KEY, changed)
    with pytest.raises(DecryptionFailed):
        decrypt_streamed(Secret(bytes(32)), long)


class _FullDisk(io.BytesIO):
    def write(self, _data: object) -> int:
        raise OSError(errno.ENOSPC, "full")


def test_full_disk_is_not_reported_as_damaged_blob() -> None:
    long = encrypt_blob(KEY, bytes(3_000_000))
    for operation in (encrypt_stream, decrypt_stream):
        for data in (SEALED_BLOB, long):
            with pytest.raises(OSError, match="full") as raised:
                operation(KEY, io.BytesIO(data), _FullDisk())
            assert raised.value.errno == errno.ENOSPC


class _UnreadableDisk(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 200_000:
            raise OSError(errno.EIO, "torn")
        return super().read(size)


def test_unreadable_disk_is_not_reported_as_damaged_blob() -> None:
    long = encrypt_blob(KEY, bytes(3_000_000))
    for operation in (encrypt_stream, decrypt_stream):
        with pytest.raises(OSError, match="torn") as raised:
            operation(KEY, _UnreadableDisk(long), io.BytesIO())
        assert raised.value.errno == errno.EIO


@pytest.mark.real
@needs_age
def test_age_decrypts_our_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(age_identity(KEY).reveal() + b"\n")
    got = subprocess.run(
        ["age", "-d", "-i", str(tmp_path / "key")],
        input=SEALED_BLOB,
        capture_output=True,
        check=True,
    )
    assert got.stdout == b"picture" * 100


@pytest.mark.real
@needs_age
def test_we_decrypt_files_of_age(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(age_identity(KEY).reveal() + b"\n")
    got = subprocess.run(
        ["age", "-e", "-i", str(tmp_path / "key")], input=b"hello", capture_output=True, check=True
    )
    assert decrypt_blob(KEY, got.stdout) == b"hello"


def test_a_file_for_a_recipient_opens_with_that_identity_only() -> None:
    ours, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    sealed = encrypt_to_recipient(f" {ours.to_public()}\n", b"evidence")
    assert decrypt_as_recipient(Secret(f"# key\n{ours}\n".encode()), sealed) == b"evidence"
    with pytest.raises(DecryptionFailed):
        decrypt_as_recipient(Secret(str(other).encode()), sealed)
    with pytest.raises(BadKey):
        decrypt_as_recipient(Secret(b"no identity"), sealed)
    with pytest.raises(ValueError, match="no age recipient"):
        encrypt_to_recipient("age1nobody", b"evidence")
