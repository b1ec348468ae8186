"""Tests of the hashes that the specifications define, and of the comparison of bytes."""

import hashlib

import pytest

from entrenous.base.identity import MasterPublicKeys
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import equal_in_constant_time, sha256, token_hash
from entrenous.crypto.identity_keys import person_id


def test_sha256_of_the_fips_180_4_example() -> None:
    # FIPS 180-4, example "abc"
    assert sha256(b"abc").hex() == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_token_hash_has_its_own_context() -> None:
    token = bytes(range(32))
    expected = hashlib.sha256(b"entrenous/1 lock" + b"\x00" + token).digest()
    assert token_hash(Secret(token)) == expected != sha256(token)


def test_person_id_hashes_both_master_keys() -> None:
    master = MasterPublicKeys(b"e" * 32, b"m" * 1952)
    whole = b"entrenous/1 person\x00" + b"e" * 32 + b"m" * 1952
    assert person_id(master) == hashlib.sha256(whole).digest()


@pytest.mark.parametrize("sizes", [(31, 1953), (33, 1951), (0, 1984), (1984, 0)])
def test_master_keys_of_other_lengths_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"1,952"):
        person_id(MasterPublicKeys(bytes(sizes[0]), bytes(sizes[1])))


def test_equal_in_constant_time_detects_differences() -> None:
    assert equal_in_constant_time(b"abc", b"abc")
    assert not equal_in_constant_time(b"abc", b"abd")
    assert not equal_in_constant_time(b"abc", b"abcd")
