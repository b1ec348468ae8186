"""The reviewers' side: what waits for a person, and what the person decides."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import anyio.to_thread
import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from entrenous.base.errors import Malformed
from entrenous.base.identifiers import ClaimId
from entrenous.base.limits import CLAIM_BYTES_MAX
from entrenous.stop.http.access import (
    GateAccess,
    case_in,
    checked_case,
    require_operator,
    require_reviewer,
)
from entrenous.stop.http.answers import PRIVATE, review_for_operator
from entrenous.stop.http.request_body import read_body
from entrenous.stop.platform import Platform
from entrenous.stop.review import Shown, blurred_view, clear_upload, confirm, next_review, release
from entrenous.stop.upload_record import Review, ReviewState

PUBLISHED_MAX: Final = 200  # in one answer
_VIEWS_AT_ONCE: Final = 2  # so that uploads keep the processors
# Never shown by a browser as a page.
_KEPT_APART: Final = PRIVATE | {
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


class BadVerdict(Malformed):
    """
    A decision is {{"decision": "confirm"}} or {{"decision": "release"}}, also with the list of the
    claims that were "shown". Nothing was changed.
    """


class _Verdict(msgspec.Struct, forbid_unknown_fields=True):
    decision: str
    shown: tuple[ClaimId, ...] | None = None


@dataclass(frozen=True, slots=True)
class Reviews:
    """One handler per address: read the request, call the verb, render the answer.

    ``reviewed`` is told of each decision of a person.
    """

    platform: Platform
    access: GateAccess
    reviewed: Callable[[Review, ReviewState], object] = lambda *_: None
    views: anyio.CapacityLimiter = field(
        default_factory=partial(anyio.CapacityLimiter, _VIEWS_AT_ONCE)
    )

    async def reviews(self, request: Request) -> Response:
        """The first upload that waits; ``?after=`` a case, the first one behind that."""
        by = await self._reviewer(request)
        after = checked_case(request.query_params.get("after", ""))
        review = await run_in_threadpool(next_review, self.platform, after, by)
        waiting = await run_in_threadpool(self.platform.reviews.waiting)
        shown = await self._shown(*([] if review is None else [review]))
        first = shown[0] if shown else None
        answer = {"schema": "entrenous/reviews/1", "waiting": waiting, "next": first}
        answer |= {"reviewer": by, "confirmers": self.platform.limits.confirmers}
        return JSONResponse(answer, headers=PRIVATE)

    async def published(self, request: Request) -> Response:
        """Uploads that were let through and wait now; ``?after=`` the last case that was seen."""
        require_operator(request, self.access)
        after = request.query_params.get("after", "")
        page = self.platform.reviews.published
        found = await run_in_threadpool(page, checked_case(after), PUBLISHED_MAX + 1)
        answer = {
            "schema": "entrenous/published/1",
            "cases": await self._shown(*found[:PUBLISHED_MAX]),
            "more": len(found) > PUBLISHED_MAX,
        }
        return JSONResponse(answer, headers=PRIVATE)

    async def review(self, request: Request) -> Response:
        """One case, also after its decision: how the platform learns what a person said."""
        await self._reviewer(request)
        review = await run_in_threadpool(self.platform.reviews.review, case_in(request))
        (shown,) = await self._shown(review)
        return JSONResponse(shown, headers=PRIVATE)

    async def decide(self, request: Request) -> Response:
        """{"decision": "confirm"} or {"decision": "release"}, and the claims that were "shown"."""
        by = await self._reviewer(request)
        verb, state, shown = verdict(await read_body(request, CLAIM_BYTES_MAX))
        case = case_in(request)
        review: Review = await run_in_threadpool(verb, case, self.platform, by, shown)
        if review.state is state:  # else another person has to confirm, too
            self.reviewed(review, state)
        (answer,) = await self._shown(review)
        return JSONResponse(answer | {"also": review.also}, headers=PRIVATE)

    async def view(self, request: Request) -> Response:
        """Small, grey and blurred."""
        by = await self._reviewer(request)
        look = partial(blurred_view, case_in(request), by, self.platform)
        data = await anyio.to_thread.run_sync(look, limiter=self.views)
        return Response(data, media_type="image/png", headers=_KEPT_APART)

    async def held_upload(self, request: Request) -> Response:
        """The bytes as they came."""
        by = await self._reviewer(request)
        data = await run_in_threadpool(clear_upload, case_in(request), by, self.platform)
        return Response(data, media_type="application/octet-stream", headers=_KEPT_APART)

    async def _reviewer(self, request: Request) -> str:
        return await require_reviewer(request, self.access, self.platform)

    async def _shown(self, *reviews: Review) -> list[dict[str, Any]]:
        """With what is known of their claims, asked for once."""
        claims = {match.claim for one in reviews for match in one.decision.matches}
        facts = await run_in_threadpool(self.platform.bank.facts, claims)
        return [review_for_operator(one, facts) for one in reviews]


def verdict(untrusted_data: bytes) -> tuple[Any, ReviewState, Shown]:
    """The verb that a reviewer's word calls for, the state after it, and what the reviewer saw;
    raises BadVerdict.
    """
    verbs = {
        "confirm": (confirm, ReviewState.CONFIRMED),
        "release": (release, ReviewState.RELEASED),
    }
    try:
        said = msgspec.json.decode(untrusted_data, type=_Verdict)
        return (*verbs[said.decision], said.shown)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError) as problem:
        raise BadVerdict from problem
