"""The program's environment: settings, the time, and random bytes.

Settings are read from variables that begin with ENTRENOUS_.

Clock and RandomSource are protocols, although production has one implementation of each, because
tests replace both. The errors about a wrong configuration are here as well.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from entrenous.base.errors import Refused, Unreachable
from entrenous.base.limits import DEFAULT_UNDO_WINDOW_S, REQUEST_PAUSE_S_MAX, UNDO_WINDOW_S_MAX


class Clock(Protocol):
    """Gives the time. Tests use a clock that they can stop and set forward."""

    def now(self) -> datetime:
        """Return the current time in UTC, as an aware datetime."""


class RandomSource(Protocol):
    """Gives random bytes. In simulations, the bytes are generated from a seed."""

    def token(self, size: int) -> bytes:
        """Return ``size`` unpredictable bytes."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A SOCKS5 proxy that resolves names itself, as Tor does."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class BadSetting(Refused):
    """
    The setting {name} should be {wanted}. Nothing was changed. Correct the setting or remove it,
    then try again.
    """


class AddressTaken(Unreachable):
    """
    The server cannot listen at {listen}. Either another program uses this address, or this is not a
    valid address of this machine, or this account is not allowed to use it. Nothing was changed.
    Try again. If the command has the option --listen, you can choose another address; --listen
    127.0.0.1:0 takes any free port.
    """


class UnusableFolder(Refused):
    """
    {path} cannot be used: permissions do not allow it, or there is a file where a folder is needed.
    Nothing was stored there. Choose a folder of your own, or use the account that owns this one.
    """


class ReadOnlyDisk(Unreachable):
    """
    The disk that contains {path} is read-only at the moment, so nothing could be stored or deleted
    there. Some systems make a disk read-only after an error, and some memory cards have a switch
    for it. Make the disk writable again, then try again.
    """


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one device.

    ``home`` is the folder of the vault. ``patience_s`` is how many seconds a command waits for a
    relay that does not answer; unsent letters stay in the outbox. ``receipts`` is False if this
    device sends receipts to nobody (otherwise, :attr:`.Contact.gets_receipts` decides).
    ``relay_ca`` is a file of certificates (PEM) to trust for relays, in place of the public
    authorities. ``pause_s`` is the longest random pause, in seconds, between this device's own
    requests and what it sends to others. ``proxy`` is used for all connections that leave this
    machine. ``ca_bundle`` is a file of certificates (PEM) to trust for public stamp authorities, in
    place of certifi's. ``stamp_authorities`` is a table of authorities that replaces this
    release's. After ``lock_after_s`` seconds without use the app locks. A message that the app
    sends can be undone for ``undo_s`` seconds.
    """

    home: Path
    patience_s: float = 20.0
    receipts: bool = True
    relay_ca: Path | None = None
    pause_s: float = REQUEST_PAUSE_S_MAX
    proxy: Proxy | None = None
    ca_bundle: Path | None = None
    stamp_authorities: Path | None = None
    lock_after_s: float = 120.0
    undo_s: int = DEFAULT_UNDO_WINDOW_S


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from variables that begin with ENTRENOUS_; missing ones have defaults.

    A proxy that was chosen in the app is stored in the device's folder. The variable
    ENTRENOUS_PROXY takes precedence over it.

    Raises:
        BadSetting: a setting is not valid, or a proxy is stored but cannot be read. A request
            without that proxy could reveal this device's IP address.
    """
    named = environment.get("ENTRENOUS_HOME")
    home = Path(named) if named else _default_data_folder()
    return Settings(
        home=home,
        patience_s=_parse_seconds(
            "ENTRENOUS_PATIENCE", environment.get("ENTRENOUS_PATIENCE", "20")
        ),
        receipts=_parse_on_off("ENTRENOUS_RECEIPTS", environment.get("ENTRENOUS_RECEIPTS", "on")),
        relay_ca=_optional_path(environment, "ENTRENOUS_RELAY_CA"),
        pause_s=_parse_seconds(
            "ENTRENOUS_PAUSE", environment.get("ENTRENOUS_PAUSE", str(REQUEST_PAUSE_S_MAX))
        ),
        proxy=_read_proxy_setting(home, environment.get("ENTRENOUS_PROXY", "")),
        ca_bundle=_optional_path(environment, "ENTRENOUS_CA_BUNDLE"),
        stamp_authorities=_optional_path(environment, "ENTRENOUS_STAMP_AUTHORITIES"),
        lock_after_s=_parse_seconds(
            "ENTRENOUS_LOCKAFTER", environment.get("ENTRENOUS_LOCKAFTER", "120")
        ),
        undo_s=_parse_undo_window(environment.get("ENTRENOUS_UNDO", str(DEFAULT_UNDO_WINDOW_S))),
    )


def _optional_path(environment: Mapping[str, str], name: str) -> Path | None:
    written = environment.get(name)
    return Path(written) if written else None


def _parse_seconds(name: str, written: str) -> float:
    try:
        seconds = float(written)
    except ValueError:
        raise BadSetting(name=name, wanted="a number of seconds") from None
    if not 0 <= seconds < float("inf"):
        raise BadSetting(name=name, wanted="a number of seconds")
    return seconds


def _parse_undo_window(written: str) -> int:
    seconds = _parse_seconds("ENTRENOUS_UNDO", written)
    if seconds > UNDO_WINDOW_S_MAX:
        raise BadSetting(name="ENTRENOUS_UNDO", wanted="a number of seconds")
    return round(seconds)


PROXY_FILE_NAME: Final = "proxy"


def _read_proxy_setting(home: Path, written: str) -> Proxy | None:
    if written:
        return parse_proxy("ENTRENOUS_PROXY", written)
    place = home / PROXY_FILE_NAME
    try:
        stored = place.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError):
        raise BadSetting(name=place, wanted=_PROXY_ADDRESS_FORM_IN_WORDS) from None
    return parse_proxy(str(place), stored)


_PROXY_ADDRESS_FORM_IN_WORDS: Final = "socks5h://HOST:PORT, such as socks5h://127.0.0.1:9050"


def parse_proxy(name: str, written: str) -> Proxy | None:
    """Parse a proxy's address; return None if it is empty. Raises BadSetting.

    Only "socks5h" is accepted, since with "socks5" some programs resolve names themselves. The
    address must not contain credentials, because this program generates them.
    """
    if not written:
        return None
    try:
        url = urlsplit(written)
        host, port = url.hostname, url.port
    except ValueError:
        host = port = None
    if not host or not port or written.lower() != f"socks5h://{Proxy(host, port)}":
        raise BadSetting(name=name, wanted=_PROXY_ADDRESS_FORM_IN_WORDS)
    return Proxy(host, port)


def _default_data_folder() -> Path:
    import platformdirs  # noqa: PLC0415 - a homeserver that loads a connector may lack this package

    return platformdirs.user_data_path("entrenous", appauthor=False)


def _parse_on_off(name: str, written: str) -> bool:
    if written not in {"on", "off"}:
        raise BadSetting(name=name, wanted="on or off")
    return written == "on"


def is_loopback(host: str) -> bool:
    """Return whether a URL's host (without brackets) is a loopback address or "localhost".

    Any other name may lead anywhere (RFC 6761 section 6.3). This check is narrow, because plain
    HTTP is allowed to the hosts that it accepts. ``url_leads_to_this_machine`` in wire/text.py is
    broad, because the addresses that it recognises are refused.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_PR_SET_DUMPABLE: Final = 4  # option number in linux/prctl.h


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 -- the only place that reads the system's clock


class SystemRandomSource:
    """Takes random bytes from the operating system."""

    def token(self, size: int) -> bytes:
        return secrets.token_bytes(size)


def hide_memory() -> None:
    """Hide this process's memory from core dumps and from other processes of this account.

    The limit on core dumps does not apply if the kernel pipes them to a program (core(5)). So on
    Linux this process stops being dumpable too (PR_SET_DUMPABLE in prctl(2)). It is then never
    dumped, and only root can trace it or read its memory, environment and open files in /proc. A
    forked process inherits both protections. An executed program inherits only the limit, and has
    to call this again.
    """
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 -- does not exist on Windows

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 -- needed on Linux only

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
