"""Fetch from NCMEC's hash sharing API, version 2 (docs/spec/exchange.md, sections 4.2 and 6)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Self

import msgspec

from entrenous.base.environment import Clock
from entrenous.connectors.exchange.exchange_client import PAGE_BYTES_MAX, ExchangeHttp
from entrenous.connectors.exchange.untrusted_pages import (
    BadSourceRecord,
    XmlElement,
    parse_pdq_hash,
    parse_record_id,
    parse_records,
    read_xml,
)
from entrenous.stop.exchange_nouns import (
    BadPage,
    BadXml,
    SourcePage,
    SourceRecord,
    SourceRefused,
)

_DATE_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
_FIRST_RANGE_START: Final = "1970-01-01T00:00:00Z"
_SETTLING_TIME: Final = timedelta(seconds=5)  # the server may still be writing newer entries
_NEXT_PAGE_VALIDITY: Final = timedelta(hours=12)  # how long the address of a next page is valid
_NEXT_ADDRESS_CHARS_MAX: Final = 2000
_RANGE_START_AHEAD_MAX: Final = timedelta(minutes=1)  # the clocks of two gates may differ


class _RangeCheckpoint(msgspec.Struct, frozen=True):
    """The range of time that is being read, or, if ``to`` is "", the start of the next range.

    ``next`` is the address of the next page in the range, which was received at the time ``asked``.
    Both are "" at the beginning of a range.
    """

    start: str = _FIRST_RANGE_START
    to: str = ""
    next: str = ""
    asked: str = ""

    @classmethod
    def read(cls, token: str) -> Self:
        return msgspec.json.decode(token, type=cls) if token else cls()

    def to_token(self) -> str:
        return msgspec.json.encode(self).decode()


@dataclass(frozen=True, slots=True)
class NcmecFetcher:
    """A fetcher for NCMEC's API; the checkpoint is a range of time and its next page, as JSON."""

    web: ExchangeHttp
    clock: Clock
    stale_after: timedelta | None = None

    def pages(self, token: str) -> Iterator[SourcePage]:
        """Yield pages of the entries that are at least five seconds old.

        If an earlier fetch's address of a next page is refused, read its range again.
        """
        place = self._resume_range(_RangeCheckpoint.read(token))
        if place.to <= place.start:
            return
        place, root = self._request_first_page(place)
        while True:
            records, refused = parse_records(_entry_elements(root), parse_ncmec_entry)
            place = self._range_after_page(root, place)
            yield SourcePage(records, place.to_token(), refused)
            if not place.to:
                return
            root = self._request_page(place)

    def _resume_range(self, place: _RangeCheckpoint) -> _RangeCheckpoint:
        """Resume at the next page if its address is still valid, else read the range again.

        If the range begins in the future, our clock was ahead, and it is not known since when. So
        everything is read again.
        """
        now = self.clock.now()
        if _parse_time(place.start) - now > _RANGE_START_AHEAD_MAX:
            return self._range_until_now(_FIRST_RANGE_START)
        held = place.asked and abs(now - _parse_time(place.asked)) <= _NEXT_PAGE_VALIDITY
        if place.next and held:
            return place
        return self._range_until_now(place.start)

    def _range_until_now(self, start: str) -> _RangeCheckpoint:
        to = self.clock.now() - _SETTLING_TIME
        return _RangeCheckpoint(start, to.strftime(_DATE_FORMAT))

    def _request_first_page(self, place: _RangeCheckpoint) -> tuple[_RangeCheckpoint, XmlElement]:
        """Return the range that is being read, and its page."""
        try:
            return place, self._request_page(place)
        except SourceRefused:
            if not place.next:
                raise
        place = self._range_until_now(place.start)
        return place, self._request_page(place)

    def _request_page(self, place: _RangeCheckpoint) -> XmlElement:
        if place.next:
            body = self.web.get(place.next)
        else:
            body = self.web.get("/v2/entries", {"from": place.start, "to": place.to})
        try:
            return read_xml(body or b"", PAGE_BYTES_MAX)
        except BadXml as problem:
            raise BadPage(name=self.web.name, why="it is not valid XML") from problem

    def _range_after_page(self, root: XmlElement, place: _RangeCheckpoint) -> _RangeCheckpoint:
        if root.name != "queryResult":
            raise BadPage(name=self.web.name, why="it is not a queryResult")
        following = root.descendant("paging", "next")
        path = following.text.strip() if following is not None else ""
        if not path:
            return _RangeCheckpoint(place.to)
        if not path.startswith("/v2/") or len(path) > _NEXT_ADDRESS_CHARS_MAX or path == place.next:
            raise BadPage(name=self.web.name, why="its next page is at another place")
        asked = self.clock.now().strftime(_DATE_FORMAT)
        return msgspec.structs.replace(place, next=path, asked=asked)


def parse_ncmec_entry(entry: XmlElement) -> SourceRecord | None:
    """Parse an entry; return None for a video or an entry without a PDQ hash.

    Raises BadSourceRecord.
    """
    name = entry.name.lower()
    if name not in ("image", "deletedimage"):
        return None
    member, entry_id = entry.descendant("member"), entry.descendant("id")
    owner = parse_record_id(member.attributes.get("id") if member is not None else None)
    called = parse_record_id(entry_id.text.strip() if entry_id is not None else None)
    record = SourceRecord(f"{owner}-{called}", _unix_seconds(entry.descendant("timestamp")))
    if name == "deletedimage":
        return record
    prints = entry.descendant("fingerprints")
    hashes = (
        tuple(parse_pdq_hash(one.text) for one in prints.children_named("pdq"))
        if prints is not None
        else ()
    )
    return replace(record, hashes=hashes) if hashes else None


def _entry_elements(root: XmlElement) -> Iterator[XmlElement]:
    for images in root.children_named("images"):
        yield from images.children


def _unix_seconds(timestamp: XmlElement | None) -> int:
    try:
        at = _parse_time(timestamp.text.strip()[:19] + "Z" if timestamp is not None else "")
    except ValueError:
        raise BadSourceRecord("its timestamp is missing, or not a date") from None
    if at.year < 1970:
        raise BadSourceRecord("its timestamp is too old")
    return int(at.timestamp())


def _parse_time(text: str) -> datetime:
    return datetime.strptime(text, _DATE_FORMAT).replace(tzinfo=UTC)
