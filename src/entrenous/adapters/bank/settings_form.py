"""The form of ``gate.toml``: its names, and what each wants, in words; ranges: settings.py."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from entrenous.model.gate import (
    BadGateSettings,
    GateLimits,
    UnknownGateSetting,
    UnreadableGateSettings,
)
from entrenous.model.gate_front import GateFront

_TOO_LONG_OR_DEEP: Final = "a number is too long, or it is nested too deeply"


class Form(msgspec.Struct, forbid_unknown_fields=True):
    """Every setting, as its default has it."""

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
    uploads_per_account: int = GateFront().uploads_per_account
    refused_per_account: int = GateFront().refused_per_account
    slow_look_processes: int | None = None
    held_key: str | None = None
    shadow: bool = GateLimits().shadow


#: What is no whole number.
_WANTED: Final[Mapping[str, str]] = {
    "database": "the address of a PostgreSQL, postgresql://...",
    "page": 'a list of a program and its arguments, such as ["/usr/local/bin/tell-us"]',
    "fetch_minutes": "a number of minutes",
    "tls_cert": "the path of a PEM file",
    "tls_key": "the path of a PEM file",
    "trusted_proxies": 'a list of addresses or networks, such as ["10.0.0.0/24"]',
    "appeal_url": "an address that begins with https://",
    "held_key": "the whole path of a file, from /",
    "shadow": "true or false",
}


def read_form(toml: bytes, file: Path) -> Form:
    """What these bytes set.

    Raises:
        UnreadableGateSettings: no TOML.
        UnknownGateSetting, BadGateSettings: a name, or a value of the wrong kind, which is not
            repeated: it may hold a password.
    """
    table = _table(toml, file)
    kinds = {one.name: one.type for one in msgspec.structs.fields(Form)}
    for name, value in table.items():
        if name not in kinds:
            raise UnknownGateSetting(file=file, name=name)
        try:
            msgspec.convert(value, kinds[name])
        except msgspec.ValidationError:
            wanted = _WANTED.get(name, "a whole number")
            raise BadGateSettings(file=file, why=f"{name} should be {wanted}") from None
    return msgspec.convert(table, Form)


def _table(toml: bytes, file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(toml.decode())
    except tomllib.TOMLDecodeError as problem:  # names kinds and places, never a value
        why = str(problem)
    except UnicodeDecodeError:
        why = "it is not readable text"
    except (ValueError, RecursionError):  # tomllib lets these through
        why = _TOO_LONG_OR_DEEP
    raise UnreadableGateSettings(file=file, why=why)
