"""Stored values open only with the key and the ``about`` with which they were sealed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import (
    seal_stored_value,
    stored_value_key_id,
    unseal_stored_value,
)
from entrenous.crypto.nouns import DecryptionFailed

KEY, OTHER_KEY = Secret(b"k" * 32), Secret(b"o" * 32)
CASE = b"3f9a-70c2-b11e"


@given(st.binary(max_size=2000))
def test_stored_value_opens(data: bytes) -> None:
    sealed = seal_stored_value(KEY, data, CASE)
    assert unseal_stored_value(KEY, sealed, CASE) == data
    assert len(sealed) == len(data) + 12 + 16
    assert seal_stored_value(KEY, data, CASE) != sealed


@pytest.mark.parametrize("index", [0, 11, 12, 20, -1])
def test_changed_bit_in_stored_value_is_refused(index: int) -> None:
    sealed = bytearray(seal_stored_value(KEY, b"a picture of somebody", CASE))
    sealed[index] ^= 1
    with pytest.raises(DecryptionFailed):
        unseal_stored_value(KEY, bytes(sealed), CASE)


def test_wrong_key_case_or_truncation_is_refused() -> None:
    sealed = seal_stored_value(KEY, b"a picture of somebody", CASE)
    for key, shown, case in (
        (OTHER_KEY, sealed, CASE),
        (KEY, sealed, b"another case"),
        (KEY, sealed[:-1], CASE),
        (KEY, sealed[:5], CASE),
        (KEY, b"", CASE),
    ):
        with pytest.raises(DecryptionFailed):
            unseal_stored_value(key, shown, case)


def test_key_id_differs_between_keys_and_does_not_begin_the_key() -> None:
    assert stored_value_key_id(KEY) != stored_value_key_id(OTHER_KEY)
    assert len(stored_value_key_id(KEY)) == 8
    assert KEY.reveal()[:8] != stored_value_key_id(KEY)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_has_32_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        seal_stored_value(Secret(b"k" * size), b"", CASE)
