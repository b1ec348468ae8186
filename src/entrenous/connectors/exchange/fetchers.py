"""Fetch from a source: StopNCII, ThreatExchange, HMA (Meta's Hasher-Matcher-Actioner) or a file
(docs/spec/exchange.md, 6).

NCMEC's XML is in :mod:`.fetch_ncmec`.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import msgspec

from entrenous.base.environment import Clock, SystemClock
from entrenous.connectors.exchange.exchange_client import (
    ExchangeHttp,
    check_credentials_file,
    credential_headers,
    parse_exchange_address,
)
from entrenous.connectors.exchange.fetch_ncmec import NcmecFetcher
from entrenous.connectors.exchange.untrusted_pages import (
    BadSourceRecord,
    page_list,
    parse_json_page,
    parse_pdq_hash,
    parse_record_id,
    parse_record_type,
    parse_records,
    parse_whole_number,
    require_object,
)
from entrenous.stop.banks import HASH_COLUMN_HEADINGS, first_csv_column
from entrenous.stop.exchange_fetch import fetch_source
from entrenous.stop.exchange_nouns import (
    BadPage,
    BadSource,
    ExchangeServices,
    Fetcher,
    FetchResult,
    Source,
    SourceKind,
    SourcePage,
    SourceRecord,
    SourceRefused,
    SourceUnreachable,
)
from entrenous.stop.platform import Platform
from entrenous.stop.store.exchange_partners import hold_source_lock
from entrenous.stop.store.open_gate import engine_of


def fetch_from(
    source: Source,
    exchange: ExchangeServices,
    platform: Platform,
    client: httpx.Client,
    *,
    accept_shrinking: bool = False,
) -> FetchResult:
    """Fetch a source under its lock, with credentials from its file or the environment.

    The source's description is read again under the lock, since the source may have been removed,
    and another one added under its name.

    Raises:
        FetchAlreadyRunning, NoSuchSource, NoCredentials, MalformedCredentials,
        CredentialsReadableByOthers, BadSource.
        Others: what :func:`fetch_source` raises.
    """
    with hold_source_lock(engine_of(platform), source.name):
        source = exchange.sources.source(source.name)
        fetcher = make_fetcher(source, client, exchange.clock, os.environ)
        return fetch_source(source, fetcher, exchange, platform, accept_shrinking=accept_shrinking)


_STOPNCII_PAGE_SIZE: Final = "800"
# the start time that the client in PyPI's threatexchange sends at first
_FIRST_START_TIME: Final = "10"
_PAGE_TOKEN_CHARS_MAX: Final = 2000
_LIVE_STATUSES: Final = frozenset({"Unknown", "Received", "Active"})
_ENDED_STATUSES: Final = frozenset({"Withdrawn", "Deleted"})


@dataclass(frozen=True, slots=True)
class StopNciiFetcher:
    """A fetcher for StopNCII's API; the checkpoint is "start_time", or "start_time page_token"
    within a fetch.
    """

    web: ExchangeHttp
    stale_after: timedelta | None = timedelta(days=30)

    def pages(self, token: str) -> Iterator[SourcePage]:
        """Yield all pages from the checkpoint to the newest.

        If an earlier fetch's page token is refused, start again from its start time.
        """
        start, _, cursor = (token or _FIRST_START_TIME).partition(" ")
        page = self._resume_page(start, cursor)
        more = True
        while more:
            page = page or self._request_page(start, cursor)
            more, cursor, following = self._parse_next_page(page, cursor)
            raw = page_list(self.web.name, page, "hashRecords")
            records, refused = parse_records(raw, parse_stopncii_record)
            place = f"{start} {cursor}" if more else following
            page = {}
            yield SourcePage(records, place, refused)

    def _resume_page(self, start: str, cursor: str) -> dict[str, object]:
        try:
            return self._request_page(start, cursor)
        except SourceRefused:
            if not cursor:
                raise
            return self._request_page(start, "")

    def _request_page(self, start: str, cursor: str) -> dict[str, object]:
        query = {"startTimestamp": start, "pageSize": _STOPNCII_PAGE_SIZE}
        if cursor:
            query["nextPageToken"] = cursor
        return parse_json_page(self.web.name, self.web.get("/FetchHashes", query) or b"")

    def _parse_next_page(self, answer: dict[str, object], before: str) -> tuple[bool, str, str]:
        more, cursor = answer.get("hasMoreRecords"), answer.get("nextPageToken") or ""
        if (
            not isinstance(more, bool)
            or not isinstance(cursor, str)
            or len(cursor) > _PAGE_TOKEN_CHARS_MAX
        ):
            raise BadPage(name=self.web.name, why="it does not say what comes next")
        if more and cursor in ("", before):
            raise BadPage(name=self.web.name, why="it says that there is more, but not where")
        try:
            following = str(parse_whole_number(answer.get("nextSetTimestamp")))
        except BadSourceRecord:
            raise BadPage(name=self.web.name, why="it has no nextSetTimestamp") from None
        return more, cursor, following


def parse_stopncii_record(untrusted: object) -> SourceRecord | None:
    """Parse a record; return None for a hash of a different kind. Raises BadSourceRecord."""
    record = require_object(untrusted)
    if parse_record_type(record.get("signalType")) != "ImagePDQ":
        return None
    bits, version = (
        parse_pdq_hash(record.get("hashValue")),
        parse_whole_number(record.get("lastModtimestamp")),
    )
    status = record.get("hashStatus")
    if not isinstance(status, str):
        raise BadSourceRecord("its status is unknown")
    if status in _ENDED_STATUSES:
        return SourceRecord(bits.hex(), version)
    if status not in _LIVE_STATUSES:
        raise BadSourceRecord("its status is unknown")
    return SourceRecord(bits.hex(), version, (bits,))


_THREATEXCHANGE_FIELDS: Final = "id,indicator,type,last_updated,should_delete,descriptors"
_UPDATES_PER_PAGE: Final = "500"
_NEXT_PAGE_URL_CHARS_MAX: Final = 4000
_SOURCE_CLOCK_AHEAD_MAX: Final = timedelta(
    days=1
)  # how far the source's clock may be ahead of ours


@dataclass(frozen=True, slots=True)
class ThreatExchangeFetcher:
    """A fetcher for ThreatExchange's API; the checkpoint is the time of the newest update read so
    far.

    Updates are ordered by time. The next fetch reads the updates of the checkpoint's second again.
    The address of the next page is never stored, since it may contain the access token.
    """

    web: ExchangeHttp
    group: str
    clock: Clock = field(default_factory=SystemClock)
    stale_after: timedelta | None = timedelta(days=85)

    def pages(self, token: str) -> Iterator[SourcePage]:
        """Yield all pages from the checkpoint to the newest update."""
        newest = int(token or 0)
        query = {
            "start_time": str(newest),
            "limit": _UPDATES_PER_PAGE,
            "fields": _THREATEXCHANGE_FIELDS,
            "types": "HASH_PDQ",
        }
        body = self.web.get(f"/{self.group}/threat_updates/", query) or b""
        seen = set[str]()
        while True:
            page = parse_json_page(self.web.name, body)
            raw = page_list(self.web.name, page, "data")
            records, refused = parse_records(raw, self._parse_update)
            newest = max([newest, *(record.version for record in records)])
            yield SourcePage(records, str(newest), refused)
            following = self._next_page_url(page)
            if not following or following in seen:
                return
            seen.add(following)
            body = self.web.get_next_page(following)

    def _parse_update(self, untrusted: object) -> SourceRecord | None:
        """Parse an update, and refuse one that is dated in the future: as a checkpoint, it would
        hide all updates until that time.
        """
        record = parse_threatexchange_update(untrusted)
        ahead_s = (self.clock.now() + _SOURCE_CLOCK_AHEAD_MAX).timestamp()
        if record is not None and record.version > ahead_s:
            raise BadSourceRecord("its time is in the future")
        return record

    def _next_page_url(self, page: dict[str, Any]) -> str:
        paging = page.get("paging")
        following = paging.get("next") if isinstance(paging, dict) else None
        if following is None:
            return ""
        if not isinstance(following, str) or len(following) > _NEXT_PAGE_URL_CHARS_MAX:
            raise BadPage(name=self.web.name, why="the address of its next page is invalid")
        return following


def parse_threatexchange_update(untrusted: object) -> SourceRecord | None:
    """Parse an update; return None for an indicator of a different type. Raises BadSourceRecord."""
    update = require_object(untrusted)
    if parse_record_type(update.get("type", "HASH_PDQ")) != "HASH_PDQ":
        return None
    name, version = (
        parse_record_id(update.get("id")),
        parse_whole_number(update.get("last_updated")),
    )
    deleted = update.get("should_delete", False)
    if not isinstance(deleted, bool):
        raise BadSourceRecord("should_delete is neither true nor false")
    if deleted or "descriptors" not in update:
        return SourceRecord(name, version)
    return SourceRecord(name, version, (parse_pdq_hash(update.get("indicator")),))


_CONTENTS_PER_PAGE: Final = 100  # numbers per page
# When this many numbers in a row are missing, the end is assumed. Content of other banks does not
# count as missing.
_MISSING_CONTENT_NUMBERS_MAX: Final = 1_000
_CONTENT_NUMBER_MAX: Final = 2**63 - 1
# disable_until_ts: 0 means off for good, 1 means on, and any other value means off until that time
_ALWAYS_ENABLED_TIMESTAMP: Final = 1


class _NextHint(msgspec.Struct):
    """The field ``next``, which an Entrenous gate adds to the body of a 404."""

    next: Annotated[int, msgspec.Meta(ge=1, le=_CONTENT_NUMBER_MAX)] | msgspec.UnsetType | None = (
        msgspec.UNSET
    )


@dataclass(frozen=True, slots=True)
class HmaFetcher:
    """A fetcher for HMA's API; the checkpoint is the number of the next content, and how many
    numbers before it were missing in a row.
    """

    web: ExchangeHttp
    bank: str
    clock: Clock
    stale_after: timedelta | None = timedelta(0)

    def pages(self, token: str) -> Iterator[SourcePage]:
        """Yield pages with the contents, in the order of their numbers.

        First check that the bank exists, so that a wrong address does not look like an empty bank.
        """
        self._check_bank()
        number, missing = map(int, (token or "1 0").split(" "))
        while missing < _MISSING_CONTENT_NUMBERS_MAX:
            records, refused = list[SourceRecord](), list[str]()
            for _ in range(_CONTENTS_PER_PAGE):
                if missing >= _MISSING_CONTENT_NUMBERS_MAX:
                    break
                found = self._read_content(number, refused)
                if isinstance(found, MissingContent):
                    number, missing = found.next_number_and_gap(number, missing)
                else:
                    number, missing = number + 1, 0
                    records.extend(found)
            yield SourcePage(tuple(records), f"{number} {missing}", tuple(refused))

    def _check_bank(self) -> None:
        bank = parse_json_page(self.web.name, self.web.get(f"/c/bank/{self.bank}") or b"")
        if bank.get("name") != self.bank:
            raise BadPage(name=self.web.name, why="it is about a different bank")

    def _read_content(
        self, number: int, refused: list[str]
    ) -> "tuple[SourceRecord, ...] | MissingContent":
        """Return the record of the content with this number, in a tuple.

        Return an empty tuple if the content is malformed, of another bank, or without a PDQ hash;
        return a MissingContent if the answer is 404. The reason for a malformed content is added to
        ``refused``.
        """
        path = f"/c/bank/{self.bank}/content/{number}"
        there, body = self.web.get_allowing_404(path, {"include_signals": "true"})
        if not there:
            return parse_missing_content(body)
        try:
            record = self._make_record(number, parse_json_page(self.web.name, body))
        except (BadSourceRecord, BadPage) as problem:
            refused.append(f"content {number}: {_problem_reason(problem)}")
            return ()
        return () if record is None else (record,)

    def _make_record(self, number: int, content: dict[str, Any]) -> SourceRecord | None:
        if require_object(content.get("bank")).get("name") != self.bank:
            return None
        name = parse_record_id(content.get("id", number))
        until = content.get("disable_until_ts", _ALWAYS_ENABLED_TIMESTAMP)
        if until != _ALWAYS_ENABLED_TIMESTAMP and not self._has_disabling_ended(until):
            return SourceRecord(name, 0)
        signals = content.get("signals")
        hashed = signals.get("pdq") if isinstance(signals, dict) else None
        return None if hashed is None else SourceRecord(name, 0, (parse_pdq_hash(hashed),))

    def _has_disabling_ended(self, until: object) -> bool:
        """Return whether ``until``, the end of a content's disabling, has passed; 0 means that the
        content is disabled for good.
        """
        passed = isinstance(until, int) and 0 < until < self.clock.now().timestamp()
        return passed and not isinstance(until, bool)


@dataclass(frozen=True, slots=True)
class MissingContent:
    """There is no content with this number.

    ``has_hint`` says whether the server gave a hint: ``next`` is then the next number that has a
    content, or None if there is no higher one.
    """

    has_hint: bool = False
    next: int | None = None

    def next_number_and_gap(self, number: int, missing: int) -> tuple[int, int]:
        """Return the number to read next, and how many numbers are missing in a row by then.

        If there may be a higher number, the number always increases, since otherwise a server could
        keep us reading forever. If there is none, the count of missing numbers ends the reading.
        """
        if not self.has_hint or (self.next is not None and self.next <= number):
            return number + 1, missing + 1
        return (number, _MISSING_CONTENT_NUMBERS_MAX) if self.next is None else (self.next, 0)


def parse_missing_content(untrusted_body: bytes) -> MissingContent:
    """Parse the hint to the next number in the body of a 404; HMA's own servers give none."""
    try:
        hint = msgspec.json.decode(untrusted_body, type=_NextHint)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return MissingContent()
    return (
        MissingContent()
        if hint.next is msgspec.UNSET
        else MissingContent(has_hint=True, next=hint.next)
    )


def _problem_reason(problem: Exception) -> str:
    return str(problem) if isinstance(problem, BadSourceRecord) else "it is not JSON"


_LINES_PER_PAGE: Final = 1000
_LINE_BYTES_MAX: Final = 4096
# Type and hash, as Meta's command ``tx`` writes them.
_TYPE_AND_HASH_PATTERN: Final = re.compile(r"([a-z0-9_]{1,40}) +(\S+)")


@dataclass(frozen=True, slots=True)
class HashFileFetcher:
    """A fetcher for a file of hashes; every fetch reads the whole file, so the checkpoint does not
    matter.
    """

    name: str
    path: Path
    stale_after: timedelta | None = timedelta(0)

    def pages(self, token: str) -> Iterator[SourcePage]:
        """Yield pages of a thousand lines, from the beginning."""
        del token
        try:
            with self.path.open("rb") as file:
                yield from self._pages(_decoded_lines(self.name, file))
        except OSError as problem:
            why = problem.strerror or "it cannot be read"
            raise SourceUnreachable(name=self.name, why=why) from None

    def _pages(self, lines: Iterable[str]) -> Iterator[SourcePage]:
        left, done = iter(lines), 0
        while batch := list(islice(left, _LINES_PER_PAGE)):
            records, refused = parse_records(batch, parse_hash_line)
            done += len(batch)
            yield SourcePage(records, str(done), refused)


def parse_hash_line(untrusted_line: str) -> SourceRecord | None:
    """Parse a line: a hash alone, in the first column, or after "pdq".

    Return None for an empty line, a comment, a heading, or a hash of a different type. Raises
    BadSourceRecord.
    """
    text = first_csv_column(untrusted_line)
    if not text or text.startswith("#") or text in HASH_COLUMN_HEADINGS:
        return None
    typed = _TYPE_AND_HASH_PATTERN.fullmatch(text)
    if typed and typed[1] != "pdq":
        return None
    bits = parse_pdq_hash(typed[2] if typed else text)
    return SourceRecord(bits.hex(), 0, (bits,))


def _decoded_lines(name: str, file: Iterable[bytes]) -> Iterator[str]:
    for line in file:
        if len(line) > _LINE_BYTES_MAX:
            raise BadPage(name=name, why="a line is longer than 4,096 bytes")
        yield line.decode("utf-8", errors="replace").strip("\ufeff\r\n")


def check_source(source: Source) -> None:
    """Check a new source without contacting it.

    Raises:
        BadSource: its address is neither https nor http to this machine, or its file is missing.
        NoCredentials, CredentialsReadableByOthers, MalformedCredentials: its credentials file
            cannot be used. Credentials in the environment are not checked, since the environment
            may be different when the source is fetched.
    """
    if source.kind is not SourceKind.FILE:
        parse_exchange_address(source.place)
        check_credentials_file(source)
    elif not Path(source.place).is_file():
        raise BadSource(why="there is no such file")


def make_fetcher(
    source: Source, client: httpx.Client, clock: Clock, environment: Mapping[str, str]
) -> Fetcher:
    """Return the fetcher for a source, with credentials from ``environment`` or the source's file.

    Raises:
        BadSource: its address is neither https nor http to this machine.
        NoCredentials, CredentialsReadableByOthers, MalformedCredentials.
    """
    if source.kind is SourceKind.FILE:
        return HashFileFetcher(source.name, Path(source.place))
    parse_exchange_address(source.place)
    web = ExchangeHttp(source.name, source.place, client, credential_headers(source, environment))
    if source.kind is SourceKind.STOPNCII:
        return StopNciiFetcher(web)
    if source.kind is SourceKind.NCMEC:
        return NcmecFetcher(web, clock)
    if source.kind is SourceKind.THREATEXCHANGE:
        return ThreatExchangeFetcher(web, source.part, clock)
    return HmaFetcher(web, source.part, clock)
