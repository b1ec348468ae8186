"""Fetch from StopNCII's hash API, version 1 (docs/spec/exchange.md sections 3.1 and 6)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from entrenous.adapters.exchange.records import (
    BadRecord,
    fields,
    json_page,
    list_in,
    pdq,
    read_all,
    whole,
    word,
)
from entrenous.adapters.exchange.web import Web
from entrenous.model.exchange import BadPage, Page, Record, SourceRefused

_PAGE_SIZE: Final = "800"
_BEGINNING: Final = "10"  # as the public client has it
_TOKEN_MAX: Final = 2000
_LIVE: Final = frozenset({"Unknown", "Received", "Active"})
_ENDED: Final = frozenset({"Withdrawn", "Deleted"})


@dataclass(frozen=True, slots=True)
class StopNcii:
    """A checkpoint is "start time", or "start time page token" within a fetch."""

    web: Web
    stale_after: timedelta | None = timedelta(days=30)

    def pages(self, token: str) -> Iterator[Page]:
        """To the end of the newest page. A page token of an earlier fetch that is refused is given
        up at once, for its start time.
        """
        start, _, cursor = (token or _BEGINNING).partition(" ")
        said = self._resumed(start, cursor)
        more = True
        while more:
            said = said or self._ask(start, cursor)
            more, cursor, following = self._next(said, cursor)
            raw = list_in(self.web.name, said, "hashRecords")
            records, refused = read_all(raw, read_record)
            place = f"{start} {cursor}" if more else following
            said = {}
            yield Page(records, place, refused)

    def _resumed(self, start: str, cursor: str) -> dict[str, object]:
        try:
            return self._ask(start, cursor)
        except SourceRefused:
            if not cursor:
                raise
            return self._ask(start, "")

    def _ask(self, start: str, cursor: str) -> dict[str, object]:
        query = {"startTimestamp": start, "pageSize": _PAGE_SIZE}
        if cursor:
            query["nextPageToken"] = cursor
        return json_page(self.web.name, self.web.get("/FetchHashes", query) or b"")

    def _next(self, said: dict[str, object], before: str) -> tuple[bool, str, str]:
        more, cursor = said.get("hasMoreRecords"), said.get("nextPageToken") or ""
        if not isinstance(more, bool) or not isinstance(cursor, str) or len(cursor) > _TOKEN_MAX:
            raise BadPage(name=self.web.name, why="it does not say what comes next")
        if more and cursor in ("", before):
            raise BadPage(name=self.web.name, why="it says that there is more, and not where")
        try:
            following = str(whole(said.get("nextSetTimestamp")))
        except BadRecord:
            raise BadPage(name=self.web.name, why="it has no nextSetTimestamp") from None
        return more, cursor, following


def read_record(untrusted: object) -> Record | None:
    """One record; None for hashes of another kind. Raises BadRecord."""
    record = fields(untrusted)
    if word(record.get("signalType")) != "ImagePDQ":
        return None
    bits, version = pdq(record.get("hashValue")), whole(record.get("lastModtimestamp"))
    status = record.get("hashStatus")
    if status in _ENDED:
        return Record(bits.hex(), version)
    if status not in _LIVE:
        raise BadRecord("its status is unknown")
    return Record(bits.hex(), version, (bits,))
