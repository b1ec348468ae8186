"""Strict JSON: exactly the named members; anything else is NotUnderstood."""

from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec

from entrenous.craft.wire.b64u import b64u, unb64u
from entrenous.model.relay_problem import NotUnderstood

Shape = TypeVar("Shape")
Noun = TypeVar("Noun")
Seconds = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]  # until the year 9999
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]  # what JSON numbers hold exactly


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly these members, no others."""


def to_json(shape: Strict) -> bytes:
    """The bytes of one body."""
    return msgspec.json.encode(shape)


def from_json(kind: type[Shape], untrusted_body: bytes) -> Shape:
    """One body; raises NotUnderstood."""
    try:
        return msgspec.json.decode(untrusted_body, type=kind)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise NotUnderstood from None


def made(kind: type[Noun], *fields: Any) -> Noun:
    """The noun; raises NotUnderstood if there can be none of these fields."""
    try:
        return kind(*fields)
    except ValueError:
        raise NotUnderstood from None


def maybe_b64u(data: bytes | None) -> str | None:
    """Bytes as text, or null."""
    return None if data is None else b64u(data)


def maybe_bytes(untrusted_text: str | None) -> bytes | None:
    """Text as bytes, or null."""
    return None if untrusted_text is None else unb64u(untrusted_text)


def to_seconds(when: datetime) -> int:
    """Whole seconds since 1970 UTC."""
    return int(when.timestamp())


def maybe_seconds(when: datetime | None) -> int | None:
    """Whole seconds since 1970 UTC, or null."""
    return None if when is None else to_seconds(when)


def to_moment(seconds: int) -> datetime:
    """That moment, in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def maybe_moment(seconds: int | None) -> datetime | None:
    """That moment, in UTC, or None."""
    return None if seconds is None else to_moment(seconds)
