"""The operator's settings, from the file ``gate.toml`` in the gate's data folder, if it exists."""

import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.resources import files
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from entrenous.base.environment import is_loopback
from entrenous.stop.index.base_file import SHARDS_MAX
from entrenous.stop.nouns import (
    BadGateSettings,
    GateLimits,
    UnknownGateSetting,
    UnreadableGateSettings,
)

IpNetwork = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class GateHttpSettings:
    """Settings of the gate's HTTP server, which the public can reach (docs/spec/gate.md sections
    6.2 and 6.3).

    With ``tls_cert`` and ``tls_key`` the gate speaks TLS itself. A forwarded client address is
    believed only if one of ``trusted_proxies`` sent it. ``appeal_url`` is the page for appeals. In
    one hour of the clock, an account may send ``uploads_per_account`` uploads. It may send no more
    once ``refused_per_account`` of them have been refused. 0 means no limit.
    """

    tls_cert: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[IpNetwork, ...] = ()
    appeal_url: str = ""
    uploads_per_account: int = 200
    refused_per_account: int = 20

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("set both tls_cert and tls_key, or neither of them")
        if min(self.uploads_per_account, self.refused_per_account) < 0:
            raise ValueError(
                "uploads_per_account and refused_per_account should be 0 (no limit) or more"
            )


_TOO_LONG_OR_DEEP_REASON: Final = "a number is too long, or values are nested too deeply"


class SettingsForm(msgspec.Struct, forbid_unknown_fields=True):
    """Every setting in ``gate.toml``, with its default."""

    database: str | None = None
    claims_per_hour: int = GateLimits().claims_per_hour
    claims_of_all: int = GateLimits().claims_of_all
    held_per_hash: int = GateLimits().held_per_hash
    look_back_days: int = GateLimits().look_back_days
    slow_looks: int = GateLimits().slow_looks
    second_look_hashes: int = GateLimits().second_look_hashes
    confirmers: int = GateLimits().confirmers
    page: tuple[str, ...] = ()
    page_after_hours: int = GateLimits().page_after_hours
    free_mb_min: int = GateLimits().free_mb_min
    index_shards: int = 1
    fetch_minutes: float = 0.0
    tls_cert: str | None = None
    tls_key: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    appeal_url: str = ""
    uploads_per_account: int = GateHttpSettings().uploads_per_account
    refused_per_account: int = GateHttpSettings().refused_per_account
    slow_look_processes: int | None = None
    held_key: str | None = None
    shadow: bool = GateLimits().shadow


#: The expected values, in words, of the settings that are not whole numbers.
_EXPECTED_VALUES_IN_WORDS: Final[Mapping[str, str]] = {
    "database": "the address of a PostgreSQL database, postgresql://...",
    "page": 'a list of a program and its arguments, such as ["/usr/local/bin/tell-us"]',
    "fetch_minutes": "a number of minutes",
    "tls_cert": "the path of a PEM file",
    "tls_key": "the path of a PEM file",
    "trusted_proxies": 'a list of addresses or networks, such as ["10.0.0.0/24"]',
    "appeal_url": "an address that begins with https://",
    "held_key": "the full path of a file, beginning with /",
    "shadow": "true or false",
}


def parse_settings_form(toml: bytes, file: Path) -> SettingsForm:
    """Parse settings.

    Raises:
        UnreadableGateSettings: this is not TOML.
        UnknownGateSetting: there is no setting of that name.
        BadGateSettings: a value is of the wrong kind. The message does not repeat it, since it may
            contain a password.
    """
    table = _parse_toml(toml, file)
    kinds = {one.name: one.type for one in msgspec.structs.fields(SettingsForm)}
    for name, value in table.items():
        if name not in kinds:
            raise UnknownGateSetting(file=file, name=name)
        try:
            msgspec.convert(value, kinds[name])
        except msgspec.ValidationError:
            wanted = _EXPECTED_VALUES_IN_WORDS.get(name, "a whole number")
            raise BadGateSettings(file=file, why=f"{name} should be {wanted}") from None
    return msgspec.convert(table, SettingsForm)


def _parse_toml(toml: bytes, file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(toml.decode())
    except tomllib.TOMLDecodeError as problem:  # the text of this error contains no values
        why = str(problem)
    except UnicodeDecodeError:
        why = "it is not UTF-8 text"
    except (ValueError, RecursionError):  # tomllib lets these escape
        why = _TOO_LONG_OR_DEEP_REASON
    raise UnreadableGateSettings(file=file, why=why)


SETTINGS_FILE: Final = "gate.toml"
FETCH_MINUTES_MIN: Final = 0.05  # three seconds, for trying it out
FETCH_MINUTES_MAX: Final = 7 * 24 * 60
_URL_CHARS_MAX: Final = 500
SLOW_LOOK_PROCESSES_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class GateSettings:
    """The settings of a gate.

    ``database`` is ``postgresql://...``, or None for the SQLite file in the folder.
    ``index_shards`` is the number of files of the index. ``fetch_minutes`` is the interval at which
    a running gate fetches its sources; 0 means never. ``page`` is the alert program with its
    arguments, empty if there is none. ``slow_look_processes`` is the number of processes for
    deferred scans; None chooses it by the number of processors. ``held_key`` is the file with the
    keys that encrypt the bytes of uploads. If it is None, a gate with SQLite uses its own key file,
    and a gate with PostgreSQL encrypts nothing.
    """

    database: str | None = None
    limits: GateLimits = field(default_factory=GateLimits)
    index_shards: int = 1
    fetch_minutes: float = 0.0
    http: GateHttpSettings = field(default_factory=GateHttpSettings)
    page: tuple[str, ...] = ()
    slow_look_processes: int | None = None
    held_key: Path | None = None

    def __post_init__(self) -> None:
        if not all(word and "\0" not in word for word in self.page):
            raise ValueError("page should be a program and its arguments, none of them empty")
        if self.fetch_minutes and not FETCH_MINUTES_MIN <= self.fetch_minutes <= FETCH_MINUTES_MAX:
            raise ValueError("fetch_minutes should be from 0.05 to 10,080, or 0 to never fetch")
        if not 1 <= self.index_shards <= SHARDS_MAX:
            raise ValueError(f"index_shards should be 1 to {SHARDS_MAX}")
        count = self.slow_look_processes
        if count is not None and not 1 <= count <= SLOW_LOOK_PROCESSES_MAX:
            raise ValueError(f"slow_look_processes should be 1 to {SLOW_LOOK_PROCESSES_MAX}")
        if self.held_key is not None and not self.held_key.is_absolute():
            raise ValueError("held_key should be the full path of a file, beginning with /")


def default_gate_toml() -> bytes:
    """Return the ``gate.toml`` of a new gate."""
    return (files("entrenous.stop") / "gate_default.toml").read_bytes()


def read_gate_settings(folder: Path) -> GateSettings:
    """Read the settings in that folder; raises BadGateSettings."""
    file = folder / SETTINGS_FILE
    try:
        toml = file.read_bytes()
    except (
        FileNotFoundError,
        NotADirectoryError,
    ):  # an unusable folder is reported when the file is created
        return GateSettings()
    except IsADirectoryError:
        raise UnreadableGateSettings(file=file, why="it is a folder") from None
    except PermissionError:
        raise UnreadableGateSettings(
            file=file, why="this account is not allowed to read it"
        ) from None
    return parse_gate_settings(toml, folder)


def parse_gate_settings(toml: bytes, folder: Path = Path()) -> GateSettings:
    """Parse and check settings; paths are relative to ``folder``.

    Raises:
        BadGateSettings: this is not TOML, a name is unknown, or a value is of the wrong kind or out
            of range. The message does not repeat the value, since it may contain a password.
    """
    form = parse_settings_form(toml, folder / SETTINGS_FILE)
    try:
        return GateSettings(
            database=form.database,
            limits=GateLimits(**{one.name: getattr(form, one.name) for one in fields(GateLimits)}),
            index_shards=form.index_shards,
            fetch_minutes=form.fetch_minutes,
            http=_http_settings(form, folder),
            page=form.page,
            slow_look_processes=form.slow_look_processes,
            held_key=None if form.held_key is None else Path(form.held_key),
        )
    except ValueError as problem:
        raise BadGateSettings(file=folder / SETTINGS_FILE, why=problem) from None


def _http_settings(form: SettingsForm, folder: Path) -> GateHttpSettings:
    return GateHttpSettings(
        tls_cert=folder / form.tls_cert if form.tls_cert else None,
        tls_key=folder / form.tls_key if form.tls_key else None,
        trusted_proxies=tuple(_parse_network(text) for text in form.trusted_proxies),
        appeal_url=_check_appeal_url(form.appeal_url),
        uploads_per_account=form.uploads_per_account,
        refused_per_account=form.refused_per_account,
    )


def _parse_network(text: str) -> IpNetwork:
    """Parse an address or a network; raises ValueError.

    A network of all addresses, such as 0.0.0.0/0, is refused: with it, every client could state a
    false address.
    """
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        why = "trusted_proxies should be addresses, or networks such as 10.0.0.0/24"
        raise ValueError(why) from None
    if network.prefixlen == 0:
        raise ValueError("trusted_proxies must not be a network that contains every address")
    return network


def _check_appeal_url(text: str) -> str:
    """Check the address of the appeal page: https, or http on this machine for a trial.

    Raises ValueError.
    """
    if not text:
        return text
    try:
        address = urlsplit(text)
        host, _ = address.hostname, address.port  # reading the port checks it
    except ValueError:
        host, address = None, urlsplit("")
    is_local = address.scheme == "http" and host is not None and is_loopback(host)
    is_plain = text.isascii() and text.isprintable() and " " not in text and "@" not in text
    if not (host and (is_local or address.scheme == "https")) or not is_plain:
        raise ValueError("appeal_url should be an address that begins with https://")
    if len(text) > _URL_CHARS_MAX:
        raise ValueError(f"appeal_url has at most {_URL_CHARS_MAX} characters")
    return text
