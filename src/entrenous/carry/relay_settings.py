"""The operator's settings, and the TOML file they are read from (docs/spec/relay.md section 11).

A misspelled key or an invalid value is an error that names it. Paths are relative to the file's
folder.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from entrenous.base.errors import Malformed, NotFound, Refused, Unreachable
from entrenous.base.limits import (
    EXPIRY_DAYS_MAX,
    LETTERS_WAITING_MAX,
    MAILBOX_BYTES_MAX,
    PROTOCOL_FLOOR,
    PROTOCOL_NEWEST,
    UNREFERENCED_BLOB_BYTES_MAX,
    UPLOAD_BYTES_PER_TOKEN_MAX,
)
from entrenous.serving.server_process import LogKind

MEGABYTE: Final = 1 << 20  # bytes; the unit of sizes in the settings
# A device has one request waiting, and for a while a second one after its connection has broken.
_LONG_POLLS_PER_MAILBOX_MAX: Final = 8
_LONG_POLLS_PER_NETWORK_MIN: Final = 16  # enough for all devices of a household
_LONG_POLLS_PER_NETWORK_DIVISOR: Final = (
    16  # one network may make at most 1/16 of all waiting requests
)


@dataclass(frozen=True, slots=True)
class LongPollLimits:
    """Maximum numbers of waiting requests: for one mailbox, from one network, and in total.

    ``network`` is None if the relay sees only the address of a web server in front.
    """

    mailbox: int = _LONG_POLLS_PER_MAILBOX_MAX
    network: int | None = None
    total: int = 3072


def long_poll_limits(connections: int, *, behind_proxy: bool) -> LongPollLimits:
    """Return limits that leave a quarter of the connections for requests that do not wait."""
    total = max(connections * 3 // 4, 1)
    network = (
        None
        if behind_proxy
        else max(total // _LONG_POLLS_PER_NETWORK_DIVISOR, _LONG_POLLS_PER_NETWORK_MIN)
    )
    return LongPollLimits(_LONG_POLLS_PER_MAILBOX_MAX, network, total)


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """The limits of what a relay accepts.

    ``keep_days`` is the latest expiry, in days from now. ``letters`` and ``mailbox_bytes`` limit
    the waiting letters and the bytes of blobs in one mailbox. ``coming_bytes`` limits the bytes
    that are uploaded with one send token at the same time. A blob that would leave less than
    ``free_bytes_min`` free on the disk is refused. ``floor`` is the oldest protocol version that
    the relay accepts; ``mailbox_open`` says whether it makes new mailboxes. ``wakes`` limits the
    requests that wait for letters (long polling), and depends on how many files the process may
    open.
    """

    keep_days: int = EXPIRY_DAYS_MAX
    letters: int = LETTERS_WAITING_MAX
    mailbox_bytes: int = MAILBOX_BYTES_MAX
    coming_bytes: int = UPLOAD_BYTES_PER_TOKEN_MAX
    free_bytes_min: int = 0
    floor: int = PROTOCOL_FLOOR
    mailbox_open: bool = True
    wakes: LongPollLimits = LongPollLimits()

    def __post_init__(self) -> None:
        if not 1 <= self.keep_days <= EXPIRY_DAYS_MAX:
            raise ValueError(f"a relay keeps for 1 to {EXPIRY_DAYS_MAX} days")
        if not PROTOCOL_FLOOR <= self.floor <= PROTOCOL_NEWEST:
            raise ValueError("the floor is not a supported protocol")
        if min(self.letters, self.mailbox_bytes, self.coming_bytes) < 1 or self.free_bytes_min < 0:
            raise ValueError("a limit is too small")

    @property
    def unclaimed_blob_bytes_max(self) -> int:
        """The limit on the total size, in bytes, of a mailbox's blobs that no envelope names."""
        return min(UNREFERENCED_BLOB_BYTES_MAX, self.mailbox_bytes)


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """The settings of a relay; ``listen`` and ``metrics_listen`` are ``HOST:PORT``.

    ``database`` is the address of a PostgreSQL database, ``postgresql://...``; if it is None, the
    rows are in the folder ``data``. ``blobs`` is the address of a bucket, ``s3://...``; if it is
    None, the blobs are in the folder ``data``. With
    ``tls_cert`` and ``tls_key`` the relay speaks TLS itself; ``behind_proxy`` says that a web
    server in front does so and has a private connection to the relay.
    """

    data: Path
    listen: str = "127.0.0.1:7801"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    metrics_listen: str | None = None
    log: LogKind = LogKind.ERRORS
    database: str | None = None
    blobs: str | None = None
    limits: RelayLimits = field(default_factory=RelayLimits)

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("a certificate needs its key, and a key its certificate")


class PostgresqlLibraryMissing(Refused):
    """
    The settings name a PostgreSQL database, but the library for it is not installed. The relay did
    not start. To install the library, run this in the folder from which Entrenous was installed:
    .venv/bin/pip install -e '.[postgresql]'
    """


class S3LibraryMissing(Refused):
    """
    The settings name an S3 bucket, but the library for it is not installed. The relay did not
    start. To install the library, run this in the folder from which Entrenous was installed:
    .venv/bin/pip install -e '.[s3]'
    """


class BackupNeedsLocalStorage(Refused):
    """
    This relay stores its database in PostgreSQL or its files in an S3 bucket, and this command
    cannot back them up or restore them. Nothing was done. Use the tools of PostgreSQL and of the
    bucket's provider. After a restore, and before the relay starts, run: entrenous relay restored.
    For the other steps, see docs/operate.md.
    """


class FolderUsedWithOtherDatabase(Refused):
    """
    The relay in {data} used the database {before} until now. Its settings now name {now}, which
    {held}. If the relay used {now}, none of its users could unlock their devices. So nothing was
    started or changed. Correct the setting `database`, or restore a backup of {before} into {now}.
    To use the new database on purpose, run once: entrenous relay run --other-database
    """


class RelayStillRuns(Refused):
    """
    A relay is still running at {listen}, and could still hand out messages that this command has to
    delete. Nothing was changed. Stop every relay that uses this database, then run the command
    again.
    """


class NoSettingsFile(NotFound):
    """
    There are no relay settings at {path}. Nothing was started or changed. To create a file with
    the default settings and comments, which you can then edit: entrenous relay init --out FILE
    """


class RelayNotFound(NotFound):
    """
    There is no relay data in {path}. Nothing was changed. Choose the folder with which the relay
    was started: --data DIR
    """


class UnreadableSettings(Malformed):
    """
    The relay's settings in {path} cannot be read: {why}. Nothing was started or changed. Correct
    the file, or allow the account that runs the relay to read it, or write new settings to another
    file: entrenous relay init --out FILE
    """


class BadRelaySetting(Refused):
    """
    In {path}, {name} should be {wanted}. Nothing was started or changed. Correct the setting, or
    put a # in front of its line to use the default.
    """


class UnknownRelaySetting(Refused):
    """
    In {path}, {name} is not a relay setting. Nothing was started or changed, because a misspelled
    setting would have no effect. Correct the name, or delete the line. To see the names of all
    settings, write a file with the default settings: entrenous relay init --out FILE
    """


class MetricsAddressTaken(Unreachable):
    """
    The relay cannot serve its metrics at {listen}. Perhaps another program uses this address, or
    the relay's own address is the same, or this machine does not have the address, or this account
    is not allowed to use it. The relay did not start. Change metrics_listen in its settings.
    """


_MAILBOX_MB_MAX: Final = MAILBOX_BYTES_MAX // MEGABYTE
_MB_MAX: Final = 2**40
_PORT_DIGITS_MAX: Final = 5
_TOO_LONG_OR_DEEP_REASON: Final = "a number is too long, or its values are nested too deeply"


class _SettingParser(NamedTuple):
    """How a setting is parsed.

    ``wanted`` says in words what is expected. ``read`` parses a value, given the folder of the
    file, and returns None for a wrong value. ``field`` is the field of :class:`RelayLimits` that
    the setting sets, "" if there is none.
    """

    wanted: str
    read: Callable[[Any, Path], object]
    field: str = ""


def _parse_path(value: Any, folder: Path) -> object:
    return folder / value if isinstance(value, str) and value else None


def _parse_flag(value: Any, _: Path) -> object:
    return value if isinstance(value, bool) else None


def _parse_listen(value: Any, _: Path) -> object:
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    digits = port.isascii() and port.isdigit() and len(port) <= _PORT_DIGITS_MAX
    return value if colon and host and digits and int(port) <= 65535 else None


def _parse_log_kind(value: Any, _: Path) -> object:
    # Not ``in LogKind``: a list or a table cannot be hashed.
    return LogKind(value) if value in list(LogKind) else None


def _integer_parser(least: int, most: int, unit: int = 1) -> Callable[[Any, Path], object]:
    def parse_integer(value: Any, _: Path) -> object:
        fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return value * unit if fits else None

    return parse_integer


def _parse_database(value: Any, _: Path) -> object:
    fits = isinstance(value, str) and value.startswith(("postgresql://", "postgres://"))
    return value if fits else None


def _parse_bucket(value: Any, _: Path) -> object:
    fits = isinstance(value, str) and re.fullmatch(r"s3://[a-z0-9.-]+(/[\w./-]*)?", value, re.ASCII)
    return value if fits else None


_EXPECTED_TLS_PAIR: Final = "set too, because a certificate and its key are used together"
_EXPECTED_ADDRESS: Final = "a host and a port, such as 127.0.0.1:7801"
#: The keys of the file that are fields of RelaySettings with the same name.
_SETTING_PARSERS: Final[Mapping[str, _SettingParser]] = {
    "data": _SettingParser("the path of a folder", _parse_path),
    "database": _SettingParser(
        "the address of a PostgreSQL database, postgresql://...", _parse_database
    ),
    "blobs": _SettingParser("the address of a bucket, s3://bucket/prefix", _parse_bucket),
    "listen": _SettingParser(_EXPECTED_ADDRESS, _parse_listen),
    "tls_cert": _SettingParser("the path of a PEM file", _parse_path),
    "tls_key": _SettingParser("the path of a PEM file", _parse_path),
    "behind_proxy": _SettingParser("true or false", _parse_flag),
    "metrics_listen": _SettingParser(_EXPECTED_ADDRESS, _parse_listen),
    "log": _SettingParser('"errors", "text" or "json"', _parse_log_kind),
}
_EXPECTED_PROTOCOLS: Final = f"a protocol from {PROTOCOL_FLOOR} to {PROTOCOL_NEWEST}"
_EXPECTED_LETTERS: Final = f"1 to {LETTERS_WAITING_MAX} letters"
_EXPECTED_MEGABYTES: Final = f"1 to {_MAILBOX_MB_MAX} megabytes"
#: The keys of the file that set fields of RelayLimits, some of which have other names.
_LIMIT_PARSERS: Final[Mapping[str, _SettingParser]] = {
    "floor": _SettingParser(
        _EXPECTED_PROTOCOLS, _integer_parser(PROTOCOL_FLOOR, PROTOCOL_NEWEST), "floor"
    ),
    "keep_days": _SettingParser(
        f"1 to {EXPIRY_DAYS_MAX} days", _integer_parser(1, EXPIRY_DAYS_MAX), "keep_days"
    ),
    "mailbox_open": _SettingParser("true or false", _parse_flag, "mailbox_open"),
    "quota_letters": _SettingParser(
        _EXPECTED_LETTERS, _integer_parser(1, LETTERS_WAITING_MAX), "letters"
    ),
    "quota_mailbox_mb": _SettingParser(
        _EXPECTED_MEGABYTES, _integer_parser(1, _MAILBOX_MB_MAX, MEGABYTE), "mailbox_bytes"
    ),
    "quota_coming_mb": _SettingParser(
        "1 megabyte or more", _integer_parser(1, _MB_MAX, MEGABYTE), "coming_bytes"
    ),
    "free_mb_min": _SettingParser(
        "0 megabytes or more", _integer_parser(0, _MB_MAX, MEGABYTE), "free_bytes_min"
    ),
}
_ALL_PARSERS: Final = {**_SETTING_PARSERS, **_LIMIT_PARSERS}
_DEFAULT_FREE_MB_MIN: Final = 1000  # megabytes; the default for a relay with a settings file


def read_relay_settings(path: Path) -> RelaySettings:
    """Read the settings in a file.

    Raises:
        NoSettingsFile: there is no such file.
        UnreadableSettings: it is not TOML, or cannot be read.
        UnknownRelaySetting, BadRelaySetting: a key is unknown, or its value is wrong.
    """
    table = _parse_settings_file(path)
    for name in table:
        if name not in _ALL_PARSERS:
            raise UnknownRelaySetting(path=path, name=name)
    given = {name: _read_setting(path, name, table) for name in _SETTING_PARSERS if name in table}
    if ("tls_cert" in given) != ("tls_key" in given):
        missing = "tls_key" if "tls_cert" in given else "tls_cert"
        raise BadRelaySetting(path=path, name=missing, wanted=_EXPECTED_TLS_PAIR)
    settings = RelaySettings(**{"data": path.parent / "relay-data", **given})
    return replace(settings, limits=_read_limits(path, table))


def _read_limits(path: Path, table: Mapping[str, Any]) -> RelayLimits:
    given = {
        key.field: _read_setting(path, name, table)
        for name, key in _LIMIT_PARSERS.items()
        if name in table
    }
    defaults: dict[str, Any] = {"free_bytes_min": _DEFAULT_FREE_MB_MIN * MEGABYTE}
    return RelayLimits(**{**defaults, **given})


def _read_setting(path: Path, name: str, table: Mapping[str, Any]) -> Any:
    key = _ALL_PARSERS[name]
    value = key.read(table[name], path.parent)
    if value is None:
        raise BadRelaySetting(path=path, name=name, wanted=key.wanted)
    return value


def _parse_settings_file(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NoSettingsFile(path=path) from None
    except tomllib.TOMLDecodeError as why:
        raise UnreadableSettings(path=path, why=why) from None
    except (OSError, UnicodeDecodeError):
        raise UnreadableSettings(path=path, why="it is not readable text") from None
    except (ValueError, RecursionError):  # tomllib does not wrap these
        raise UnreadableSettings(path=path, why=_TOO_LONG_OR_DEEP_REASON) from None
