"""Tests of UploadCipher (encryption of stored uploads) and of its key files."""

import base64
from pathlib import Path

import pytest

from entrenous.base.secret import Secret
from entrenous.stop.nouns import BadUploadKeys
from entrenous.stop.store import upload_encryption
from entrenous.stop.store.upload_encryption import (
    UploadCipher,
    read_or_create_upload_keys,
    read_upload_keys,
)
from entrenous.stop.upload_record import UploadKeyMissing, UploadNotKept

OLD_KEY, NEW_KEY = Secret(b"1" * 32), Secret(b"2" * 32)
PICTURE = b"\xff\xd8\xff a picture of somebody"
PLAIN_CIPHER = UploadCipher()


@pytest.mark.parametrize(
    "cipher", [PLAIN_CIPHER, UploadCipher((NEW_KEY,)), UploadCipher((NEW_KEY, OLD_KEY))]
)
@pytest.mark.parametrize("data", [PICTURE, b"", PLAIN_CIPHER.encrypt("c", b"entrenous/1 held\1 x")])
def test_encrypted_upload_is_decrypted(cipher: UploadCipher, data: bytes) -> None:
    assert cipher.decrypt("c", cipher.encrypt("c", data)) == data


def test_upload_is_stored_encrypted_only_if_there_is_a_key() -> None:
    stored = UploadCipher((NEW_KEY,)).encrypt("c", PICTURE)
    assert b"picture" not in stored
    assert PLAIN_CIPHER.encrypt("c", PICTURE) == PICTURE


def test_unencrypted_upload_is_returned_unchanged() -> None:
    assert UploadCipher((NEW_KEY,)).decrypt("c", PICTURE) == PICTURE


@pytest.mark.parametrize("suffix", [b"\0", b"\1", b"\1" + bytes(60)])
def test_upload_cannot_imitate_an_encrypted_one(suffix: bytes) -> None:
    """An upload that begins like an encrypted one is returned unchanged."""
    crafted = b"entrenous/1 held" + suffix
    for cipher in (PLAIN_CIPHER, UploadCipher((NEW_KEY,))):
        assert cipher.decrypt("c", cipher.encrypt("c", crafted)) == crafted


def test_keys_are_rotated() -> None:
    encrypted_with_old_key = UploadCipher((OLD_KEY,)).encrypt("c", PICTURE)
    both = UploadCipher((NEW_KEY, OLD_KEY))
    assert both.decrypt("c", encrypted_with_old_key) == PICTURE
    assert UploadCipher((NEW_KEY,)).decrypt("c", both.encrypt("c", PICTURE)) == PICTURE
    for cipher in (UploadCipher((NEW_KEY,)), PLAIN_CIPHER):
        with pytest.raises(UploadKeyMissing) as raised:
            cipher.decrypt("c", encrypted_with_old_key)
        assert isinstance(raised.value, UploadNotKept)


def test_ciphertext_is_bound_to_its_case() -> None:
    cipher = UploadCipher((NEW_KEY,))
    with pytest.raises(UploadKeyMissing):
        cipher.decrypt("d", cipher.encrypt("c", PICTURE))


def test_gate_creates_one_private_key_file(tmp_path: Path) -> None:
    key_path = tmp_path / "held.key"
    [key] = read_or_create_upload_keys(key_path)
    assert (len(key), key_path.stat().st_mode & 0o777) == (32, 0o600)
    key_path.chmod(0o644)
    assert read_or_create_upload_keys(key_path) == (key,)
    assert key_path.stat().st_mode & 0o777 == 0o600


def test_several_keys_are_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    key_path = tmp_path / "keys"
    key_path.write_bytes(b"\n".join(base64.b64encode(key.reveal()) for key in (NEW_KEY, OLD_KEY)))
    key_path.chmod(0o600)
    assert read_upload_keys(key_path) == (NEW_KEY, OLD_KEY)


@pytest.mark.parametrize(
    "text", ["", "\n", "hello", "A" * 44, base64.b64encode(b"k" * 31).decode(), "=" * 44]
)
def test_malformed_key_file_is_refused(tmp_path: Path, text: str) -> None:
    key_path = tmp_path / "keys"
    key_path.write_text(text)
    key_path.chmod(0o600)
    with pytest.raises(BadUploadKeys, match="32 bytes in base64"):
        read_upload_keys(key_path)


def test_operator_key_file_is_never_created_and_must_be_private(tmp_path: Path) -> None:
    key_path = tmp_path / "away" / "keys"
    with pytest.raises(BadUploadKeys, match="does not exist"):
        read_upload_keys(key_path)
    key_path.parent.mkdir()
    key_path.write_bytes(base64.b64encode(NEW_KEY.reveal()))
    key_path.chmod(0o640)
    with pytest.raises(BadUploadKeys, match="other accounts can read it"):
        read_upload_keys(key_path)


def test_key_among_the_credentials_of_a_service_may_be_readable_by_an_acl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ACL by which systemd lets a service read its credential appears as the group's mode."""
    key_path = tmp_path / "entrenous-gate.service" / "gate"
    key_path.parent.mkdir()
    key_path.write_bytes(base64.b64encode(NEW_KEY.reveal()))
    monkeypatch.setattr(upload_encryption, "_CREDENTIALS_FOLDER", tmp_path)
    key_path.chmod(0o440)
    assert [key.reveal() for key in read_upload_keys(key_path)] == [NEW_KEY.reveal()]
    for mode in (0o460, 0o444):
        key_path.chmod(mode)
        with pytest.raises(BadUploadKeys, match="other accounts can read it"):
            read_upload_keys(key_path)
