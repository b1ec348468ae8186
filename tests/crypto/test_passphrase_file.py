"""Small age files with a passphrase: tests with the public test kit and with pyrage."""

import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import decrypt_with_passphrase, encrypt_with_passphrase
from entrenous.crypto.nouns import BadKey, DecryptionFailed

PASSPHRASE = Secret("fünf unrelated words".encode())
NOISE = bytes(range(48))
SEALED = encrypt_with_passphrase(PASSPHRASE, b"hello", NOISE, work_factor=1)


@given(st.binary(max_size=300), st.binary(max_size=40), st.binary(min_size=48, max_size=48))
def test_passphrase_file_opens(data: bytes, passphrase: bytes, noise: bytes) -> None:
    assert (
        decrypt_with_passphrase(
            Secret(passphrase),
            encrypt_with_passphrase(Secret(passphrase), data, noise, work_factor=1),
        )
        == data
    )


@pytest.mark.parametrize("size", [0, 1, 64 * 1024])
def test_pyrage_opens_our_passphrase_file(size: int) -> None:
    sealed = encrypt_with_passphrase(PASSPHRASE, bytes(size), NOISE, work_factor=1)
    assert pyrage.passphrase.decrypt(sealed, PASSPHRASE.reveal().decode()) == bytes(size)
    assert decrypt_with_passphrase(PASSPHRASE, sealed) == bytes(size)


@given(st.integers(0, len(SEALED) * 8 - 1))
def test_flipped_bit_in_passphrase_file_is_refused(bit: int) -> None:
    flipped = bytearray(SEALED)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises((BadKey, DecryptionFailed)):
        decrypt_with_passphrase(PASSPHRASE, bytes(flipped))


@given(st.integers(0, len(SEALED) - 1), st.binary(min_size=1, max_size=64))
def test_truncated_and_extended_files_are_refused(end: int, more: bytes) -> None:
    for changed in (SEALED[:end], SEALED + more):
        with pytest.raises(DecryptionFailed):
            decrypt_with_passphrase(PASSPHRASE, changed)


def test_wrong_passphrase_raises_bad_key() -> None:
    with pytest.raises(BadKey):
        decrypt_with_passphrase(Secret(b"other words"), SEALED)


@pytest.mark.parametrize("work_factor", [b"21", b"22", b"99"])
def test_excessive_scrypt_cost_is_refused(work_factor: bytes) -> None:
    with pytest.raises(DecryptionFailed):
        decrypt_with_passphrase(PASSPHRASE, SEALED.replace(b" 1\n", b" " + work_factor + b"\n", 1))


@pytest.mark.parametrize(("data", "noise"), [(bytes(65537), NOISE), (b"", NOISE[1:])])
def test_oversized_data_or_wrong_noise_is_refused(data: bytes, noise: bytes) -> None:
    with pytest.raises(ValueError, match="48 random bytes"):
        encrypt_with_passphrase(PASSPHRASE, data, noise, work_factor=1)


def test_files_of_the_age_test_kit_open_or_are_refused(
    public_vectors: Path, record_vectors: Callable[[str, int], None]
) -> None:
    """Files with a passphrase open or fail as C2SP/CCTV states, but armored files always fail."""
    opened, refused = 0, 0
    for path in sorted((public_vectors / "age").iterdir()):
        header, _, file = path.read_bytes().partition(b"\n\n")
        facts = dict(line.split(": ", 1) for line in header.decode().splitlines())
        if "passphrase" not in facts:
            continue
        if facts.get("compressed") == "zlib":
            file = zlib.decompress(file)
        try:
            got: str | None = hashlib.sha256(
                decrypt_with_passphrase(Secret(facts["passphrase"].encode()), file)
            ).hexdigest()
        except (BadKey, DecryptionFailed):
            got = None
        expected = facts.get("payload") if facts["expect"] == "success" else None
        expected = None if facts.get("armored") == "yes" else expected
        assert got == expected, path.name
        opened, refused = opened + (got is not None), refused + (got is None)
    assert opened >= 1
    assert refused >= 15
    record_vectors("age test kit, passphrases", opened + refused)
