"""Parse pages from another exchange: XML within limits, and records one by one.

A malformed record is skipped and counted; the rest of its page is kept (docs/spec/exchange.md, 4.5,
6.3).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from xml.parsers import expat

import msgspec

from entrenous.base.limits import PDQ_BYTES
from entrenous.stop.exchange_nouns import BadPage, BadXml, SourceRecord, TooLong

XML_DEPTH_MAX: Final = 16
XML_ELEMENTS_MAX: Final = 400_000


@dataclass(slots=True)
class XmlElement:
    """An XML element; its name is without the namespace."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list["XmlElement"] = field(default_factory=list)

    def children_named(self, name: str) -> Iterator["XmlElement"]:
        return (child for child in self.children if child.name == name)

    def descendant(self, *names: str) -> "XmlElement | None":
        """Follow these names downwards, each to the first child of that name, and return the last
        element reached; None if one is missing.
        """
        found: XmlElement | None = self
        for name in names:
            found = next(found.children_named(name), None) if found is not None else None
        return found


def read_xml(untrusted_data: bytes, bytes_max: int) -> XmlElement:
    """Parse a document and return its root element.

    Raises:
        TooLong: it has more than ``bytes_max`` bytes.
        BadXml: it is not well-formed UTF-8, declares a document type, or has too many elements or
            levels.
    """
    if len(untrusted_data) > bytes_max:
        raise TooLong(limit_bytes=bytes_max)
    builder = _TreeBuilder()
    parser = expat.ParserCreate(encoding="UTF-8", namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.doctype
    try:
        untrusted_data.decode("utf-8")  # expat would follow a UTF-16 byte order mark instead
        parser.Parse(untrusted_data, True)
    except (expat.ExpatError, ValueError) as problem:
        raise BadXml(why="it is not well-formed") from problem
    return builder.root


class _TreeBuilder:
    """Builds the tree from expat's callbacks."""

    def __init__(self) -> None:
        self._top = XmlElement("", {})
        self._open = [self._top]
        self._count = 0

    @property
    def root(self) -> XmlElement:
        return self._top.children[0]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) > XML_DEPTH_MAX or self._count > XML_ELEMENTS_MAX:
            raise BadXml(why="it has too many elements or levels")
        element = XmlElement(name.rpartition(" ")[2], attributes)
        self._open[-1].children.append(element)
        self._open.append(element)

    def end(self, _name: str) -> None:
        self._open.pop()

    def text(self, text: str) -> None:
        self._open[-1].text += text

    def doctype(self, *_declared: object) -> None:
        raise BadXml(why="it declares a document type")


RawT = TypeVar("RawT")
_RECORD_ID_CHARS_MAX: Final = 200
_WHOLE_NUMBER_LIMIT: Final = 2**53
_RECORDS_PER_PAGE_MAX: Final = 20_000


class BadSourceRecord(Exception):
    """A fetched record that was skipped.

    The message describes what is wrong with its form, and never quotes its content.
    """


def parse_records(
    untrusted: Iterable[RawT], read: Callable[[RawT], SourceRecord | None]
) -> tuple[tuple[SourceRecord, ...], tuple[str, ...]]:
    """Parse each record with ``read``; ignore those for which it returns None.

    Returns:
        The records, and the reason for each malformed one.
    """
    records, refused = list[SourceRecord](), list[str]()
    for number, one in enumerate(untrusted, start=1):
        try:
            record = read(one)
        except BadSourceRecord as problem:
            refused.append(f"record {number}: {problem}")
            continue
        if record is not None:
            records.append(record)
    return tuple(records), tuple(refused)


def parse_json_page(name: str, untrusted_body: bytes) -> dict[str, Any]:
    """Parse a JSON object; raises BadPage."""
    try:
        page = msgspec.json.decode(untrusted_body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise BadPage(name=name, why="it is not JSON") from problem
    if not isinstance(page, dict):
        raise BadPage(name=name, why="it is not an object")
    return page


def page_list(name: str, page: dict[str, Any], key: str) -> list[Any]:
    """Return the list under this key of a page; raises BadPage."""
    found = page.get(key)
    if not isinstance(found, list) or len(found) > _RECORDS_PER_PAGE_MAX:
        raise BadPage(name=name, why="its records are not a list, or there are too many of them")
    return found


def require_object(untrusted: object) -> dict[str, Any]:
    """Check that a record is an object; raises BadSourceRecord."""
    if not isinstance(untrusted, dict):
        raise BadSourceRecord("it is not an object")
    return untrusted


def parse_pdq_hash(untrusted_hex: object) -> bytes:
    """Parse a PDQ hash of 64 hexadecimal digits (32 bytes); raises BadSourceRecord."""
    text = untrusted_hex.strip().lower() if isinstance(untrusted_hex, str) else ""
    if len(text) != 2 * PDQ_BYTES or not set(text) <= set("0123456789abcdef"):
        raise BadSourceRecord("its hash is not 64 hexadecimal digits")
    return bytes.fromhex(text)


def parse_whole_number(untrusted: object) -> int:
    """Parse a time in seconds or a counter: an integer from 0 to 2**53 - 1, given as a number or as
    a string of digits; raises BadSourceRecord.
    """
    number = untrusted
    if isinstance(untrusted, str) and untrusted.isascii() and untrusted.isdecimal():
        number = int(untrusted[:20])
    if (
        not isinstance(number, int)
        or isinstance(number, bool)
        or not 0 <= number < _WHOLE_NUMBER_LIMIT
    ):
        raise BadSourceRecord("its time is not a number of seconds")
    return number


def parse_record_id(untrusted: object) -> str:
    """Return the record's id at its source; raises BadSourceRecord."""
    text = str(untrusted) if isinstance(untrusted, int | str) else ""
    if not 0 < len(text) <= _RECORD_ID_CHARS_MAX:
        raise BadSourceRecord("its name is missing, or too long")
    return text


def parse_record_type(untrusted: object) -> str:
    """Return the record's type; raises BadSourceRecord."""
    if not isinstance(untrusted, str):
        raise BadSourceRecord("its type is missing")
    return untrusted
