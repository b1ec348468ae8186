"""Base64url has one spelling for each byte string."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.craft.wire.b64u import b64u, unb64u
from entrenous.model.relay_problem import NotUnderstood


@given(st.binary(max_size=100))
def test_it_comes_back(data: bytes) -> None:
    assert unb64u(b64u(data), len(data)) == data


@given(st.text(max_size=30) | st.text("ABab01-_+/= \n", max_size=12))
def test_what_decodes_encodes_to_the_same(untrusted_text: str) -> None:
    try:
        data = unb64u(untrusted_text)
    except NotUnderstood:
        return
    assert b64u(data) == untrusted_text


@pytest.mark.parametrize("odd", ["A", "AB", "AA==", "A+/A", "AAA\n", " AAA", "AAé"])
def test_other_spellings_are_refused(odd: str) -> None:
    with pytest.raises(NotUnderstood):
        unb64u(odd)


def test_another_size_is_refused() -> None:
    with pytest.raises(NotUnderstood):
        unb64u("AAAA", 4)
    assert unb64u("-_-_") == b"\xfb\xff\xbf"
