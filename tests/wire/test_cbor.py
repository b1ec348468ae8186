"""Tests of typed values and of deterministic CBOR (against cbor2 and RFC 8949's examples)."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.wire.cbor import (
    BadCbor,
    as_bytes,
    as_bytes_up_to,
    as_list,
    as_map,
    as_text,
    as_time,
    as_uint,
    decode,
    encode,
    parse_optional,
    to_unix_seconds,
)

# Examples of RFC 8949 appendix A, with types that our formats use
RFC_8949_EXAMPLES = {
    "00": 0,
    "17": 23,
    "1818": 24,
    "1903e8": 1000,
    "1a000f4240": 1_000_000,
    "1b000000e8d4a51000": 1_000_000_000_000,
    "f6": None,
    "40": b"",
    "4401020304": b"\x01\x02\x03\x04",
    "60": "",
    "62225c": '"\\',
    "63e6b0b4": "水",
    "80": [],
    "8301820203820405": [1, [2, 3], [4, 5]],
    "a0": {},
    "a201020304": {1: 2, 3: 4},
}

MALFORMED_CBOR = {
    "nothing": "",
    "23 in two bytes": "1817",
    "255 in three bytes": "1900ff",
    "65,535 in five bytes": "1a0000ffff",
    "2**32 - 1 in nine bytes": "1b00000000ffffffff",
    "2**63": "1b8000000000000000",
    "-1": "20",
    "false": "f4",
    "true": "f5",
    "undefined": "f7",
    "half float": "f90000",
    "double": "fb3ff199999999999a",
    "simple 32": "f820",
    "tag: date": "c074323031332d30332d32315432303a30343a30305a",
    "tag: big number": "c249010000000000000000",
    "tag: 24": "d818456449455446",
    "indefinite bytes": "5f42010243030405ff",
    "indefinite text": "7f657374726561646d696e67ff",
    "indefinite list": "9fff",
    "indefinite map": "bfff",
    "break alone": "ff",
    "reserved 28": "1c",
    "keys out of order": "a203040102",
    "a key twice": "a201020103",
    "text key": "a1616101",
    "length of the bytes too long": "44010203",
    "length of the bytes in two bytes": "580401020304",
    "text that is not UTF-8": "62c328",
    "text with a surrogate": "63eda080",
    "a list longer than the bytes": "9b7fffffffffffffff",
    "a map longer than the bytes": "bb7fffffffffffffff",
    "bytes longer than memory": "5b7fffffffffffffff",
    "left over": "0000",
    "ten lists deep": "81" * 10 + "00",
    "a million lists deep": "81" * 1_000_000,
}


@pytest.mark.parametrize(("hex_text", "value"), RFC_8949_EXAMPLES.items())
def test_rfc_8949_examples_are_decoded_and_encoded(hex_text: str, value: object) -> None:
    assert decode(bytes.fromhex(hex_text)) == value
    assert encode(value) == bytes.fromhex(hex_text)


@pytest.mark.parametrize("case", MALFORMED_CBOR)
def test_malformed_cbor_is_refused(case: str) -> None:
    with pytest.raises(BadCbor):
        decode(bytes.fromhex(MALFORMED_CBOR[case]))


@given(st.binary(max_size=100))
def test_accepted_cbor_is_decoded_alike_by_cbor2(untrusted: bytes) -> None:
    try:
        value = decode(untrusted)
    except BadCbor:
        return
    assert cbor2.loads(untrusted) == value
    assert cbor2.dumps(value, canonical=True) == untrusted


@pytest.mark.parametrize(
    "value",
    [True, -1, 1.5, 2**63, {"text": 1}, {-1: 1}, [[[[[[[[[[0]]]]]]]]]], "\ud800", [{1: False}]],
)
def test_unsupported_value_is_not_encoded(value: object) -> None:
    with pytest.raises(ValueError, match=r"not allowed|surrogate"):
        encode(value)


def test_values_of_the_right_type_are_accepted() -> None:
    assert as_uint(5, 5, 5) == 5
    assert as_bytes(b"ab", 2) == b"ab"
    assert as_bytes_up_to(b"", 2) == b""
    assert as_text("ab", 2) == "ab"
    assert as_list([1], 1, 1) == [1]
    assert as_map({1: 0, 2: 0}, 2) == {1: 0, 2: 0}
    assert parse_optional(None, as_time) is None
    assert to_unix_seconds(as_time(1_764_072_000)) == 1_764_072_000


@pytest.mark.parametrize("value", [True, False, -1, 6, 5.0, "5", b"5", None, [], {}])
def test_value_that_is_no_integer_from_0_to_5_is_refused(value: object) -> None:
    with pytest.raises(BadCbor):
        as_uint(value, 5)


@pytest.mark.parametrize("value", [b"a", b"abc", "ab", None, 2, bytearray(b"ab"), [97, 98]])
def test_value_that_is_not_two_bytes_is_refused(value: object) -> None:
    with pytest.raises(BadCbor):
        as_bytes(value, 2)


@pytest.mark.parametrize("value", [{}, {1: 0}, {1: 0, 2: 0, 3: 0}, {1: 0, 3: 0}, {0: 0, 1: 0}, []])
def test_value_that_is_no_map_with_keys_1_and_2_is_refused(value: object) -> None:
    with pytest.raises(BadCbor):
        as_map(value, 2)


def test_times_end_with_the_year_9999() -> None:
    assert as_time(253_402_300_799).year == 9999
    with pytest.raises(BadCbor):
        as_time(253_402_300_800)
