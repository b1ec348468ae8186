"""Relay addresses that are accepted, and those that are refused."""

import pytest

from entrenous.wire.cbor import BadCbor
from entrenous.wire.text import as_relay_url


@pytest.mark.parametrize(
    "url",
    [
        "https://relay.example",
        "https://relay.example.",
        "http://127.0.0.1:7801",
        "http://[::1]:7801/under/here",
        "https://xn--bcher-kva.example:443/",
        f"https://{'a' * 63}.example",
        "http://localhost:0",
    ],
)
def test_valid_relay_address_is_accepted(url: str) -> None:
    assert as_relay_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "https://a..b",
        "https://.a",
        "https://-a.example",
        "https://a-.example",
        f"https://{'a' * 64}.example",
        f"https://{'.'.join(['a' * 60] * 4)}.{'a' * 12}",
        "https://a_b.example",
        "https://",
        "https:///path",
        "https://relay.example:",
        "https://relay.example:65536",
        "https://relay.example:1a",
        "https://[::1",
        "https://[zz]",
        "ftp://relay.example",
        "https://me@relay.example",
        "https://relay.example?x",
        "https://relay.example#x",
        "https://b\u00fccher.example",
        " https://relay.example",
        7,
        None,
    ],
)
def test_invalid_relay_address_is_refused(url: object) -> None:
    with pytest.raises(BadCbor):
        as_relay_url(url)
