"""What can be set: one frozen dataclass, from ENTRENOUS_ variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from entrenous.model.setting import BadSetting


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one device.

    ``home`` is the folder of its vault; ``patience_s`` how long a command waits for a relay that
    does not answer before it gives up (what it was sending stays in the outbox); ``receipts``
    whether people whose keys were compared are told what became of what they sent; ``relay_ca`` the
    certificates (PEM) that relays prove themselves by, instead of the public authorities'.
    """

    home: Path
    patience_s: float = 20.0
    receipts: bool = True
    relay_ca: Path | None = None


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from variables that begin with ENTRENOUS_; the rest are defaults."""
    home = environment.get("ENTRENOUS_HOME")
    relay_ca = environment.get("ENTRENOUS_RELAY_CA")
    return Settings(
        home=Path(home) if home else platformdirs.user_data_path("entrenous", appauthor=False),
        patience_s=_seconds(environment.get("ENTRENOUS_PATIENCE", "20")),
        receipts=_switch("ENTRENOUS_RECEIPTS", environment.get("ENTRENOUS_RECEIPTS", "on")),
        relay_ca=Path(relay_ca) if relay_ca else None,
    )


def _seconds(written: str) -> float:
    try:
        seconds = float(written)
    except ValueError:
        raise BadSetting(name="ENTRENOUS_PATIENCE", wanted="a number of seconds") from None
    if not 0 <= seconds < float("inf"):
        raise BadSetting(name="ENTRENOUS_PATIENCE", wanted="a number of seconds")
    return seconds


def _switch(name: str, written: str) -> bool:
    if written not in {"on", "off"}:
        raise BadSetting(name=name, wanted="on or off")
    return written == "on"
