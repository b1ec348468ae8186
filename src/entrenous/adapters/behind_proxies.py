"""Who asked, where proxies stand in between (docs/spec/gate.md section 6.2).

Each proxy adds to X-Forwarded-For, on the right, the address that it was asked from. So it is read
from the right, and only as far as those who wrote it are trusted: what lies further left anybody
may have written. It is neither kept nor logged here.
"""

import ipaddress
import re
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Send

from entrenous.model.gate_front import Network

_NAME: Final = b"x-forwarded-for"
# A node of RFC 7239, section 6, without its quotes; and, as proxies write them, IPv6 without
# brackets. "unknown" and names that hide an address are none that could be counted.
_PORT: Final = r"(?::(?:\d{1,5}|_[\w.-]+))?"
_HOP: Final = re.compile(
    rf"(?P<four>[\d.]+){_PORT}|\[(?P<six>[\da-f:.]+)\]{_PORT}|(?P<bare>[\da-f:.]+)",
    re.IGNORECASE | re.ASCII,
)
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class BehindProxies:
    """Wraps an ASGI application, which then finds who asked as the ``client`` of each request."""

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = tuple(trusted)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Hand a request on."""
        client = scope.get("client")
        if scope["type"] == "http" and client:
            said = [value.decode("latin-1") for name, value in scope["headers"] if name == _NAME]
            scope = {**scope, "client": (client_of(client[0], said, self._trusted), 0)}
        await self._app(scope, receive, send)


def client_of(peer: str, forwarded: Iterable[str], trusted: Sequence[Network]) -> str:
    """The address of whoever asked.

    Args:
        peer: the address that is connected.
        forwarded: the values of X-Forwarded-For, in their order; a stranger may have written them.
        trusted: the networks of proxies that are believed.

    Returns:
        The first address from the right that is no trusted proxy's. Where the next one to the left
        is none, or cannot be read, it is the proxy's that said so; of a peer that is not trusted,
        its own.
    """
    at = _address(peer)
    if at is None:
        return peer
    rest = ",".join(forwarded)
    while rest and any(at in network for network in trusted):
        rest, _, hop = rest.rpartition(",")
        before = _address(_node(hop))
        if before is None:
            break
        at = before
    return str(at)


def _node(untrusted_hop: str) -> str:
    """Without brackets and port; empty for what is no address."""
    found = _HOP.fullmatch(untrusted_hop.strip(" \t"))
    return "" if found is None else found["four"] or found["six"] or found["bare"]


def _address(text: str) -> _Address | None:
    """An IPv4 address that is written as an IPv6 one is that IPv4 address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
