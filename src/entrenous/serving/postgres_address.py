"""Check that libpq can parse a PostgreSQL address before anything connects to it."""

from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from entrenous.base.errors import Refused


class BadDatabaseAddress(Refused):
    """
    The setting `database` is not a valid PostgreSQL address. Nothing was started. An address has
    the form postgresql://user@host:port/name; characters such as / : @ % in a user name or a
    password are written as %2F, %3A, %40 and %25. Store the password in ~/.pgpass rather than in
    this address.
    """


_PORT_MAX: Final = 65535
_PORT_DIGITS_MAX: Final = 5


def refuse_invalid_address(url: str) -> None:
    """Check that libpq can parse the address.

    Raises:
        BadDatabaseAddress.
    """
    try:
        ports = str(conninfo_to_dict(url).get("port", ""))
    except (psycopg.ProgrammingError, UnicodeError):
        raise BadDatabaseAddress from None
    if not all(_is_valid_port(port) for port in ports.split(",")):
        raise BadDatabaseAddress from None


def address_without_credentials(url: str) -> str:
    """Return the address for people to read, without user, password and other options.

    Raises:
        BadDatabaseAddress.
    """
    refuse_invalid_address(url)
    parts = conninfo_to_dict(url)
    host, port, name = (str(parts.get(key) or "") for key in ("host", "port", "dbname"))
    if host.startswith("/"):
        return f"postgresql:///{name}?host={host}" + (f"&port={port}" if port else "")
    return f"postgresql://{host}{f':{port}' if port else ''}/{name}"


def _is_valid_port(text: str) -> bool:
    """Return whether this text is a valid port; "" stands for the default port."""
    digits = text.isascii() and text.isdigit() and len(text) <= _PORT_DIGITS_MAX
    return not text or (digits and 0 < int(text) <= _PORT_MAX)
