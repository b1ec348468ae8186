"""The primitives that we call, judged by Project Wycheproof."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from entrenous.craft.crypto.derive import derive
from entrenous.model.secret import Secret

Vector = dict[str, Any]


def vectors(judges: Path, name: str) -> Iterator[tuple[Vector, Vector]]:
    """Each test with its group."""
    found = json.loads((judges / "wycheproof" / f"{name}_test.json").read_text())
    for group in found["testGroups"]:
        for vector in group["tests"]:
            yield group, vector


def octets(vector: Vector, *names: str) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(vector.get(name, "")) for name in names)


def agrees(vector: Vector, *, accepted: bool) -> bool:
    return vector["result"] == "acceptable" or accepted == (vector["result"] == "valid")


def test_ed25519(judges: Path) -> None:
    wrong, total = [], 0
    for group, vector in vectors(judges, "ed25519"):
        message, signature = octets(vector, "msg", "sig")
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(group["publicKey"]["pk"]))
        try:
            key.verify(signature, message)
            accepted = True
        except InvalidSignature:
            accepted = False
        total += 1
        if not agrees(vector, accepted=accepted):
            wrong.append(vector["tcId"])
    assert total > 100
    assert wrong == []


def test_mldsa_65(judges: Path) -> None:
    wrong, total = [], 0
    for group, vector in vectors(judges, "mldsa_65_verify"):
        message, signature, context = octets(vector, "msg", "sig", "ctx")
        try:
            key = MLDSA65PublicKey.from_public_bytes(bytes.fromhex(group["publicKey"]))
            key.verify(signature, message, context)
            accepted = True
        except (InvalidSignature, ValueError):
            accepted = False
        total += 1
        if not agrees(vector, accepted=accepted):
            wrong.append(vector["tcId"])
    assert total > 50
    assert wrong == []


def test_hkdf_sha256_through_derive(judges: Path) -> None:
    total = 0
    for _, vector in vectors(judges, "hkdf_sha256"):
        ikm, salt, info, okm = octets(vector, "ikm", "salt", "info", "okm")
        if vector["result"] == "valid":
            assert derive(Secret(ikm), info, vector["size"], salt=salt).reveal() == okm
            total += 1
    assert total > 50


def test_x25519(judges: Path) -> None:
    for _, vector in vectors(judges, "x25519"):
        private, public, shared = octets(vector, "private", "public", "shared")
        try:
            got = X25519PrivateKey.from_private_bytes(private).exchange(
                X25519PublicKey.from_public_bytes(public)
            )
        except ValueError:
            assert shared == bytes(32), vector["tcId"]  # no secret: refused, as it should be
        else:
            assert got == shared, vector["tcId"]


def test_chacha20_poly1305(judges: Path) -> None:
    total = 0
    for _, vector in vectors(judges, "chacha20_poly1305"):
        key, nonce, aad, text, cipher, tag = octets(vector, "key", "iv", "aad", "msg", "ct", "tag")
        try:
            got: bytes | None = ChaCha20Poly1305(key).decrypt(nonce, cipher + tag, aad)
        except (InvalidTag, ValueError):
            got = None
        assert agrees(vector, accepted=got == text), vector["tcId"]
        total += 1
    assert total > 100
