"""Read records one by one: a bad one is passed over and counted, the page counts (section 6.3)."""

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import msgspec

from entrenous.model.exchange import BadPage, Record
from entrenous.spec import PDQ_BYTES

Raw = TypeVar("Raw")

_KEY_MAX: Final = 200  # characters
_VERSION_MAX: Final = 2**53
_RECORDS_MAX: Final = 20_000  # on one page


class BadRecord(Exception):
    """Why one record was passed over; about its form, never its content."""


def read_all(
    raw: Iterable[Raw], read: Callable[[Raw], Record | None]
) -> tuple[tuple[Record, ...], tuple[str, ...]]:
    """Those that can be read, and for each other one why not. None is of no concern to us."""
    records, refused = list[Record](), list[str]()
    for number, one in enumerate(raw, start=1):
        try:
            record = read(one)
        except BadRecord as problem:
            refused.append(f"record {number}: {problem}")
            continue
        if record is not None:
            records.append(record)
    return tuple(records), tuple(refused)


def json_page(name: str, untrusted_body: bytes) -> dict[str, Any]:
    """A JSON object; raises BadPage."""
    try:
        page = msgspec.json.decode(untrusted_body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise BadPage(name=name, why="it is not JSON") from problem
    if not isinstance(page, dict):
        raise BadPage(name=name, why="it is not an object")
    return page


def list_in(name: str, page: dict[str, Any], key: str) -> list[Any]:
    """The list of records of a page; raises BadPage."""
    found = page.get(key)
    if not isinstance(found, list) or len(found) > _RECORDS_MAX:
        raise BadPage(name=name, why="its records are not a list, or too many")
    return found


def fields(raw: object) -> dict[str, Any]:
    """A record as an object; raises BadRecord."""
    if not isinstance(raw, dict):
        raise BadRecord("it is not an object")
    return raw


def pdq(untrusted_hex: object) -> bytes:
    """32 bytes; raises BadRecord."""
    text = untrusted_hex.strip().lower() if isinstance(untrusted_hex, str) else ""
    if len(text) != 2 * PDQ_BYTES or not set(text) <= set("0123456789abcdef"):
        raise BadRecord("its hash is not 64 hexadecimal digits")
    return bytes.fromhex(text)


def whole(untrusted: object) -> int:
    """A number of seconds or a counter, 0 to 2**53, also as digits; raises BadRecord."""
    number = untrusted
    if isinstance(untrusted, str) and untrusted.isascii() and untrusted.isdecimal():
        number = int(untrusted[:20])
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < _VERSION_MAX:
        raise BadRecord("its time is not a number of seconds")
    return number


def key(untrusted: object) -> str:
    """What the source calls it; raises BadRecord."""
    text = str(untrusted) if isinstance(untrusted, int | str) else ""
    if not 0 < len(text) <= _KEY_MAX:
        raise BadRecord("its name is missing, or too long")
    return text


def word(untrusted: object) -> str:
    """Of what kind it is; raises BadRecord."""
    if not isinstance(untrusted, str):
        raise BadRecord("it does not say of what kind it is")
    return untrusted
