"""The cryptographic primitives that the program calls agree with Project Wycheproof's vectors.

The vectors for XChaCha20-Poly1305 are not used, because the program does not call that cipher.
"""

import hmac
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import unseal_stored_value
from entrenous.crypto.hashing import equal_in_constant_time
from entrenous.crypto.key_derivation import derive
from entrenous.crypto.nouns import DecryptionFailed

Vector = dict[str, Any]
RecordVectors = Callable[[str, int], None]


def wycheproof_vectors(public_vectors: Path, name: str) -> Iterator[tuple[Vector, Vector]]:
    """Yield pairs of a group and one of its vectors."""
    content = json.loads((public_vectors / "wycheproof" / f"{name}_test.json").read_text())
    for group in content["testGroups"]:
        for vector in group["tests"]:
            yield group, vector


def decode_hex_fields(vector: Vector, *names: str) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(vector.get(name, "")) for name in names)


def is_expected_result(vector: Vector, *, accepted: bool) -> bool:
    return vector["result"] == "acceptable" or accepted == (vector["result"] == "valid")


def test_ed25519_agrees_with_wycheproof(
    public_vectors: Path, record_vectors: RecordVectors
) -> None:
    wrong, total = [], 0
    for group, vector in wycheproof_vectors(public_vectors, "ed25519"):
        message, signature = decode_hex_fields(vector, "msg", "sig")
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(group["publicKey"]["pk"]))
        try:
            key.verify(signature, message)
            accepted = True
        except InvalidSignature:
            accepted = False
        total += 1
        if not is_expected_result(vector, accepted=accepted):
            wrong.append(vector["tcId"])
    assert total > 100
    assert wrong == []
    record_vectors("wycheproof ed25519", total)


def test_mldsa_65_agrees_with_wycheproof(
    public_vectors: Path, record_vectors: RecordVectors
) -> None:
    wrong, total = [], 0
    for group, vector in wycheproof_vectors(public_vectors, "mldsa_65_verify"):
        message, signature, context = decode_hex_fields(vector, "msg", "sig", "ctx")
        try:
            key = MLDSA65PublicKey.from_public_bytes(bytes.fromhex(group["publicKey"]))
            key.verify(signature, message, context)
            accepted = True
        except (InvalidSignature, ValueError):
            accepted = False
        total += 1
        if not is_expected_result(vector, accepted=accepted):
            wrong.append(vector["tcId"])
    assert total > 50
    assert wrong == []
    record_vectors("wycheproof mldsa_65", total)


def test_hkdf_sha256_through_derive_agrees_with_wycheproof(
    public_vectors: Path, record_vectors: RecordVectors
) -> None:
    total = 0
    for _, vector in wycheproof_vectors(public_vectors, "hkdf_sha256"):
        ikm, salt, info, okm = decode_hex_fields(vector, "ikm", "salt", "info", "okm")
        try:
            got: bytes | None = derive(Secret(ikm), info, vector["size"], salt=salt).reveal()
        except ValueError:
            got = None  # HKDF outputs at most 255 hashes; the vector asks for more
        assert is_expected_result(vector, accepted=got is not None), vector["tcId"]
        assert got is None or got == okm, vector["tcId"]
        total += 1
    assert total > 50
    record_vectors("wycheproof hkdf_sha256", total)


def test_hmac_sha256_agrees_with_wycheproof(
    public_vectors: Path, record_vectors: RecordVectors
) -> None:
    """The program's own constant-time comparison compares the tags."""
    total = 0
    for group, vector in wycheproof_vectors(public_vectors, "hmac_sha256"):
        key, message, tag = decode_hex_fields(vector, "key", "msg", "tag")
        got = hmac.digest(key, message, "sha256")[: group["tagSize"] // 8]
        assert is_expected_result(vector, accepted=equal_in_constant_time(got, tag)), vector["tcId"]
        total += 1
    assert total > 100
    record_vectors("wycheproof hmac_sha256", total)


def test_x25519_agrees_with_wycheproof(public_vectors: Path, record_vectors: RecordVectors) -> None:
    total = 0
    for _, vector in wycheproof_vectors(public_vectors, "x25519"):
        private, public, shared = decode_hex_fields(vector, "private", "public", "shared")
        try:
            got = X25519PrivateKey.from_private_bytes(private).exchange(
                X25519PublicKey.from_public_bytes(public)
            )
        except ValueError:
            assert shared == bytes(32), vector["tcId"]  # an all-zero shared secret must be refused
        else:
            assert got == shared, vector["tcId"]
        total += 1
    assert total > 500
    record_vectors("wycheproof x25519", total)


def test_mlkem_768_decapsulation_agrees_with_wycheproof(
    public_vectors: Path, record_vectors: RecordVectors
) -> None:
    """A changed ciphertext gives another secret instead of an error (implicit rejection)."""
    total = 0
    for _, vector in wycheproof_vectors(public_vectors, "mlkem_768"):
        seed, public, cipher, shared = decode_hex_fields(vector, "seed", "ek", "c", "K")
        try:
            key = MLKEM768PrivateKey.from_seed_bytes(seed)
            got: bytes | None = key.decapsulate(cipher)
            assert not public or key.public_key().public_bytes_raw() == public, vector["tcId"]
        except ValueError:
            got = None
        assert is_expected_result(vector, accepted=got == shared), vector["tcId"]
        total += 1
    assert total > 150
    record_vectors("wycheproof mlkem_768", total)


def test_mlkem_768_encapsulation_agrees_with_wycheproof(
    public_vectors: Path, record_vectors: RecordVectors
) -> None:
    """The test checks which public keys the library accepts. It cannot check the secrets of the
    vectors, because the library generates the randomness of an encapsulation itself.
    """
    total = 0
    for _, vector in wycheproof_vectors(public_vectors, "mlkem_768_encaps"):
        (public,) = decode_hex_fields(vector, "ek")
        try:
            shared, cipher = MLKEM768PublicKey.from_public_bytes(public).encapsulate()
            accepted = (len(shared), len(cipher)) == (32, 1088)
        except ValueError:
            accepted = False
        assert is_expected_result(vector, accepted=accepted), vector["tcId"]
        total += 1
    assert total > 200
    record_vectors("wycheproof mlkem_768_encaps", total)


def test_chacha20_poly1305_agrees_with_wycheproof(
    public_vectors: Path, record_vectors: RecordVectors
) -> None:
    total = 0
    for _, vector in wycheproof_vectors(public_vectors, "chacha20_poly1305"):
        key, nonce, aad, text, cipher, tag = decode_hex_fields(
            vector, "key", "iv", "aad", "msg", "ct", "tag"
        )
        try:
            got: bytes | None = ChaCha20Poly1305(key).decrypt(nonce, cipher + tag, aad)
        except (InvalidTag, ValueError):
            got = None
        assert is_expected_result(vector, accepted=got == text), vector["tcId"]
        total += 1
    assert total > 100
    record_vectors("wycheproof chacha20_poly1305", total)


def test_aes_256_gcm_of_stored_values_agrees_with_wycheproof(
    public_vectors: Path, record_vectors: RecordVectors
) -> None:
    """Only vectors with the key and nonce lengths of stored values are used."""
    total = 0
    for group, vector in wycheproof_vectors(public_vectors, "aes_gcm"):
        if (group["keySize"], group["ivSize"]) != (256, 96):
            continue
        key, nonce, aad, text, cipher, tag = decode_hex_fields(
            vector, "key", "iv", "aad", "msg", "ct", "tag"
        )
        try:
            got: bytes | None = unseal_stored_value(Secret(key), nonce + cipher + tag, aad)
        except DecryptionFailed:
            got = None
        assert is_expected_result(vector, accepted=got == text), vector["tcId"]
        total += 1
    assert total > 60
    record_vectors("wycheproof aes_gcm", total)
