"""Encryption of upload bytes in the database, and the file of keys."""

import base64
from pathlib import Path

import pytest

from entrenous.base.secret import Secret
from entrenous.stop.nouns import BadUploadKeys
from entrenous.stop.store.upload_encryption import (
    UploadCipher,
    read_or_create_upload_keys,
    read_upload_keys,
)
from entrenous.stop.upload_record import UploadKeyMissing, UploadNotKept

OLD, NEW = Secret(b"1" * 32), Secret(b"2" * 32)
PICTURE = b"\xff\xd8\xff a picture of somebody"
PLAIN = UploadCipher()


@pytest.mark.parametrize("cipher", [PLAIN, UploadCipher((NEW,)), UploadCipher((NEW, OLD))])
@pytest.mark.parametrize("data", [PICTURE, b"", PLAIN.encrypt("c", b"entrenous/1 held\1 x")])
def test_encrypted_upload_is_decrypted(cipher: UploadCipher, data: bytes) -> None:
    assert cipher.decrypt("c", cipher.encrypt("c", data)) == data


def test_encrypted_upload_reveals_nothing() -> None:
    stored = UploadCipher((NEW,)).encrypt("c", PICTURE)
    assert b"picture" not in stored
    assert PLAIN.encrypt("c", PICTURE) == PICTURE


def test_unencrypted_rows_are_read() -> None:
    assert UploadCipher((NEW,)).decrypt("c", PICTURE) == PICTURE


@pytest.mark.parametrize("kind", [b"\0", b"\1", b"\1" + bytes(60)])
def test_upload_cannot_imitate_an_encrypted_one(kind: bytes) -> None:
    """Bytes that look encrypted are returned as they were sent."""
    crafted = b"entrenous/1 held" + kind
    for cipher in (PLAIN, UploadCipher((NEW,))):
        assert cipher.decrypt("c", cipher.encrypt("c", crafted)) == crafted


def test_keys_are_rotated() -> None:
    encrypted_with_old_key = UploadCipher((OLD,)).encrypt("c", PICTURE)
    both = UploadCipher((NEW, OLD))
    assert both.decrypt("c", encrypted_with_old_key) == PICTURE
    assert UploadCipher((NEW,)).decrypt("c", both.encrypt("c", PICTURE)) == PICTURE
    for cipher in (UploadCipher((NEW,)), PLAIN):
        with pytest.raises(UploadKeyMissing) as raised:
            cipher.decrypt("c", encrypted_with_old_key)
        assert isinstance(raised.value, UploadNotKept)  # so reviewers can still decide


def test_ciphertext_is_bound_to_its_case() -> None:
    cipher = UploadCipher((NEW,))
    with pytest.raises(UploadKeyMissing):
        cipher.decrypt("d", cipher.encrypt("c", PICTURE))


def test_gate_creates_one_private_key_file(tmp_path: Path) -> None:
    place = tmp_path / "held.key"
    [key] = read_or_create_upload_keys(place)
    assert (len(key), place.stat().st_mode & 0o777) == (32, 0o600)
    place.chmod(0o644)
    assert read_or_create_upload_keys(place) == (key,)
    assert place.stat().st_mode & 0o777 == 0o600


def test_key_file_with_several_keys(tmp_path: Path) -> None:
    place = tmp_path / "keys"
    place.write_bytes(b"\n".join(base64.b64encode(key.reveal()) for key in (NEW, OLD)))
    place.chmod(0o600)
    assert read_upload_keys(place) == (NEW, OLD)


@pytest.mark.parametrize(
    "text", ["", "\n", "hello", "A" * 44, base64.b64encode(b"k" * 31).decode(), "=" * 44]
)
def test_malformed_key_file_is_refused(tmp_path: Path, text: str) -> None:
    place = tmp_path / "keys"
    place.write_text(text)
    place.chmod(0o600)
    with pytest.raises(BadUploadKeys, match="32 bytes in base64"):
        read_upload_keys(place)


def test_operator_key_file_is_never_created_and_must_be_private(tmp_path: Path) -> None:
    place = tmp_path / "away" / "keys"
    with pytest.raises(BadUploadKeys, match="does not exist"):
        read_upload_keys(place)
    place.parent.mkdir()
    place.write_bytes(base64.b64encode(NEW.reveal()))
    place.chmod(0o640)
    with pytest.raises(BadUploadKeys, match="other accounts can read it"):
        read_upload_keys(place)
