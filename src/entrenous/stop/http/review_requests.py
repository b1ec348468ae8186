"""Handlers for reviewers: the queue, the cases, and the decisions."""

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
    case_number_in_path,
    check_case_number,
    require_operator,
    require_reviewer,
)
from entrenous.stop.http.answers import PRIVATE_HEADERS, review_json
from entrenous.stop.http.request_body import read_body
from entrenous.stop.platform import Platform
from entrenous.stop.review import (
    ShownClaims,
    confirm_case,
    make_blurred_view_and_log,
    next_review,
    read_upload_bytes_and_log,
    release_case,
)
from entrenous.stop.upload_record import Review, ReviewState

PUBLISHED_PER_PAGE_MAX: Final = 200  # uploads per page
# At most this many views are made at the same time, to leave processors to uploads.
_CONCURRENT_VIEWS_MAX: Final = 2
# Headers that keep a browser from displaying an upload as a page.
_UPLOAD_HEADERS: Final = PRIVATE_HEADERS | {
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


class BadVerdict(Malformed):
    """
    This is not a valid decision. Nothing was changed. A decision is {{"decision": "confirm"}} or
    {{"decision": "release"}}, optionally with "shown", the list of claims that the reviewer saw.
    """


class _VerdictForm(msgspec.Struct, forbid_unknown_fields=True):
    decision: str
    shown: tuple[ClaimId, ...] | None = None


@dataclass(frozen=True, slots=True)
class ReviewHandlers:
    """Handlers of /v1/reviews; ``on_review_decided`` is called with each decision."""

    platform: Platform
    access: GateAccess
    on_review_decided: Callable[[Review, ReviewState], object] = lambda *_: None
    view_slots: anyio.CapacityLimiter = field(
        default_factory=partial(anyio.CapacityLimiter, _CONCURRENT_VIEWS_MAX)
    )

    async def next_in_queue(self, request: Request) -> Response:
        """Return the oldest item in the queue, or with ``?after=CASE`` the next one."""
        by = await self._reviewer(request)
        after = check_case_number(request.query_params.get("after", ""))
        review = await run_in_threadpool(next_review, self.platform, after, by)
        waiting = await run_in_threadpool(self.platform.reviews.count_waiting_items)
        shown = await self._reviews_as_json(*([] if review is None else [review]))
        first = shown[0] if shown else None
        answer = {"schema": "entrenous/reviews/1", "waiting": waiting, "next": first}
        answer |= {"reviewer": by, "confirmers": self.platform.limits.confirmers}
        return JSONResponse(answer, headers=PRIVATE_HEADERS)

    async def list_published(self, request: Request) -> Response:
        """Return published uploads that now wait for review or must be removed; ``?after=CASE``
        gives the next page.
        """
        require_operator(request, self.access)
        after = request.query_params.get("after", "")
        page = self.platform.reviews.published_to_review_or_remove
        found = await run_in_threadpool(page, check_case_number(after), PUBLISHED_PER_PAGE_MAX + 1)
        answer = {
            "schema": "entrenous/published/1",
            "cases": await self._reviews_as_json(*found[:PUBLISHED_PER_PAGE_MAX]),
            "more": len(found) > PUBLISHED_PER_PAGE_MAX,
        }
        return JSONResponse(answer, headers=PRIVATE_HEADERS)

    async def get_review(self, request: Request) -> Response:
        """Return one case; the platform learns the decision in this way."""
        await self._reviewer(request)
        review = await run_in_threadpool(self.platform.reviews.review, case_number_in_path(request))
        (shown,) = await self._reviews_as_json(review)
        return JSONResponse(shown, headers=PRIVATE_HEADERS)

    async def decide(self, request: Request) -> Response:
        """Confirm or release a case; ``shown`` lists the claims that the reviewer saw."""
        by = await self._reviewer(request)
        verb, state, shown = parse_verdict(await read_body(request, CLAIM_BYTES_MAX))
        case = case_number_in_path(request)
        review: Review = await run_in_threadpool(verb, case, self.platform, by, shown)
        if review.state is state:  # otherwise a second person has to confirm first
            self.on_review_decided(review, state)
        (answer,) = await self._reviews_as_json(review)
        return JSONResponse(answer | {"also": review.also}, headers=PRIVATE_HEADERS)

    async def get_blurred_view(self, request: Request) -> Response:
        """Return the picture of a case as a small, grey, blurred PNG."""
        by = await self._reviewer(request)
        make_view = partial(
            make_blurred_view_and_log, case_number_in_path(request), by, self.platform
        )
        data = await anyio.to_thread.run_sync(make_view, limiter=self.view_slots)
        return Response(data, media_type="image/png", headers=_UPLOAD_HEADERS)

    async def get_original_bytes(self, request: Request) -> Response:
        """Return the original bytes of the upload."""
        by = await self._reviewer(request)
        data = await run_in_threadpool(
            read_upload_bytes_and_log, case_number_in_path(request), by, self.platform
        )
        return Response(data, media_type="application/octet-stream", headers=_UPLOAD_HEADERS)

    async def _reviewer(self, request: Request) -> str:
        return await require_reviewer(request, self.access, self.platform)

    async def _reviews_as_json(self, *reviews: Review) -> list[dict[str, Any]]:
        """Return JSON objects of reviews, with the facts of their claims, read in one query."""
        claims = {match.claim for one in reviews for match in one.decision.matches}
        facts = await run_in_threadpool(self.platform.bank.claim_facts, claims)
        return [review_json(one, facts) for one in reviews]


def parse_verdict(untrusted_data: bytes) -> tuple[Any, ReviewState, ShownClaims]:
    """Parse a decision.

    Returns:
        The function to call, the state it leads to, and the claims that the reviewer saw.

    Raises:
        BadVerdict.
    """
    verbs = {
        "confirm": (confirm_case, ReviewState.CONFIRMED),
        "release": (release_case, ReviewState.RELEASED),
    }
    try:
        verdict = msgspec.json.decode(untrusted_data, type=_VerdictForm)
        return (*verbs[verdict.decision], verdict.shown)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError) as problem:
        raise BadVerdict from problem
