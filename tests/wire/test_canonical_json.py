"""Canonical JSON: each value has exactly one byte form, and other forms are refused."""

# ruff: noqa: PT011 -- the reason for the refusal does not matter here

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.wire.encodings import canonical_json, read_canonical_json

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
keys = st.text(st.characters(max_codepoint=127), max_size=4)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_canonical_json_is_read_back_and_matches_plain_json(value: object) -> None:
    data = canonical_json(value)
    assert read_canonical_json(data) == value
    assert json.loads(data) == value


@given(values, st.sampled_from([b" ", b"\n", b"\xef\xbb\xbf", b"0"]))
def test_canonical_json_with_extra_bytes_is_refused(value: object, extra: bytes) -> None:
    for extended in (extra + canonical_json(value), canonical_json(value) + extra):
        if value == 0 or (isinstance(value, int) and extra == b"0"):
            continue  # with one more digit, a number may still be canonical
        with pytest.raises(ValueError):
            read_canonical_json(extended)


@given(st.binary(max_size=40))
def test_random_bytes_are_refused_or_canonical(data: bytes) -> None:
    try:
        value = read_canonical_json(data)
    except ValueError:
        return
    assert canonical_json(value) == data


def test_canonical_json_follows_rfc_8785() -> None:
    # RFC 8785 section 3.2.2.2: control characters have two-character escapes or lower-case
    # hexadecimal ones; of all other characters, only the quotation mark and backslash are escaped
    assert (
        canonical_json('\b\t\n\f\r"\\\u000f\u20ac/')
        == b'"\\b\\t\\n\\f\\r\\"\\\\\\u000f\xe2\x82\xac/"'
    )
    assert canonical_json({"b": 1, "B": 2, "aa": 3, "a": 4}) == b'{"B":2,"a":4,"aa":3,"b":1}'


@pytest.mark.parametrize(
    "value",
    [0.5, math.nan, 2**53, -(2**53), {1: 2}, {"\u00e9": 1}, "\ud800", b"x", {"a": {1}}, [1.0]],
)
def test_value_without_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        canonical_json(value)


@pytest.mark.parametrize(
    "data", [b'{"b":1,"a":2}', b'{"a":1,"a":1}', b"1.0", b"1e2", b"NaN", b'"\\u0041"', b"-0"]
)
def test_json_that_is_not_canonical_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_canonical_json(data)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ValueError):
        read_canonical_json(b"[" * 100_000 + b"]" * 100_000)


def test_nesting_of_hundreds_of_levels_raises_no_error_but_value_errors() -> None:
    for depth in range(700, 1000):
        with contextlib.suppress(ValueError):
            read_canonical_json(b"[" * depth + b"]" * depth)
