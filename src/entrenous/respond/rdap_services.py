"""Find the RDAP server to query for a name or an address (RFC 9224), and explain who learns what
from a query.
"""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

import msgspec

from entrenous.base.environment import Proxy
from entrenous.base.language import translatable, translated

IANA_LISTS_URL: Final = "https://data.iana.org/rdap/"
NAMES_QUERIED_MAX: Final = 3
PREFIX_CHARS_MAX: Final = 50
NO_PUBLIC_ADDRESS_MESSAGE: Final = translatable(
    "This is not the IP address of a public site. Such an address looks like 203.0.113.7, or like "
    "2001:db8::7."
)
RdapServices = tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


class _ServiceList(msgspec.Struct, frozen=True):
    services: tuple[tuple[tuple[str, ...], ...], ...]


def describe_what_look_up_reveals(
    host: str, proxy: Proxy | None, address: str = "", lists: str = IANA_LISTS_URL
) -> tuple[str, ...]:
    """Explain, before any query, who will learn what.

    ``address`` is what the person typed as the site's address. ``lists`` is the URL of the lists of
    RDAP servers.
    """
    seen_address = (
        translated("your network address")
        if proxy is None
        else translated("the address of the proxy at {proxy}").format(proxy=proxy)
    )
    keeper = translated("{hostname}, which has the lists of servers: {sees}, not the site.").format(
        hostname=urlsplit(lists).hostname, sees=seen_address
    )
    names = " or ".join(names_to_query(host))
    registry = translated(
        "The registry of the name, or the company that it points to: {names}, and {sees}."
    ).format(names=names, sees=seen_address)
    resolver = translated("The name server of your own network: {host}.").format(host=host)
    network = translated(
        "The registry of the site's network, or the company that it points to: the site's address,"
        " and {sees}."
    ).format(sees=seen_address)
    asks_name_server = proxy is None and not address and bool(names)
    asks_network_registry = asks_name_server or bool(address) or not names
    return (
        keeper,
        *((registry,) if names else ()),
        *((resolver,) if asks_name_server else ()),
        *((network,) if asks_network_registry else ()),
    )


def names_to_query(host: str) -> tuple[str, ...]:
    """Return the names to query: "site.example", then names below it, shortest first.

    The shortest comes first because a longer name, which the registry would see, may identify a
    person. A public suffix such as "co.uk" is not a registered name, so the next longer name is
    queried. A numeric address has no names.
    """
    if is_ip_address(host):
        return ()
    labels = host.split(".")
    return tuple(".".join(labels[-count:]) for count in range(2, len(labels) + 1))[
        :NAMES_QUERIED_MAX
    ]


def is_ip_address(host: str) -> bool:
    """Return whether a host is a numeric address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_public_address(typed: str) -> bool:
    """Return whether a text is a numeric address that is reachable from the whole internet."""
    return is_ip_address(typed) and ipaddress.ip_address(typed).is_global


def parse_rdap_services(untrusted_list: bytes) -> RdapServices | None:
    """Parse a list in the format of RFC 9224 into (entries, addresses of servers) for each service;
    None if it is invalid.
    """
    try:
        listed = msgspec.json.decode(untrusted_list, type=_ServiceList).services
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return tuple((one[0], one[1]) for one in listed if len(one) == 2)


def rdap_server_for_name(name: str, services: RdapServices) -> str | None:
    """Return the server for the longest listed domain that a name is in; RFC 9224 section 4."""
    labels = name.split(".")
    for cut in range(len(labels)):
        ending = ".".join(labels[cut:])
        for entries, servers in services:
            if ending in map(str.lower, entries):
                return _preferred_server(servers)
    return None


def rdap_server_for_address(address: str, services: RdapServices) -> str | None:
    """Return the server for the longest listed prefix of an address; RFC 9224 section 5."""
    ip_address = ipaddress.ip_address(address)
    matching = [
        (_matching_prefix_bits(ip_address, entry), servers)
        for entries, servers in services
        for entry in entries
    ]
    length, servers = max(matching, key=lambda one: one[0], default=(-1, ()))
    return _preferred_server(servers) if length >= 0 else None


def _matching_prefix_bits(
    ip_address: ipaddress.IPv4Address | ipaddress.IPv6Address, entry: str
) -> int:
    """Return the length of a prefix in bits if the address is in it, else -1."""
    try:
        prefix = ipaddress.ip_network(entry[:PREFIX_CHARS_MAX], strict=False)
    except ValueError:
        return -1
    return prefix.prefixlen if ip_address in prefix else -1


def _preferred_server(servers: tuple[str, ...]) -> str | None:
    """Return the first https address, or else the first http address; None if there is none. Only
    addresses with a host and a final slash count (RFC 9224 section 3).
    """
    usable = sorted(
        filter(_is_server_address, servers), key=lambda url: not url.startswith("https://")
    )
    return next(iter(usable), None)


def _is_server_address(server: str) -> bool:
    try:
        has_host = bool(urlsplit(server).hostname)
    except ValueError:
        return False
    return has_host and server.startswith(("https://", "http://")) and server.endswith("/")
