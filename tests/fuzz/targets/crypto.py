"""Targets for group elements, public keys, age files, hashes, link messages and timestamps."""

import io
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

from entrenous.base.errors import InvalidTimestamp, Malformed, Unproven
from entrenous.base.identifiers import BlobId
from entrenous.base.limits import PREKEY_BYTES_MAX
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import (
    check_blob,
    decrypt_blob,
    decrypt_stream,
    encrypt_blob,
    seal_file,
    unseal_file,
    unseal_stream,
)
from entrenous.crypto.hashing import sha256
from entrenous.crypto.hpke import seal_to, xwing_private_key_from_seed, xwing_public_key
from entrenous.crypto.nouns import BlobChanged, BlobRef, DecryptionFailed, NotForThisMailbox
from entrenous.crypto.oprf import blind, evaluate, finalize, scalar_from_random
from entrenous.crypto.rfc3161 import decode_response, verify_timestamp
from entrenous.crypto.short_auth_string import agreement_proof, short_auth_string, x25519_public_key
from entrenous.send.formats.letter_format import write_comparison_transcript
from entrenous.send.formats.linking import open_grant, open_offer, seal_grant, seal_offer
from entrenous.send.people.people_nouns import ComparisonSide
from tests.fuzz.seeds import DEVICE, DIGEST, PERSON, vector_bytes
from tests.fuzz.target import Target, property_check

_KEY: Final = Secret(bytes(range(32)))
_TIMESTAMP_FILE: Final = Path(__file__).parents[1] / "stamp.txt"
_REFUSALS: Final = (Malformed, Unproven)


def _decrypt_both_ways(
    untrusted: bytes, decrypt_whole: Callable[..., bytes], decrypt_chunks: Callable[..., None]
) -> bytes:
    """Decrypt an age file whole and in chunks. Both must return the same bytes or both refuse."""
    streamed_file = io.BytesIO()
    try:
        decrypt_chunks(_KEY, io.BytesIO(untrusted), streamed_file)
    except DecryptionFailed:
        streamed = None
    else:
        streamed = streamed_file.getvalue()
    try:
        whole = decrypt_whole(_KEY, untrusted)
    except DecryptionFailed:
        whole = None
    if whole != streamed:
        raise AssertionError("one reader opens what the other refuses")
    if whole is None:
        raise DecryptionFailed
    return whole


def _decrypt_age_file(untrusted: bytes) -> bytes:
    return _decrypt_both_ways(untrusted, decrypt_blob, decrypt_stream)


def _unseal_both_ways(untrusted: bytes) -> bytes:
    return _decrypt_both_ways(untrusted, unseal_file, unseal_stream)


def _age_file_seeds() -> Iterable[bytes]:
    whole = encrypt_blob(_KEY, b"picture" * 30)
    return [whole, whole[:-1], whole.replace(b"X25519", b"x25519"), encrypt_blob(_KEY, b"")]


def _check_blob_hash(untrusted: bytes) -> bool:
    check_blob(BlobRef(BlobId(bytes(16)), 5, sha256(b"bytes")), io.BytesIO(untrusted))
    return untrusted == b"bytes"


def _evaluate_and_finalize(untrusted: bytes) -> bool:
    """Evaluate and finalize an untrusted group element; each function may refuse the element."""
    finalized = finalize(Secret(b"input"), _scalar(), untrusted)
    return len(evaluate(_scalar(), untrusted)) == 32 and len(finalized) == 64


@cache
def _scalar() -> Secret:
    return scalar_from_random(bytes(range(64)))


def _element_seeds() -> Iterable[bytes]:
    blinded = blind(Secret(b"input"), _scalar())
    identity_with_unused_bit = bytes(31) + b"\x80"  # the identity again, with the unused bit set
    return [
        blinded,
        evaluate(_scalar(), blinded),
        bytes(32),
        identity_with_unused_bit,
        b"\xff" * 32,
        blinded[:-1],
    ]


def _compare_keys(untrusted: bytes) -> bool:
    """Compare keys with a person whose public key is the input."""
    mine, theirs = (
        ComparisonSide(DEVICE, DIGEST, shown) for shown in (x25519_public_key(_KEY), untrusted)
    )
    seen = write_comparison_transcript(bytes(16), (PERSON, mine), (PERSON, theirs))
    agreement_proof(_KEY, untrusted, seen, PERSON)
    return len(short_auth_string(_KEY, untrusted, seen).named_emoji) == 7


def _public_key_seeds() -> Iterable[bytes]:
    return [
        x25519_public_key(Secret(bytes([7] * 32))),
        bytes(32),
        b"\x01" + bytes(31),
        bytes(96),
        b"",
    ]


def _seal_to_public_key(untrusted: bytes) -> bool:
    return len(seal_to(untrusted, b"info", b"plain")) == len(b"plain") + 1136


@cache
def _xwing_key_pair() -> tuple[Secret, bytes]:
    key = xwing_private_key_from_seed(bytes(32))
    return key, xwing_public_key(key)


def _open_link_message(untrusted: bytes) -> bool:
    key, _ = _xwing_key_pair()
    try:
        return open_offer(key, b"ask", b"answer", untrusted) == b"offer"
    except NotForThisMailbox:
        return open_grant(key, b"transcript", untrusted) == b"grant"


def _link_message_seeds() -> Iterable[bytes]:
    _, public = _xwing_key_pair()
    return [
        seal_offer(public, b"ask", b"answer", b"offer"),
        *(seal_grant(public, b"transcript", b"grant"), bytes(1136), b""),
    ]


@cache
def _timestamp_vector() -> dict[str, bytes]:
    """Return the parts of stamp.txt: a timestamp, its manifest and the test authority."""
    lines = (line.split(": ", 1) for line in _TIMESTAMP_FILE.read_text().splitlines())
    return {name: bytes.fromhex(value) for name, value in lines}


def _read_timestamp(untrusted: bytes) -> Any:
    """Return the time that an untrusted timestamp proves for the known manifest."""
    vector = _timestamp_vector()
    _ = decode_response(untrusted).status
    return verify_timestamp(untrusted, vector["manifest"], vector["authority"])


def _is_known_time(at: Any) -> bool:
    vector = _timestamp_vector()
    return bool(at == verify_timestamp(vector["token"], vector["manifest"], vector["authority"]))


TARGETS: Final = (
    Target(
        "age",
        property_check(_decrypt_age_file, lambda _: True, _REFUSALS),
        _age_file_seeds,
        input_bytes_max=2048,
    ),
    Target(
        "sealed-file",
        property_check(_unseal_both_ways, lambda _: True, _REFUSALS),
        lambda: [seal_file(_KEY, b"kept"), seal_file(_KEY, b"")],
        input_bytes_max=1024,
    ),
    Target(
        "blob-hash",
        property_check(_check_blob_hash, bool, (BlobChanged,)),
        lambda: [b"bytes", b""],
        input_bytes_max=16,
    ),
    Target(
        "oprf-element",
        property_check(_evaluate_and_finalize, bool),
        _element_seeds,
        input_bytes_max=40,
    ),
    Target(
        "compare-key", property_check(_compare_keys, bool), _public_key_seeds, input_bytes_max=96
    ),
    Target(
        "xwing-public",
        property_check(_seal_to_public_key, bool),
        lambda: [_xwing_key_pair()[1], bytes(1216), *vector_bytes("prekey")],
        input_bytes_max=PREKEY_BYTES_MAX,
    ),
    Target(
        "link-sealed",
        property_check(_open_link_message, bool, _REFUSALS),
        _link_message_seeds,
        input_bytes_max=1300,
    ),
    Target(
        "stamp",
        property_check(_read_timestamp, _is_known_time, (InvalidTimestamp,)),
        lambda: [_timestamp_vector()["token"], b"\x30\x03\x02\x01\x02", b""],
    ),
)
