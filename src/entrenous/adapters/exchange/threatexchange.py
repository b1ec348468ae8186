"""Fetch from ThreatExchange's threat_updates (docs/spec/exchange.md section 6)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from entrenous.adapters.exchange.records import (
    BadRecord,
    fields,
    json_page,
    key,
    list_in,
    pdq,
    read_all,
    whole,
    word,
)
from entrenous.adapters.exchange.web import Web
from entrenous.adapters.system import SystemClock
from entrenous.model.exchange import BadPage, Page, Record
from entrenous.ports.world import Clock

_FIELDS: Final = "id,indicator,type,last_updated,should_delete,descriptors"
_LIMIT: Final = "500"
_URL_MAX: Final = 4000
_AHEAD: Final = timedelta(days=1)  # as far as their clock may differ from ours


@dataclass(frozen=True, slots=True)
class ThreatExchange:
    """A checkpoint is the time of the newest update that was read.

    Updates come in the order of their time; those of the last second are read twice. An address of
    a next page is never kept: it may hold the token.
    """

    web: Web
    group: str
    clock: Clock = field(default_factory=SystemClock)
    stale_after: timedelta | None = timedelta(days=85)

    def pages(self, token: str) -> Iterator[Page]:
        """To the newest update."""
        newest = int(token or 0)
        query = {"start_time": str(newest), "limit": _LIMIT, "fields": _FIELDS, "types": "HASH_PDQ"}
        body = self.web.get(f"/{self.group}/threat_updates/", query) or b""
        seen = set[str]()
        while True:
            page = json_page(self.web.name, body)
            raw = list_in(self.web.name, page, "data")
            records, refused = read_all(raw, self._read)
            newest = max([newest, *(record.version for record in records)])
            yield Page(records, str(newest), refused)
            following = self._next(page)
            if not following or following in seen:
                return
            seen.add(following)
            body = self.web.follow(following)

    def _read(self, untrusted: object) -> Record | None:
        """One that is dated ahead would hide, as a checkpoint, all that comes until then."""
        record = read_update(untrusted)
        ahead_s = (self.clock.now() + _AHEAD).timestamp()
        if record is not None and record.version > ahead_s:
            raise BadRecord("it is dated ahead")
        return record

    def _next(self, page: dict[str, Any]) -> str:
        paging = page.get("paging")
        following = paging.get("next") if isinstance(paging, dict) else None
        if following is None:
            return ""
        if not isinstance(following, str) or len(following) > _URL_MAX:
            raise BadPage(name=self.web.name, why="its next page has no address")
        return following


def read_update(untrusted: object) -> Record | None:
    """One update; None for indicators of another type. Raises BadRecord."""
    update = fields(untrusted)
    if word(update.get("type", "HASH_PDQ")) != "HASH_PDQ":
        return None
    name, version = key(update.get("id")), whole(update.get("last_updated"))
    deleted = update.get("should_delete", False)
    if not isinstance(deleted, bool):
        raise BadRecord("should_delete is neither true nor false")
    if deleted or "descriptors" not in update:
        return Record(name, version)
    return Record(name, version, (pdq(update.get("indicator")),))
