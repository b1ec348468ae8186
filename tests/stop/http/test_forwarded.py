"""The client's address behind proxies: read from the right, as far as they are trusted."""

from ipaddress import ip_address, ip_network
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.stop.http.access import ForwardedAddressMiddleware, forwarded_client

NEAR, FAR, CLIENT, FORGED = "10.0.0.1", "10.0.1.7", "203.0.113.9", "198.51.100.1"
TRUSTED = (ip_network("10.0.0.1"), ip_network("10.0.1.0/24"), ip_network("2001:db8:ffff::/64"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "who"),
    [
        (NEAR, [CLIENT], CLIENT),
        (NEAR, [f"{FORGED}, {CLIENT}"], CLIENT),  # what the client wrote itself is further left
        (NEAR, [f"{FORGED}, {CLIENT}, {FAR}"], CLIENT),
        (NEAR, [FORGED, CLIENT, FAR], CLIENT),  # the header may occur more than once
        (NEAR, [f"{CLIENT} ,\t{FAR}"], CLIENT),
        ("2001:db8:ffff::1", [CLIENT], CLIENT),
        (f"::ffff:{NEAR}", [CLIENT], CLIENT),
        (NEAR, [f"::ffff:{CLIENT}"], CLIENT),
        # RFC 7239, section 6: with a port, IPv6 in brackets
        (NEAR, [f"{CLIENT}:4711"], CLIENT),
        (NEAR, ["[2001:db8::7]"], "2001:db8::7"),
        (NEAR, ["[2001:DB8::7]:4711"], "2001:db8::7"),
        (NEAR, ["2001:db8::7"], "2001:db8::7"),
        # only proxies: the one that is furthest away
        (NEAR, [], NEAR),
        (NEAR, [FAR], FAR),
        # an untrusted peer is the client, whatever its header says
        (CLIENT, [FORGED], CLIENT),
        (CLIENT, [f"{FORGED}, {NEAR}"], CLIENT),
        ("", [FORGED], ""),
    ],
)
def test_forwarded_client_address(peer: str, forwarded: list[str], who: str) -> None:
    assert forwarded_client(peer, forwarded, TRUSTED) == who


@pytest.mark.parametrize(
    "odd",
    [
        *("", " ", "unknown", "_hidden", "me", "203.0.113", "203.0.113.999", "[203.0.113.9"),
        *("[::g]", "203.0.113.9:port", "fe80::1%eth0", "1" * 40, "203.0.113.9 203.0.113.8"),
        "203.0.113.٩",
    ],
)
def test_malformed_forwarded_entry_counts_as_the_proxy(odd: str) -> None:
    assert forwarded_client(NEAR, [f"{FORGED}, {odd}"], TRUSTED) == NEAR
    assert forwarded_client(NEAR, [f"{odd}, {FAR}"], TRUSTED) == FAR


def test_unlisted_proxies_are_not_trusted() -> None:
    assert forwarded_client("127.0.0.1", [CLIENT], ()) == "127.0.0.1"


@pytest.mark.slow
@given(st.lists(st.text(max_size=40), max_size=4), st.ip_addresses().map(str))
def test_entries_left_of_the_client_change_nothing(untrusted: list[str], client: str) -> None:
    if any(ip_address(client) in network for network in TRUSTED):
        return
    assert forwarded_client(NEAR, [*untrusted, client], TRUSTED) == forwarded_client(
        NEAR, [client], TRUSTED
    )


@pytest.mark.parametrize(
    ("client", "headers", "seen"),
    [
        ((NEAR, 9), [(b"x-forwarded-for", CLIENT.encode())], (CLIENT, 0)),
        ((CLIENT, 9), [(b"x-forwarded-for", FORGED.encode())], (CLIENT, 0)),
        ((NEAR, 9), [(b"x-forwarded-for", b"\xff")], (NEAR, 0)),
        ((NEAR, 9), [(b"forwarded", f"for={FORGED}".encode())], (NEAR, 0)),
        (None, [(b"x-forwarded-for", CLIENT.encode())], None),
    ],
)
def test_middleware_sets_the_client(
    client: tuple[str, int] | None, headers: list[tuple[bytes, bytes]], seen: object
) -> None:
    found: list[object] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        found.append(scope["client"])

    scope = {"type": "http", "client": client, "headers": headers}
    anyio.run(ForwardedAddressMiddleware(app, TRUSTED), scope, None, None)
    assert found == [seen]
    assert scope["client"] == client
