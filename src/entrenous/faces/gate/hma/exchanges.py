"""What the gate fetches from others, to be read only: the command line changes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from entrenous.faces.gate.hma.errors import NotOffered
from entrenous.faces.gate.hma.matching import said
from entrenous.faces.gate.hma.names import NAME_CHARS_MAX, hma_name
from entrenous.model.exchange import NoSuchSource, Source, SourceKind
from entrenous.ports.exchange import SourceStore

_APIS: Final[Mapping[SourceKind, str]] = {
    SourceKind.THREATEXCHANGE: "fb_threatexchange",
    SourceKind.FILE: "local_file",
    SourceKind.NCMEC: "ncmec",
    SourceKind.STOPNCII: "stop_ncii",
    SourceKind.HMA: "hma",  # HMA itself fetches from none
}
_BY_COMMAND: Final = (
    "On the gate's own machine, where credentials stay out of HTTP: entrenous gate exchange add, "
    "and entrenous gate exchange fetch"
)


@dataclass(frozen=True, slots=True)
class Exchanges:
    """One handler per address."""

    sources: SourceStore

    async def apis(self, _request: Request) -> Response:
        """What a gate can fetch from."""
        return said(sorted(_APIS.values()))

    async def exchanges(self, _request: Request) -> Response:
        """The names of all sources."""
        sources = await run_in_threadpool(self.sources.sources)
        return said(sorted(hma_name(one.name) for one in sources))

    async def exchange(self, request: Request) -> Response:
        """What kind of source it is; its address may be private."""
        source = await run_in_threadpool(self._called, request.path_params["exchange"])
        return said({"name": hma_name(source.name), "api": _APIS[source.kind], "enabled": True})

    async def status(self, request: Request) -> Response:
        """How far it was read. That a fetch runs or failed is not kept, so not told."""
        name = request.path_params["exchange"]
        return said(await run_in_threadpool(self._status, name))

    async def not_here(self, _request: Request) -> Response:
        """Refused, with what to do instead."""
        raise NotOffered(instead=_BY_COMMAND)

    def _status(self, untrusted_name: str) -> dict[str, Any]:
        source = self._called(untrusted_name)
        checkpoint = self.sources.checkpoint(source.name)
        whole_at = _seconds(checkpoint.whole_at)
        return {
            "checkpoint_ts": whole_at,
            "fetched_items": self.sources.live(source.name),
            "last_fetch_complete_ts": whole_at,
            "last_fetch_succeeded": True if checkpoint.at_end else None,
            "running_fetch_start_ts": None,
            "up_to_date": checkpoint.at_end,
        }

    def _called(self, untrusted_name: str) -> Source:
        known = {hma_name(one.name): one for one in self.sources.sources()}
        if untrusted_name not in known:
            raise NoSuchSource(name=untrusted_name[:NAME_CHARS_MAX])
        return known[untrusted_name]


def _seconds(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())
