"""Read a relay's TOML file; every key is explained in faces/cli/relay/default.toml.

Strict: what is spelled wrongly or makes no sense is named, never skipped. Paths count from the
folder that the file lies in.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from entrenous.model.relay_settings import (
    MEGABYTE,
    BadRelaySetting,
    Limits,
    LogKind,
    NoSettingsFile,
    RelaySettings,
    UnknownRelaySetting,
    UnreadableSettings,
)
from entrenous.spec import (
    EXPIRY_DAYS_MAX,
    LETTERS_WAITING_MAX,
    MAILBOX_BYTES_MAX,
    PROTOCOL_FLOOR,
    PROTOCOL_NEWEST,
)

_MAILBOX_MB_MAX: Final = MAILBOX_BYTES_MAX // MEGABYTE
_MB_MAX: Final = 2**40
_PORT_DIGITS: Final = 5
_TOO_LONG_OR_DEEP: Final = "a number is too long, or it is nested too deeply"


class _Key(NamedTuple):
    """What a setting wants, in words, and how its value is read; None if it is not that."""

    wanted: str
    read: Callable[[Any, Path], object]


def _text(value: Any, _: Path) -> object:
    return value if isinstance(value, str) and value else None


def _path(value: Any, folder: Path) -> object:
    return folder / value if isinstance(value, str) and value else None


def _flag(value: Any, _: Path) -> object:
    return value if isinstance(value, bool) else None


def _listen(value: Any, _: Path) -> object:
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    digits = port.isascii() and port.isdigit() and len(port) <= _PORT_DIGITS
    return value if colon and host and digits and int(port) <= 65535 else None


def _log(value: Any, _: Path) -> object:
    return LogKind(value) if value in list(LogKind) else None  # a list or table has no hash


def _count(least: int, most: int, unit: int = 1) -> Callable[[Any, Path], object]:
    def read(value: Any, _: Path) -> object:
        fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return value * unit if fits else None

    return read


def _database(value: Any, _: Path) -> object:
    fits = isinstance(value, str) and value.startswith(("postgresql://", "postgres://"))
    return value if fits else None


def _bucket(value: Any, _: Path) -> object:
    fits = isinstance(value, str) and re.fullmatch(r"s3://[a-z0-9.-]+(/[\w./-]*)?", value, re.ASCII)
    return value if fits else None


_ADDRESS: Final = "a host and a port, such as 127.0.0.1:7801"
#: The file's keys that are fields of RelaySettings under the same name.
_SETTINGS: Final[Mapping[str, _Key]] = {
    "data": _Key("the path of a folder", _path),
    "database": _Key("the address of a PostgreSQL, postgresql://...", _database),
    "blobs": _Key("the address of a bucket, s3://bucket/prefix", _bucket),
    "listen": _Key(_ADDRESS, _listen),
    "tls_cert": _Key("the path of a PEM file", _path),
    "tls_key": _Key("the path of a PEM file", _path),
    "behind_proxy": _Key("true or false", _flag),
    "metrics_listen": _Key(_ADDRESS, _listen),
    "log": _Key('"errors", "text" or "json"', _log),
}
#: Those that are fields of Limits, by their names there.
_LIMITS: Final[Mapping[str, tuple[str, _Key]]] = {
    "floor": (
        "floor",
        _Key(
            f"a protocol from {PROTOCOL_FLOOR} to {PROTOCOL_NEWEST}",
            _count(PROTOCOL_FLOOR, PROTOCOL_NEWEST),
        ),
    ),
    "keep_days": (
        "keep_days",
        _Key(f"1 to {EXPIRY_DAYS_MAX} days", _count(1, EXPIRY_DAYS_MAX)),
    ),
    "mailbox_open": ("mailbox_open", _Key("true or false", _flag)),
    "quota_letters": (
        "letters",
        _Key(f"1 to {LETTERS_WAITING_MAX} letters", _count(1, LETTERS_WAITING_MAX)),
    ),
    "quota_mailbox_mb": (
        "mailbox_bytes",
        _Key(f"1 to {_MAILBOX_MB_MAX} megabytes", _count(1, _MAILBOX_MB_MAX, MEGABYTE)),
    ),
    "quota_coming_mb": (
        "coming_bytes",
        _Key("1 megabyte or more", _count(1, _MB_MAX, MEGABYTE)),
    ),
    "free_mb_min": (
        "free_bytes_min",
        _Key("0 megabytes or more", _count(0, _MB_MAX, MEGABYTE)),
    ),
}
_SERVED_FREE_MB: Final = 1000  # of a relay that has a settings file, unless that says otherwise


def read_relay_settings(path: Path) -> RelaySettings:
    """The settings in a file.

    Raises:
        NoSettingsFile: there is none.
        UnreadableSettings: it is no TOML, or may not be read.
        UnknownRelaySetting, BadRelaySetting: a key, or its value.
    """
    table = _table(path)
    for name in table:
        if name not in _SETTINGS and name not in _LIMITS:
            raise UnknownRelaySetting(path=path, name=name)
    given = {name: _read(path, name, table) for name in _SETTINGS if name in table}
    if ("tls_cert" in given) != ("tls_key" in given):
        missing = "tls_key" if "tls_cert" in given else "tls_cert"
        raise BadRelaySetting(path=path, name=missing, wanted="set too: a certificate and its key")
    settings = RelaySettings(**{"data": path.parent / "relay-data", **given})
    return replace(settings, limits=_limits(path, table))


def _limits(path: Path, table: Mapping[str, Any]) -> Limits:
    given = {_LIMITS[name][0]: _read(path, name, table) for name in _LIMITS if name in table}
    defaults: dict[str, Any] = {"free_bytes_min": _SERVED_FREE_MB * MEGABYTE}
    return Limits(**{**defaults, **given})


def _read(path: Path, name: str, table: Mapping[str, Any]) -> Any:
    key = _SETTINGS[name] if name in _SETTINGS else _LIMITS[name][1]
    value = key.read(table[name], path.parent)
    if value is None:
        raise BadRelaySetting(path=path, name=name, wanted=key.wanted)
    return value


def _table(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NoSettingsFile(path=path) from None
    except tomllib.TOMLDecodeError as why:
        raise UnreadableSettings(path=path, why=why) from None
    except (OSError, UnicodeDecodeError):
        raise UnreadableSettings(path=path, why="it is not readable text") from None
    except (ValueError, RecursionError):  # tomllib lets these through
        raise UnreadableSettings(path=path, why=_TOO_LONG_OR_DEEP) from None
