"""``/h`` and ``/m``: hash a picture, and look up what lies near a hash."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from entrenous.craft.fingerprint.distance import distance
from entrenous.craft.fingerprint.picture import fingerprint
from entrenous.faces.gate.access import GateAccess
from entrenous.faces.gate.answers import PRIVATE
from entrenous.faces.gate.hma.errors import BadParameter, NoFetching
from entrenous.faces.gate.hma.form import Form, read_form
from entrenous.faces.gate.hma.lookups import acted_on, all_of, described, fits_near
from entrenous.faces.gate.hma.names import names_wanted
from entrenous.faces.gate.hma.params import (
    SIGNAL,
    bits_of,
    flag,
    json_object,
    member,
    needed,
    no_url,
    only_pdq,
)
from entrenous.model.fingerprint import Fingerprint
from entrenous.model.gate import GateBusy
from entrenous.ports import Platform
from entrenous.spec import PDQ_QUALITY_MIN, PDQ_RADIUS
from entrenous.stop.before_answer import first_look
from entrenous.stop.look import Seen


@dataclass(frozen=True, slots=True)
class Pictures:
    """What decodes and hashes pictures, so many at once."""

    platform: Platform
    limit_bytes: int
    places: anyio.CapacityLimiter

    @classmethod
    def of(cls, platform: Platform, access: GateAccess) -> Self:
        """With the gate's limits."""
        places = anyio.CapacityLimiter(access.uploads_at_once)
        return cls(platform, access.upload_bytes_max, places)

    async def fingerprint(self, request: Request) -> tuple[Fingerprint, Form]:
        """Of the form's picture, from all of its pixels; and the form."""
        async with self._place(request):
            form = await read_form(request, self.limit_bytes)
            return await run_in_threadpool(self._hashed, form.untrusted_photo), form

    async def views(self, request: Request) -> Seen:
        """The gate's fast look at the form's picture; nothing when it is flat."""
        async with self._place(request):
            form = await read_form(request, self.limit_bytes)
            return await run_in_threadpool(self._seen, form.untrusted_photo)

    def _hashed(self, untrusted_photo: bytes) -> Fingerprint:
        return fingerprint(self.platform.read_picture(untrusted_photo))

    def _seen(self, untrusted_photo: bytes) -> Seen:
        _, views = first_look(untrusted_photo, self.platform)
        return () if views.quality < PDQ_QUALITY_MIN else views.whole

    @asynccontextmanager
    async def _place(self, request: Request) -> AsyncIterator[None]:
        """One of the places; raises GateBusy when all are taken."""
        try:
            self.places.acquire_on_behalf_of_nowait(request)
        except anyio.WouldBlock as problem:
            raise GateBusy from problem
        try:
            yield
        finally:
            self.places.release_on_behalf_of(request)


@dataclass(frozen=True, slots=True)
class Matching:
    """One handler per address: read the request, ask, render the answer."""

    platform: Platform
    pictures: Pictures

    async def hash_url(self, request: Request) -> Response:
        """Refused: an address is never fetched."""
        needed(request, "url")
        raise NoFetching

    async def hash_file(self, request: Request) -> Response:
        """A picture's PDQ hash; an empty one when it is too flat to be compared."""
        no_url(request)
        only_pdq(request)
        hashed, _ = await self.pictures.fingerprint(request)
        return said({SIGNAL: hashed.hex if hashed.quality >= PDQ_QUALITY_MIN else ""})

    async def raw_lookup(self, request: Request) -> Response:
        """All contents near a hash, also of banks in shadow."""
        seen = _signal(request)
        with_distance = flag(request.query_params.get("include_distance", ""), "include_distance")
        fits = await run_in_threadpool(self._all_of, seen, request.query_params.get("banks", ""))
        matches = [described(fit) if with_distance else fit.number for fit in fits]
        return said({"matches": matches})

    async def lookup(self, request: Request) -> Response:
        """Contents near a hash that the gate would act on, by bank."""
        no_url(request)
        seen = _signal(request)
        banks = request.query_params.get("banks", "")
        return said(await run_in_threadpool(self._acted_on, seen, banks))

    async def lookup_file(self, request: Request) -> Response:
        """The same for a picture, in all orientations; nothing for a flat one."""
        no_url(request)
        only_pdq(request)
        seen = await self.pictures.views(request)
        banks = request.query_params.get("banks", "")
        return said({SIGNAL: await run_in_threadpool(self._acted_on, seen, banks)})

    async def compare(self, request: Request) -> Response:
        """Whether two hashes match, and their distance."""
        asked = await json_object(request)
        pair = member(asked, SIGNAL, list)
        if len(asked) > 1 or len(pair) != 2:
            raise BadParameter(why=f'{{"{SIGNAL}": [hash, hash]}} is expected')
        one, other = (Fingerprint(SIGNAL, bits_of(signal), 0) for signal in pair)
        bits = distance(one, other)
        return said({SIGNAL: [bits <= PDQ_RADIUS, {"distance": bits}]})

    def _all_of(self, seen: Seen, untrusted_banks: str) -> Any:
        wanted = names_wanted(untrusted_banks, self.platform)
        return all_of(fits_near(seen, self.platform), wanted)

    def _acted_on(self, seen: Seen, untrusted_banks: str) -> Any:
        wanted = names_wanted(untrusted_banks, self.platform)
        return acted_on(fits_near(seen, self.platform) if seen else [], wanted)


def said(answer: Any, status: int = 200) -> JSONResponse:
    """A JSON answer that nobody keeps."""
    return JSONResponse(answer, status, PRIVATE)


def _signal(request: Request) -> Seen:
    signal = needed(request, "signal")
    only_pdq(request, needs=True)
    return (("", bits_of(signal)),)
