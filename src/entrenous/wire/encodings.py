"""Base64url without padding (RFC 4648), canonical JSON (RFC 8785), strict JSON, and times as text.

In base64url, in canonical JSON and as a time, each value has exactly one valid form. Objects in
strict JSON must have exactly the named members; anything else raises NotUnderstood.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

import msgspec
import pybase64

from entrenous.base.errors import NotUnderstood

_TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


def write_time(moment: datetime) -> str:
    """Format an aware UTC time with microseconds, e.g. ``2026-11-25T13:00:00.000000Z``."""
    if moment.utcoffset() != timedelta(0):
        raise ValueError("times must be aware, in UTC")
    return moment.strftime(_TIME_FORMAT)


def read_time(untrusted_text: object) -> datetime:
    """Parse a time in exactly the form of :func:`write_time`; raises ValueError."""
    if not isinstance(untrusted_text, str):
        raise ValueError("a time must be text")  # noqa: TRY004 -- all failures are ValueErrors
    moment = datetime.strptime(untrusted_text, _TIME_FORMAT).replace(tzinfo=UTC)
    if write_time(moment) != untrusted_text:
        raise ValueError("a time is not in its canonical form")
    return moment


_URL_SAFE_CHARS: Final = b"-_"  # the two characters that differ from plain base64
# Both tuples are indexed by the length of the text modulo 4, which is never 1 in valid text. The
# first has the padding that is left out. The second has the valid last characters: those whose
# unused bits are zero (4 bits if the last group has one byte, 2 bits if it has two).
_BASE64_PADDING: Final = ("", "", "==", "=")
_VALID_LAST_CHARS: Final = ("", "", "AQgw", "AEIMQUYcgkosw048")


def to_base64url(data: bytes) -> str:
    return pybase64.b64encode_as_string(data, _URL_SAFE_CHARS).rstrip("=")


def from_base64url(untrusted_text: str, size: int | None = None) -> bytes:
    """Decode base64url.

    Raises:
        NotUnderstood: the text is not base64url, is not in the one valid form, or does not encode
            ``size`` bytes.
    """
    if "+" in untrusted_text or "/" in untrusted_text or "=" in untrusted_text:
        raise NotUnderstood
    rest = len(untrusted_text) % 4
    if rest and untrusted_text[-1] not in _VALID_LAST_CHARS[rest]:
        raise NotUnderstood
    try:
        data = pybase64.b64decode(
            untrusted_text + _BASE64_PADDING[rest], _URL_SAFE_CHARS, validate=True
        )
    except ValueError:
        raise NotUnderstood from None
    if size is not None and size != len(data):
        raise NotUnderstood
    return data


# numbers in JSON (IEEE 754 doubles) hold every integer up to this one exactly; RFC 8785 section
# 3.2.2.3
_INTEGER_MAX: Final = 2**53 - 1


def canonical_json(value: object) -> bytes:
    """Return the canonical UTF-8 bytes of ``value``: keys sorted, no blanks.

    Raises:
        ValueError: the value contains a floating-point number, an integer beyond 2**53 - 1, a key
            that is not ASCII text, a lone surrogate, or a type that JSON does not have.

    >>> canonical_json({"b": [1, None], "a": "é"}).decode()
    '{"a":"é","b":[1,null]}'
    """
    _refuse_noncanonical_values(value)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


def read_canonical_json(untrusted_data: bytes) -> Any:
    """Parse canonical JSON; raises ValueError for any other form of the value."""
    try:
        value = json.loads(untrusted_data.decode())
        again = canonical_json(value)  # this recurses a few levels deeper than parsing did
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if again != untrusted_data:
        raise ValueError("not in canonical form")
    return value


def _refuse_noncanonical_values(value: object) -> None:
    if isinstance(value, Mapping):
        for key, part in value.items():
            if not (isinstance(key, str) and key.isascii()):
                raise ValueError("a key must be ASCII text")
            _refuse_noncanonical_values(part)
    elif isinstance(value, list | tuple):
        for part in value:
            _refuse_noncanonical_values(part)
    elif isinstance(value, int):
        if abs(value) > _INTEGER_MAX:
            raise ValueError("a whole number must stay within 2**53 - 1")
    elif not (value is None or isinstance(value, str)):
        raise ValueError(f"{type(value).__name__} has no canonical form here")


JsonT = TypeVar("JsonT")
ConstructedT = TypeVar("ConstructedT")
UnixSeconds = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]  # until the year 9999
JsonCount = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]  # JSON numbers hold these exactly


class StrictJson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON object with exactly the members that a subclass names.

    Unknown members are refused, and so are missing ones that have no default value.
    """


def to_json(body: StrictJson) -> bytes:
    return msgspec.json.encode(body)


def from_json(kind: type[JsonT], untrusted_body: bytes) -> JsonT:
    """Parse one JSON body; raises NotUnderstood."""
    try:
        return msgspec.json.decode(untrusted_body, type=kind)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise NotUnderstood from None


def construct(kind: type[ConstructedT], *fields: Any) -> ConstructedT:
    """Construct a dataclass of type ``kind``; raises NotUnderstood if a field is invalid."""
    try:
        return kind(*fields)
    except ValueError:
        raise NotUnderstood from None


def optional_to_base64url(data: bytes | None) -> str | None:
    return None if data is None else to_base64url(data)


def optional_from_base64url(untrusted_text: str | None) -> bytes | None:
    return None if untrusted_text is None else from_base64url(untrusted_text)


def to_seconds(when: datetime) -> int:
    return int(when.timestamp())


def optional_to_seconds(when: datetime | None) -> int | None:
    return None if when is None else to_seconds(when)


def from_seconds(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def optional_from_seconds(seconds: int | None) -> datetime | None:
    return None if seconds is None else from_seconds(seconds)
