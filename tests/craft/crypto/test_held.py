"""Held bytes open under the key and the case that they were sealed with, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.craft.crypto.held import name_of, open_held, seal_held
from entrenous.model.letter import DoesNotOpen
from entrenous.model.secret import Secret

KEY, OTHER = Secret(b"k" * 32), Secret(b"o" * 32)
CASE = b"3f9a-70c2-b11e"


@given(st.binary(max_size=2000))
def test_what_was_sealed_opens(data: bytes) -> None:
    sealed = seal_held(KEY, data, CASE)
    assert open_held(KEY, sealed, CASE) == data
    assert len(sealed) == len(data) + 12 + 16
    assert seal_held(KEY, data, CASE) != sealed


@pytest.mark.parametrize("at", [0, 11, 12, 20, -1])
def test_a_changed_bit_opens_nothing(at: int) -> None:
    sealed = bytearray(seal_held(KEY, b"a picture of somebody", CASE))
    sealed[at] ^= 1
    with pytest.raises(DoesNotOpen):
        open_held(KEY, bytes(sealed), CASE)


def test_nor_does_another_key_or_case_or_a_part() -> None:
    sealed = seal_held(KEY, b"a picture of somebody", CASE)
    for key, shown, about in (
        (OTHER, sealed, CASE),
        (KEY, sealed, b"another case"),
        (KEY, sealed[:-1], CASE),
        (KEY, sealed[:5], CASE),
        (KEY, b"", CASE),
    ):
        with pytest.raises(DoesNotOpen):
            open_held(key, shown, about)


def test_a_key_s_name_does_not_tell_it() -> None:
    assert name_of(KEY) != name_of(OTHER)
    assert len(name_of(KEY)) == 8
    assert KEY.reveal()[:8] != name_of(KEY)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_has_32_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        seal_held(Secret(b"k" * size), b"", CASE)
