"""Tests of HPKE with X-Wing: the vectors of the drafts, and altered or invalid inputs."""

import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from entrenous.crypto.hpke import (
    SEAL_OVERHEAD_BYTES,
    open_sealed,
    seal_to,
    xwing_private_key_from_seed,
    xwing_public_key,
)
from entrenous.crypto.nouns import BadKey, NotForThisMailbox

PRIVATE = xwing_private_key_from_seed(bytes(range(32)))
PUBLIC = xwing_public_key(PRIVATE)
SEALED = seal_to(PUBLIC, b"info", b"hello")
SUITE = bytes.fromhex("647a00010003")  # X-Wing, HKDF-SHA256, ChaCha20-Poly1305


def hpke_seal(shared: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Encrypt in base mode (RFC 9180 section 5.1), independently of the tested code."""
    suite = b"HPKE" + SUITE

    def extract(salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")

    def expand(prk: bytes, label: bytes, info: bytes, size: int) -> bytes:
        labeled_info = size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
        return hmac.digest(prk, labeled_info + b"\x01", "sha256")[:size]

    context = b"\x00" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    key, nonce = expand(secret, b"key", context, 32), expand(secret, b"base_nonce", context, 12)
    return ChaCha20Poly1305(key).encrypt(nonce, plaintext, b"")


def test_xwing_draft_vectors_open(
    public_vectors: Path, record_vectors: Callable[[str, int], None]
) -> None:
    """The vectors check key generation and decapsulation. The library cannot encapsulate with a
    given seed; other tests decapsulate the library's own encapsulations.
    """
    vectors = json.loads((public_vectors / "xwing" / "test-vectors.json").read_text())
    assert vectors
    for vector in vectors:
        seed, public, shared, cipher = (
            bytes.fromhex(vector[name]) for name in ("seed", "pk", "ss", "ct")
        )
        assert xwing_public_key(xwing_private_key_from_seed(seed)) == public
        sealed = cipher + hpke_seal(shared, b"info", b"hello")
        assert open_sealed(xwing_private_key_from_seed(seed), b"info", sealed) == b"hello"
    record_vectors("X-Wing draft", len(vectors))


def test_hpke_draft_vectors_open(record_vectors: Callable[[str, int], None]) -> None:
    """The vector is that of our suite in draft-ietf-hpke-pq (package cryptography-vectors).

    Our code opens only the first message of an HPKE context, and only without associated data. The
    test therefore encrypts each text of the vector again in this form, with the vector's key and
    base nonce, and opens the result.
    """
    package = pytest.importorskip("cryptography_vectors")
    suites = json.loads(
        (Path(package.__file__).parent / "HPKE" / "hpke-pq-test-vectors.json").read_text()
    )
    (vector,) = [one for one in suites if bytes.fromhex(one["suite_id"])[4:] == SUITE]
    fields = {name: bytes.fromhex(text) for name, text in vector.items() if isinstance(text, str)}
    assert xwing_public_key(xwing_private_key_from_seed(fields["skRm"])) == fields["pkRm"]
    aead, count = ChaCha20Poly1305(fields["key"]), 0
    for one in vector["encryptions"]:
        text, nonce = bytes.fromhex(one["pt"]), bytes.fromhex(one["nonce"])
        assert aead.decrypt(nonce, bytes.fromhex(one["ct"]), bytes.fromhex(one["aad"])) == text
        first = fields["enc"] + aead.encrypt(fields["base_nonce"], text, b"")
        assert (
            open_sealed(xwing_private_key_from_seed(fields["skRm"]), fields["info"], first) == text
        )
        assert first == fields["enc"] + hpke_seal(fields["shared_secret"], fields["info"], text)
        count += 1
    assert count == 10
    record_vectors("HPKE X-Wing draft", count)


def test_public_key_of_a_seed_never_changes() -> None:
    assert (
        hashlib.sha256(PUBLIC).hexdigest()
        == "c9a3565ffde4f72b51661be391ee13e46378d7f06dd5c8bf5af9d2cfb5b8336b"
    )


@given(st.binary(max_size=3000), st.binary(max_size=300))
def test_sealed_plaintext_opens(plaintext: bytes, info: bytes) -> None:
    sealed = seal_to(PUBLIC, info, plaintext)
    assert len(sealed) == len(plaintext) + SEAL_OVERHEAD_BYTES
    assert open_sealed(PRIVATE, info, sealed) == plaintext


@given(st.integers(0, len(SEALED) * 8 - 1))
def test_flipped_bit_in_sealed_text_is_refused(bit: int) -> None:
    flipped = bytearray(SEALED)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NotForThisMailbox):
        open_sealed(PRIVATE, b"info", bytes(flipped))


@given(st.binary(max_size=1300))
def test_random_bytes_do_not_open(untrusted: bytes) -> None:
    with pytest.raises(NotForThisMailbox):
        open_sealed(PRIVATE, b"info", untrusted)


def test_another_key_or_info_or_a_truncated_text_is_refused() -> None:
    with pytest.raises(NotForThisMailbox):
        open_sealed(PRIVATE, b"Info", SEALED)
    with pytest.raises(NotForThisMailbox):
        open_sealed(xwing_private_key_from_seed(bytes(32)), b"info", SEALED)
    with pytest.raises(NotForThisMailbox):
        open_sealed(PRIVATE, b"info", SEALED[:-1])


@pytest.mark.parametrize(
    "public_key",
    [
        b"",
        PUBLIC[:-1],
        PUBLIC + b"\x00",
        PUBLIC[:-32] + bytes(32),  # X25519's zero point gives everybody the same secret
        b"\xff" * 1184 + PUBLIC[-32:],  # coefficients above q: FIPS 203 section 7.2
    ],
)
def test_invalid_public_key_is_refused(public_key: bytes) -> None:
    with pytest.raises(BadKey):
        seal_to(public_key, b"info", b"hello")


def test_a_short_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        xwing_private_key_from_seed(bytes(31))
