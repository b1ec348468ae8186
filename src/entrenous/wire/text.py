"""Checks of text that strangers chose: names, addresses and media types."""

import ipaddress
import re
import socket
import unicodedata
from typing import Final
from urllib.parse import unquote, urlsplit

from entrenous.base.screen_text import visible_text
from entrenous.wire.cbor import BadCbor, as_text

NAME_CHARS_MAX: Final = 64
RELAY_URL_CHARS_MAX: Final = 256
_JOINER_CHARS: Final = "\u200c\u200d"  # Persian, Hindi and many emoji need them
# A host name consists of labels (RFC 1123 section 2.1); other text cannot be looked up.
_HOST_LABEL_PATTERN: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_RELAY_URL_PATTERN: Final = re.compile(
    rf"https?://(?P<host>{_HOST_LABEL_PATTERN}(?:\.{_HOST_LABEL_PATTERN})*\.?|\[[0-9A-Fa-f:.]{{2,45}}\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?:/[!-~]*)?",
    re.ASCII,
)
_HOST_CHARS_MAX: Final = 253
_PORT_MAX: Final = 65_535
_MEDIA_TYPE_PATTERN: Final = re.compile(
    r"({0})/({0})".format(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
)


def is_name(text: str) -> bool:
    """Return whether a string is a valid name.

    A name has 1 to 64 characters, none of which controls, reorders or hides other characters.

    Control, format (except joiners), private and surrogate characters are refused, as are line and
    paragraph separators, and spaces at either end. Unassigned characters are allowed if they are
    not invisible, because a newer version of Unicode may assign them, and devices with different
    versions must agree.
    """
    return (
        0 < len(text) <= NAME_CHARS_MAX
        and text == text.strip()
        and all(map(_is_visible_character, text))
    )


def append_number(name: str, number: int) -> str:
    """Append a number to a name; the name is cut so that the result is valid (:func:`is_name`)."""
    ending = f" {number}"
    return name[: NAME_CHARS_MAX - len(ending)].rstrip() + ending


def as_name(value: object) -> str:
    """Return the text if :func:`is_name` accepts it; raises BadCbor otherwise."""
    text = as_text(value, NAME_CHARS_MAX)
    if not is_name(text):
        raise BadCbor
    return text


def as_relay_url(value: object) -> str:
    """Return the text if it is a relay's address; raises BadCbor otherwise.

    An address has http or https, a valid host, and no user, query or fragment.
    """
    text = as_text(value, RELAY_URL_CHARS_MAX)
    parts = _RELAY_URL_PATTERN.fullmatch(text)
    if parts is None or any(char in text for char in '@?#\\"<>'):
        raise BadCbor
    if len(parts["host"]) > _HOST_CHARS_MAX or int(parts["port"] or 0) > _PORT_MAX:
        raise BadCbor
    return text


def as_media_type(value: object) -> str:
    """Return the text if it is a media type; raises BadCbor otherwise.

    It must be written as in RFC 6838 section 4.2, without parameters.
    """
    text = as_text(value, 255)
    if not _MEDIA_TYPE_PATTERN.fullmatch(text):
        raise BadCbor
    return text


def _is_visible_character(char: str) -> bool:
    kind = unicodedata.category(char)
    if kind == "Cn":
        return bool(visible_text(char))
    return char in _JOINER_CHARS or not (kind.startswith("C") or kind in ("Zl", "Zp"))


def url_leads_to_this_machine(url: str) -> bool:
    """Return whether an address leads to this machine: a loopback address, or the address 0.

    See RFC 6761 section 6.3 and RFC 6890. The short and numeric forms that resolvers still accept
    are recognised too. Names are not resolved.
    """
    try:
        host = unquote(urlsplit(url).hostname or "").rstrip(".").casefold()
    except ValueError:
        return False  # no request can be made to an address that cannot be parsed
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _parse_ip_address(host)
    return address is not None and (address.is_loopback or address.is_unspecified)


def _parse_ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _parse_old_ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _parse_old_ip_address(host: str) -> ipaddress.IPv4Address | None:
    """Parse old forms of IPv4 addresses, as inet_aton does: "127.1", "0x7f.0.0.1" or "2130706433".

    Return None for other text.
    """
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None
