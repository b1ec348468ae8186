"""What the operator sets for a gate: ``gate.toml`` in its data folder, which may be missing.

Every command that is given the folder finds the same database and limits there. A new gate has one
in which each setting is explained and none is set.
"""

import ipaddress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from entrenous.adapters.bank.settings_form import Form, read_form
from entrenous.adapters.index.shard import SHARDS_MAX
from entrenous.adapters.loopback import is_this_machine
from entrenous.model.gate import BadGateSettings, GateLimits, UnreadableGateSettings
from entrenous.model.gate_front import GateFront, Network

FILE: Final = "gate.toml"
FETCH_MINUTES_MIN: Final = 0.05  # three seconds, for who tries it out
FETCH_MINUTES_MAX: Final = 7 * 24 * 60
_URL_CHARS_MAX: Final = 500
SLOW_LOOK_PROCESSES_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class GateSettings:
    """``database`` is ``postgresql://...``, or None for the SQLite file in the folder;
    ``index_shards`` is how many files the index is divided into; every ``fetch_minutes`` a gate
    that runs fetches its sources, 0: never by itself; ``front`` is what strangers meet,
    ``page`` the program and its arguments by which somebody is told of what cannot wait, empty for
    none; so many ``slow_look_processes`` are run beside a gate, or None for as many as suit the
    machine; ``held_key`` is the file of the keys that seal the bytes of uploads, None for the
    gate's own.
    """

    database: str | None = None
    limits: GateLimits = field(default_factory=GateLimits)
    index_shards: int = 1
    fetch_minutes: float = 0.0
    front: GateFront = field(default_factory=GateFront)
    page: tuple[str, ...] = ()
    slow_look_processes: int | None = None
    held_key: Path | None = None

    def __post_init__(self) -> None:
        if not all(word and "\0" not in word for word in self.page):
            raise ValueError("page should be a program and its arguments, none of them empty")
        if self.fetch_minutes and not FETCH_MINUTES_MIN <= self.fetch_minutes <= FETCH_MINUTES_MAX:
            raise ValueError("fetch_minutes should be 0.05 to 10,080, or 0, which never fetches")
        if not 1 <= self.index_shards <= SHARDS_MAX:
            raise ValueError(f"index_shards should be 1 to {SHARDS_MAX}")
        count = self.slow_look_processes
        if count is not None and not 1 <= count <= SLOW_LOOK_PROCESSES_MAX:
            raise ValueError(f"slow_look_processes should be 1 to {SLOW_LOOK_PROCESSES_MAX}")
        if self.held_key is not None and not self.held_key.is_absolute():
            raise ValueError("held_key should be the whole path of a file, from /")


def default_settings() -> bytes:
    """The file that a new gate has."""
    return (files("entrenous.adapters.bank") / "default.toml").read_bytes()


def gate_settings(folder: Path) -> GateSettings:
    """The settings in that folder; raises BadGateSettings."""
    file = folder / FILE
    try:
        toml = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):  # who makes the folder says what is in the way
        return GateSettings()
    except IsADirectoryError:
        raise UnreadableGateSettings(file=file, why="it is a folder") from None
    except PermissionError:
        raise UnreadableGateSettings(file=file, why="this account may not read it") from None
    return read_gate_settings(toml, folder)


def read_gate_settings(toml: bytes, folder: Path = Path()) -> GateSettings:
    """The settings in these bytes; paths count from ``folder``.

    Raises:
        BadGateSettings: no TOML, an unknown name, a value of the wrong kind or out of range. The
            value itself is not repeated: it may hold a password.
    """
    form = read_form(toml, folder / FILE)
    try:
        limits = GateLimits(
            claims_per_hour=form.claims_per_hour,
            claims_of_all=form.claims_of_all,
            held_per_hash=form.held_per_hash,
            look_back_days=form.look_back_days,
            slow_looks=form.slow_looks,
            second_look_hashes=form.second_look_hashes,
            confirmers=form.confirmers,
            page_after_hours=form.page_after_hours,
            free_mb_min=form.free_mb_min,
            shadow=form.shadow,
        )
        return GateSettings(
            database=form.database,
            limits=limits,
            index_shards=form.index_shards,
            fetch_minutes=form.fetch_minutes,
            front=_front(form, folder),
            page=form.page,
            slow_look_processes=form.slow_look_processes,
            held_key=None if form.held_key is None else Path(form.held_key),
        )
    except ValueError as problem:
        raise BadGateSettings(file=folder / FILE, why=problem) from None


def _front(form: Form, folder: Path) -> GateFront:
    return GateFront(
        tls_cert=folder / form.tls_cert if form.tls_cert else None,
        tls_key=folder / form.tls_key if form.tls_key else None,
        trusted_proxies=tuple(_network(text) for text in form.trusted_proxies),
        appeal_url=_appeal_url(form.appeal_url),
        uploads_per_account=form.uploads_per_account,
        refused_per_account=form.refused_per_account,
    )


def _network(text: str) -> Network:
    """An address is a network of one. Everybody's is refused: whoever is trusted says who asked."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        why = "trusted_proxies should be addresses, or networks such as 10.0.0.0/24"
        raise ValueError(why) from None
    if network.prefixlen == 0:
        raise ValueError("trusted_proxies cannot be everybody")
    return network


def _appeal_url(text: str) -> str:
    """A page that the uploader opens: https, or this machine's for a trial."""
    if not text:
        return text
    try:
        address = urlsplit(text)
        host, _ = address.hostname, address.port  # reading it checks that it is one
    except ValueError:
        host, address = None, urlsplit("")
    near = address.scheme == "http" and host is not None and is_this_machine(host)
    is_plain = text.isascii() and text.isprintable() and " " not in text and "@" not in text
    if not (host and (near or address.scheme == "https")) or not is_plain:
        raise ValueError("appeal_url should be an address that begins with https://")
    if len(text) > _URL_CHARS_MAX:
        raise ValueError(f"appeal_url has at most {_URL_CHARS_MAX} characters")
    return text
