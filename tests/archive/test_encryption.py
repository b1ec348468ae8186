"""The two age files of an archive: the encrypted tar, and the key file with a passphrase."""

import errno
import io

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.archive.archive_format import (
    BadArchive,
    WrongArchivePassphrase,
    decrypt_key,
    decrypting_reader,
    encrypt_key,
    encrypting_writer,
)
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import (
    age_identity,
    age_private_key,
    decrypt_blob,
    encrypt_blob,
    encrypt_with_passphrase,
)
from entrenous.crypto.nouns import DecryptionFailed

KEY = Secret(bytes(range(32)))
PASSPHRASE = Secret(b"four unrelated words")


def encrypt(data: bytes) -> bytes:
    out = io.BytesIO()
    with encrypting_writer(KEY, out) as pipe:
        for at in range(0, len(data), 5000):
            pipe.write(data[at : at + 5000])
    return out.getvalue()


def decrypt(data: bytes) -> bytes:
    with decrypting_reader(KEY, io.BytesIO(data)) as pipe:
        return pipe.read()


@pytest.mark.parametrize("size", [0, 1, 65_536, 1_000_000])
def test_encrypted_stream_is_an_age_file(size: int) -> None:
    data = b"picture" * (size // 7 + 1)
    assert decrypt(encrypt(data)) == data
    assert decrypt_blob(KEY, encrypt(data)) == data


def test_unread_rest_is_still_authenticated() -> None:
    whole = encrypt_blob(KEY, bytes(500_000))
    with decrypting_reader(KEY, io.BytesIO(whole)) as pipe:
        assert pipe.read(10) == bytes(10)
    with pytest.raises(DecryptionFailed), decrypting_reader(KEY, io.BytesIO(whole[:-1])) as pipe:
        assert pipe.read(10) == bytes(10)


def test_decryption_error_takes_precedence_over_truncation() -> None:
    def read_tar(data: bytes) -> None:
        with decrypting_reader(KEY, io.BytesIO(data)) as pipe:
            if len(pipe.read(300_000)) < 300_000:
                raise BadArchive

    whole = encrypt_blob(KEY, bytes(200_000))
    with pytest.raises(BadArchive):
        read_tar(whole)
    for changed in (whole[:-1], whole[:100_000], whole + b"\0", b"", whole[:-9] + bytes(9)):
        with pytest.raises(DecryptionFailed):
            read_tar(changed)


def test_error_before_the_end_of_the_stream_is_propagated() -> None:
    with (
        pytest.raises(KeyError),
        decrypting_reader(KEY, io.BytesIO(encrypt_blob(KEY, bytes(9_000_000)))),
    ):
        raise KeyError


class _FullDiskFile(io.BytesIO):
    def write(self, _data: object) -> int:
        raise OSError(errno.ENOSPC, "full")


def test_full_disk_error_is_propagated_by_the_writer() -> None:
    for size in (10, 9_000_000):  # less and more than a pipe holds
        with (
            pytest.raises(OSError, match="full") as raised,
            encrypting_writer(KEY, _FullDiskFile()) as pipe,
        ):
            pipe.write(bytes(size))
        assert raised.value.errno == errno.ENOSPC


def test_error_in_the_writing_block_is_propagated() -> None:
    with pytest.raises(KeyError), encrypting_writer(KEY, io.BytesIO()):
        raise KeyError


@pytest.mark.slow
def test_key_is_recovered_with_its_passphrase() -> None:
    key_file = encrypt_key(KEY, PASSPHRASE, bytes(range(48)))
    assert decrypt_key(key_file, PASSPHRASE) == KEY
    assert pyrage.passphrase.decrypt(encrypt_cheaply(b"hello", b"w"), "w") == b"hello"


def test_wrong_passphrase_or_tampered_key_file_is_refused() -> None:
    key_file = encrypt_cheaply(age_identity(KEY).reveal(), PASSPHRASE.reveal())
    assert decrypt_key(key_file, PASSPHRASE) == KEY
    with pytest.raises(WrongArchivePassphrase):
        decrypt_key(key_file, Secret(b"four unrelated word"))
    for changed in (key_file[:-1], key_file + b"\0", key_file[:40], b""):
        with pytest.raises(BadArchive):
            decrypt_key(changed, PASSPHRASE)


def test_identity_file_needs_exactly_one_valid_identity() -> None:
    identity = age_identity(KEY).reveal()
    text = b"# created: 2026-11-25T12:00:00Z\n# public key: age1...\n\n" + identity + b"\n"
    assert decrypt_key(encrypt_cheaply(text, b"w"), Secret(b"w")) == KEY
    for other in (b"", b"# none\n", identity + b"\n" + identity, identity[:-1] + b"Q", b"hello"):
        with pytest.raises(BadArchive):
            decrypt_key(encrypt_cheaply(other, b"w"), Secret(b"w"))


def encrypt_cheaply(text: bytes, passphrase: bytes) -> bytes:
    """Encrypt as the production code does, but at the lowest cost."""
    return encrypt_with_passphrase(Secret(passphrase), text, bytes(range(48)), work_factor=1)


@given(st.binary(max_size=300))
def test_arbitrary_key_and_archive_files_are_refused(untrusted: bytes) -> None:
    for file in (untrusted, b"age-encryption.org/v1\n" + untrusted):
        with pytest.raises(BadArchive):
            decrypt_key(file, Secret(b"w"))
        with pytest.raises(DecryptionFailed):
            decrypt(file)


@given(st.text(max_size=80))
def test_invalid_identity_files_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="age identity"):
        age_private_key(Secret(text.encode(errors="replace")))


@given(st.binary(min_size=32, max_size=32))
def test_keys_round_trip_through_identities(key: bytes) -> None:
    assert age_private_key(age_identity(Secret(key))) == Secret(key)
