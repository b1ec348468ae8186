"""What can be set: one frozen dataclass, from ENTRENOUS_ variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from entrenous.model.setting import BadSetting, Proxy
from entrenous.spec import PAUSE_S


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one device.

    ``home`` is the folder of its vault; ``patience_s`` how long a command waits for a relay that
    does not answer before it gives up (what it was sending stays in the outbox); ``receipts``
    whether people whose keys were compared are told what became of what they sent; ``relay_ca`` the
    certificates (PEM) that relays prove themselves by, instead of the public authorities';
    ``pause_s`` the longest random pause between this device's own errands and what it sends to
    others; ``proxy`` what everything beyond this machine is asked through.
    """

    home: Path
    patience_s: float = 20.0
    receipts: bool = True
    relay_ca: Path | None = None
    pause_s: float = PAUSE_S
    proxy: Proxy | None = None


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from variables that begin with ENTRENOUS_; the rest are defaults."""
    home = environment.get("ENTRENOUS_HOME")
    relay_ca = environment.get("ENTRENOUS_RELAY_CA")
    return Settings(
        home=Path(home) if home else platformdirs.user_data_path("entrenous", appauthor=False),
        patience_s=_seconds("ENTRENOUS_PATIENCE", environment.get("ENTRENOUS_PATIENCE", "20")),
        receipts=_switch("ENTRENOUS_RECEIPTS", environment.get("ENTRENOUS_RECEIPTS", "on")),
        relay_ca=Path(relay_ca) if relay_ca else None,
        pause_s=_seconds("ENTRENOUS_PAUSE", environment.get("ENTRENOUS_PAUSE", str(PAUSE_S))),
        proxy=_proxy("ENTRENOUS_PROXY", environment.get("ENTRENOUS_PROXY", "")),
    )


def _seconds(name: str, written: str) -> float:
    try:
        seconds = float(written)
    except ValueError:
        raise BadSetting(name=name, wanted="a number of seconds") from None
    if not 0 <= seconds < float("inf"):
        raise BadSetting(name=name, wanted="a number of seconds")
    return seconds


def _proxy(name: str, written: str) -> Proxy | None:
    """None if nothing is written. Only "socks5h" is taken: of "socks5" some programs take that they
    look names up themselves. Credentials are drawn, so none may be written.
    """
    if not written:
        return None
    try:
        told = urlsplit(written)
        host, port = told.hostname, told.port
    except ValueError:
        host = port = None
    if not host or not port or written.lower() != f"socks5h://{Proxy(host, port)}":
        raise BadSetting(name=name, wanted="socks5h://HOST:PORT, as socks5h://127.0.0.1:9050")
    return Proxy(host, port)


def _switch(name: str, written: str) -> bool:
    if written not in {"on", "off"}:
        raise BadSetting(name=name, wanted="on or off")
    return written == "on"
