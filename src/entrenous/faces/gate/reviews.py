"""The operator's side: what waits for a person, and what the person says."""

from dataclasses import dataclass, replace
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from entrenous.faces.gate.access import GateAccess, require_operator
from entrenous.faces.gate.answers import PRIVATE, review_for_operator
from entrenous.faces.gate.body import read_body
from entrenous.faces.gate.names import case_in
from entrenous.model.errors import Malformed
from entrenous.model.review import Review, ReviewState
from entrenous.ports import Platform
from entrenous.spec import CLAIM_BYTES_MAX
from entrenous.stop.review import confirm, next_review, release


class BadVerdict(Malformed):
    """A decision is {{"decision": "confirm"}} or {{"decision": "release"}}; nothing was changed."""


class _Verdict(msgspec.Struct, forbid_unknown_fields=True):
    decision: str


@dataclass(frozen=True, slots=True)
class Reviews:
    """One handler per address: read the request, call the verb, render the answer."""

    platform: Platform
    access: GateAccess

    async def reviews(self, request: Request) -> Response:
        """The upload that has waited longest, if one waits."""
        require_operator(request, self.access)
        review = await run_in_threadpool(next_review, self.platform)
        waiting = await run_in_threadpool(self.platform.reviews.waiting)
        shown = None if review is None else review_for_operator(review)
        answer = {"schema": "entrenous/reviews/1", "waiting": waiting, "next": shown}
        return JSONResponse(answer, headers=PRIVATE)

    async def decide(self, request: Request) -> Response:
        """{"decision": "confirm"} or {"decision": "release"}."""
        require_operator(request, self.access)
        verb, state = verdict(await read_body(request, CLAIM_BYTES_MAX))
        case = case_in(request)
        review: Review = await run_in_threadpool(verb, case, self.platform)
        answer = review_for_operator(replace(review, state=state))
        return JSONResponse(answer | {"also": review.also}, headers=PRIVATE)

    async def held_upload(self, request: Request) -> Response:
        """The bytes as they came: never shown by a browser as a page."""
        require_operator(request, self.access)
        data = await run_in_threadpool(self.platform.reviews.upload, case_in(request))
        kept_apart = PRIVATE | {
            "Content-Disposition": "attachment",
            "Content-Security-Policy": "default-src 'none'; sandbox",
        }
        return Response(data, media_type="application/octet-stream", headers=kept_apart)


def verdict(untrusted_data: bytes) -> tuple[Any, ReviewState]:
    """The verb that a reviewer's word calls for, and the state after it; raises BadVerdict."""
    verbs = {
        "confirm": (confirm, ReviewState.CONFIRMED),
        "release": (release, ReviewState.RELEASED),
    }
    try:
        return verbs[msgspec.json.decode(untrusted_data, type=_Verdict).decision]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError) as problem:
        raise BadVerdict from problem
