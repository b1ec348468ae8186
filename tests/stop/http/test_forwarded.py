"""Finding the client's address in X-Forwarded-For behind trusted proxies."""

from ipaddress import ip_address, ip_network
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.stop.http.access import ForwardedAddressMiddleware, forwarded_client

NEAR_PROXY, FAR_PROXY, CLIENT, FORGED = "10.0.0.1", "10.0.1.7", "203.0.113.9", "198.51.100.1"
TRUSTED_PROXIES = (
    ip_network("10.0.0.1"),
    ip_network("10.0.1.0/24"),
    ip_network("2001:db8:ffff::/64"),
)


@pytest.mark.parametrize(
    ("peer", "forwarded_headers", "expected"),
    [
        (NEAR_PROXY, [CLIENT], CLIENT),
        (NEAR_PROXY, [f"{FORGED}, {CLIENT}"], CLIENT),  # the client forged the left entry
        (NEAR_PROXY, [f"{FORGED}, {CLIENT}, {FAR_PROXY}"], CLIENT),
        (NEAR_PROXY, [FORGED, CLIENT, FAR_PROXY], CLIENT),  # three separate headers
        (NEAR_PROXY, [f"{CLIENT} ,\t{FAR_PROXY}"], CLIENT),
        ("2001:db8:ffff::1", [CLIENT], CLIENT),
        (f"::ffff:{NEAR_PROXY}", [CLIENT], CLIENT),
        (NEAR_PROXY, [f"::ffff:{CLIENT}"], CLIENT),
        # ports and brackets as in RFC 7239, section 6; IPv6 without brackets is also accepted
        (NEAR_PROXY, [f"{CLIENT}:4711"], CLIENT),
        (NEAR_PROXY, ["[2001:db8::7]"], "2001:db8::7"),
        (NEAR_PROXY, ["[2001:DB8::7]:4711"], "2001:db8::7"),
        (NEAR_PROXY, ["2001:db8::7"], "2001:db8::7"),
        # if all addresses are proxies, the farthest proxy counts as the client
        (NEAR_PROXY, [], NEAR_PROXY),
        (NEAR_PROXY, [FAR_PROXY], FAR_PROXY),
        # an untrusted peer is the client, and the header is ignored
        (CLIENT, [FORGED], CLIENT),
        (CLIENT, [f"{FORGED}, {NEAR_PROXY}"], CLIENT),
        ("", [FORGED], ""),
    ],
)
def test_client_address_behind_proxies(
    peer: str, forwarded_headers: list[str], expected: str
) -> None:
    assert forwarded_client(peer, forwarded_headers, TRUSTED_PROXIES) == expected


@pytest.mark.parametrize(
    "entry",
    [
        *("", " ", "unknown", "_hidden", "me", "203.0.113", "203.0.113.999", "[203.0.113.9"),
        *("[::g]", "203.0.113.9:port", "fe80::1%eth0", "1" * 40, "203.0.113.9 203.0.113.8"),
        "203.0.113.٩",
    ],
)
def test_malformed_entry_yields_the_address_of_the_proxy(entry: str) -> None:
    assert forwarded_client(NEAR_PROXY, [f"{FORGED}, {entry}"], TRUSTED_PROXIES) == NEAR_PROXY
    assert forwarded_client(NEAR_PROXY, [f"{entry}, {FAR_PROXY}"], TRUSTED_PROXIES) == FAR_PROXY


def test_unlisted_proxies_are_not_trusted() -> None:
    assert forwarded_client("127.0.0.1", [CLIENT], ()) == "127.0.0.1"


@pytest.mark.slow
@given(st.lists(st.text(max_size=40), max_size=4), st.ip_addresses().map(str))
def test_entries_left_of_the_client_change_nothing(
    untrusted_entries: list[str], client: str
) -> None:
    if any(ip_address(client) in network for network in TRUSTED_PROXIES):
        return
    assert forwarded_client(
        NEAR_PROXY, [*untrusted_entries, client], TRUSTED_PROXIES
    ) == forwarded_client(NEAR_PROXY, [client], TRUSTED_PROXIES)


@pytest.mark.parametrize(
    ("client", "headers", "expected"),
    [
        ((NEAR_PROXY, 9), [(b"x-forwarded-for", CLIENT.encode())], (CLIENT, 0)),
        ((CLIENT, 9), [(b"x-forwarded-for", FORGED.encode())], (CLIENT, 0)),
        ((NEAR_PROXY, 9), [(b"x-forwarded-for", b"\xff")], (NEAR_PROXY, 0)),
        ((NEAR_PROXY, 9), [(b"forwarded", f"for={FORGED}".encode())], (NEAR_PROXY, 0)),
        (None, [(b"x-forwarded-for", CLIENT.encode())], None),
    ],
)
def test_middleware_sets_the_client_address(
    client: tuple[str, int] | None, headers: list[tuple[bytes, bytes]], expected: object
) -> None:
    recorded_clients: list[object] = []

    async def record_client(scope: Any, _receive: Any, _send: Any) -> None:
        recorded_clients.append(scope["client"])

    scope = {"type": "http", "client": client, "headers": headers}
    anyio.run(ForwardedAddressMiddleware(record_client, TRUSTED_PROXIES), scope, None, None)
    assert recorded_clients == [expected]
    assert scope["client"] == client
