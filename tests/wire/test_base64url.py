"""Base64url has one spelling for each byte string."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.errors import NotUnderstood
from entrenous.wire.encodings import from_base64url, to_base64url


@given(st.binary(max_size=100))
def test_base64url_is_decoded_back(data: bytes) -> None:
    assert from_base64url(to_base64url(data), len(data)) == data


@given(st.text(max_size=30) | st.text("ABab01-_+/= \n", max_size=12))
def test_decodable_text_is_encoded_back(untrusted_text: str) -> None:
    try:
        data = from_base64url(untrusted_text)
    except NotUnderstood:
        return
    assert to_base64url(data) == untrusted_text


@pytest.mark.parametrize("spelling", ["A", "AB", "AA==", "A+/A", "AAA\n", " AAA", "AAé"])
def test_other_spellings_are_refused(spelling: str) -> None:
    with pytest.raises(NotUnderstood):
        from_base64url(spelling)


def test_another_size_is_refused_and_dash_and_underscore_are_decoded() -> None:
    with pytest.raises(NotUnderstood):
        from_base64url("AAAA", 4)
    assert from_base64url("-_-_") == b"\xfb\xff\xbf"
