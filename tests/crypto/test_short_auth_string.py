"""Tests of short authentication strings (compared with vodozemac), proofs and commitments."""

import pytest
import vodozemac
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256
from entrenous.crypto.nouns import BadKey
from entrenous.crypto.short_auth_string import (
    SAS_EMOJI,
    agreement_proof,
    key_commitment,
    short_auth_string,
    x25519_public_key,
)

private_keys = st.binary(min_size=32, max_size=32).map(Secret)


@given(private_keys, st.binary(max_size=64))
def test_string_matches_vodozemac(private: Secret, transcript: bytes) -> None:
    vodozemac_sas = vodozemac.Sas()
    theirs = vodozemac_sas.public_key.to_bytes()
    info = "entrenous/2 sas\x00" + sha256(transcript).hex()
    shown = vodozemac_sas.diffie_hellman(
        vodozemac.Curve25519PublicKey.from_bytes(x25519_public_key(private))
    ).bytes(info)
    ours = short_auth_string(private, theirs, transcript)
    assert [SAS_EMOJI.index(sign) for sign in ours.named_emoji] == list(shown.emoji_indices)
    assert ours.numbers == tuple(shown.decimals)


@given(private_keys, private_keys, st.binary(max_size=64))
def test_both_sides_compute_the_same_string_and_proof(
    one: Secret, other: Secret, transcript: bytes
) -> None:
    first, second = x25519_public_key(one), x25519_public_key(other)
    assert short_auth_string(one, second, transcript) == short_auth_string(other, first, transcript)
    assert agreement_proof(one, second, transcript, b"a") == agreement_proof(
        other, first, transcript, b"a"
    )
    assert agreement_proof(one, second, transcript, b"a") != agreement_proof(
        one, second, transcript, b"b"
    )
    assert short_auth_string(one, second, transcript) != short_auth_string(
        one, second, transcript + b"x"
    )


def test_each_key_has_its_own_commitment() -> None:
    keys = [x25519_public_key(Secret(bytes([number]) * 32)) for number in range(8)]
    assert len({key_commitment(key) for key in keys}) == 8


@pytest.mark.parametrize("public_key", [bytes(32), b"", bytes(31), (1).to_bytes(32, "little")])
def test_invalid_or_weak_keys_are_refused(public_key: bytes) -> None:
    with pytest.raises(BadKey):
        short_auth_string(Secret(b"k" * 32), public_key, b"")


def test_the_64_emoji_have_distinct_names() -> None:
    assert len(SAS_EMOJI) == 64
    assert len({sign.emoji for sign in SAS_EMOJI}) == len({sign.name for sign in SAS_EMOJI}) == 64
