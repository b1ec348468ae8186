"""A statement is signed with both master keys, and both signatures must verify."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.identity import BadSignature, MasterPublicKeys
from entrenous.crypto.identity_keys import (
    master_keys_from_seed,
    public_master_keys,
    sign_with_master_keys,
    verify_both_signatures,
)

ANA = master_keys_from_seed(bytes(range(64)))
BEN = master_keys_from_seed(bytes(range(64, 128)))
PUBLIC = public_master_keys(ANA)
SIGNATURE = sign_with_master_keys(ANA, b"role", b"statement")


def test_signature_by_both_master_keys_verifies() -> None:
    assert (len(PUBLIC.ed25519), len(PUBLIC.mldsa65), len(SIGNATURE)) == (32, 1952, 3373)
    verify_both_signatures(PUBLIC, b"role", b"statement", SIGNATURE, what="card")


def test_same_seed_gives_the_same_public_keys() -> None:
    assert public_master_keys(master_keys_from_seed(bytes(range(64)))) == PUBLIC


@pytest.mark.parametrize(
    ("context", "statement"),
    [
        (b"role", b"Statement"),
        (b"roles", b"statement"),
        (b"rol", b"e\x00statement"),
        (b"role", b""),
    ],
)
def test_another_context_or_statement_is_refused(context: bytes, statement: bytes) -> None:
    with pytest.raises(BadSignature, match="card"):
        verify_both_signatures(PUBLIC, context, statement, SIGNATURE, what="card")


def test_one_of_two_signatures_by_the_right_keys_is_not_enough() -> None:
    theirs = sign_with_master_keys(BEN, b"role", b"statement")
    for mixed in (SIGNATURE[:64] + theirs[64:], theirs[:64] + SIGNATURE[64:]):
        with pytest.raises(BadSignature):
            verify_both_signatures(PUBLIC, b"role", b"statement", mixed, what="card")


def test_one_wrong_public_key_is_refused() -> None:
    theirs = public_master_keys(BEN)
    for mixed in (
        MasterPublicKeys(PUBLIC.ed25519, theirs.mldsa65),
        MasterPublicKeys(theirs.ed25519, PUBLIC.mldsa65),
        MasterPublicKeys(b"", PUBLIC.mldsa65),
        MasterPublicKeys(PUBLIC.ed25519, b"\xff" * 1952),
    ):
        with pytest.raises(BadSignature):
            verify_both_signatures(mixed, b"role", b"statement", SIGNATURE, what="card")


@given(st.integers(0, len(SIGNATURE) * 8 - 1))
def test_flipped_bit_in_signature_is_refused(bit: int) -> None:
    flipped = bytearray(SIGNATURE)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadSignature):
        verify_both_signatures(PUBLIC, b"role", b"statement", bytes(flipped), what="card")


@pytest.mark.parametrize("size", [0, 64, 3372, 3374])
def test_signatures_of_other_lengths_are_refused(size: int) -> None:
    with pytest.raises(BadSignature):
        verify_both_signatures(
            PUBLIC, b"role", b"statement", SIGNATURE.ljust(size, b"\0")[:size], what="card"
        )


def test_context_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="zero byte"):
        sign_with_master_keys(ANA, b"role\x00", b"statement")


def test_a_short_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="64 bytes"):
        master_keys_from_seed(bytes(63))
