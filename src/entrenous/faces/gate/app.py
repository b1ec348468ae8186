"""The platform's gate over HTTP: bring an upload, register a claim, review (docs/spec/gate.md, 6).

Uploads and the database are worked on in threads, so that a slow picture does not hold up a claim.
"""

from dataclasses import dataclass
from typing import Any

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from entrenous.craft.wire.claim import read_request, write_claim
from entrenous.faces.gate.access import (
    GateAccess,
    HourlyLimit,
    holder_token,
    require_operator,
    role_of,
)
from entrenous.faces.gate.answers import decision_for, review_for_operator
from entrenous.faces.gate.body import read_body, read_upload
from entrenous.faces.gate.problems import on_bug, on_error, on_http_error
from entrenous.model.bank import Claim, ClaimStatus, GateBusy, Review
from entrenous.model.errors import EntrenousError, Malformed
from entrenous.model.ids import ClaimId
from entrenous.ports import Platform
from entrenous.spec import CLAIM_BYTES_MAX
from entrenous.stop.gate import judge_upload
from entrenous.stop.register import register_claim
from entrenous.stop.review import confirm, next_review, release
from entrenous.stop.withdraw import withdraw_claim

PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def gate_app(platform: Platform, access: GateAccess) -> Starlette:
    """The gate's ASGI application, for a platform whose banks ``prepare_banks`` has made."""
    gate = _Gate(
        platform,
        access,
        anyio.CapacityLimiter(access.uploads_at_once),
        HourlyLimit(access.claims_per_hour),
    )
    routes = [
        Route("/v1/status", gate.status),
        Route("/v1/uploads", gate.upload, methods=["POST"]),
        Route("/v1/claims", gate.register, methods=["POST"]),
        Route("/v1/claims/{claim}", gate.claim),
        Route("/v1/claims/{claim}", gate.withdraw, methods=["DELETE"]),
        Route("/v1/reviews", gate.reviews),
        Route("/v1/reviews/{case}", gate.decide, methods=["POST"]),
        Route("/v1/reviews/{case}/upload", gate.held_upload),
    ]
    return Starlette(
        routes=routes,
        exception_handlers={
            EntrenousError: on_error,
            HTTPException: on_http_error,
            Exception: on_bug,
        },
    )


class BadVerdict(Malformed):
    """A decision is {{"decision": "confirm"}} or {{"decision": "release"}}; nothing was changed."""


class _Verdict(msgspec.Struct, forbid_unknown_fields=True):
    decision: str


@dataclass(frozen=True, slots=True)
class _Gate:
    """One handler per address: read the request, call the verb, render the answer."""

    platform: Platform
    access: GateAccess
    uploads: anyio.CapacityLimiter
    claims: HourlyLimit

    async def status(self, request: Request) -> Response:
        """Is it alive, and does its database answer? Counts are for the operator only."""
        waiting = await run_in_threadpool(self.platform.reviews.waiting)
        answer: dict[str, Any] = {"schema": "entrenous/gate-status/1", "state": "serving"}
        if request.headers.get("authorization"):
            require_operator(request, self.access)
            counts = await run_in_threadpool(self.platform.bank.counts)
            answer |= {"claims": counts.claims, "hashes": counts.hashes, "reviews": waiting}
        return JSONResponse(answer, headers=PRIVATE)

    async def upload(self, request: Request) -> Response:
        """Judge one upload; more at once than there is room for are told to come back."""
        role = role_of(request, self.access)
        try:
            self.uploads.acquire_on_behalf_of_nowait(request)
        except anyio.WouldBlock as problem:
            raise GateBusy from problem
        try:
            data = await read_upload(request, self.access.upload_bytes_max)
            decision = await run_in_threadpool(judge_upload, data, self.platform)
        finally:
            self.uploads.release_on_behalf_of(request)
        return JSONResponse(decision_for(role, decision, self.access.appeal_url), headers=PRIVATE)

    async def register(self, request: Request) -> Response:
        """A person's claim; anybody may make one, some per hour."""
        client = request.client.host if request.client else ""
        self.claims.count(client, self.platform.clock.now())
        form = read_request(await read_body(request, CLAIM_BYTES_MAX))
        claim = await run_in_threadpool(register_claim, form, self.platform)
        return _claim(claim, 201)

    async def claim(self, request: Request) -> Response:
        """Its state; who knows its random name may ask."""
        name = ClaimId(request.path_params["claim"])
        return _claim(await run_in_threadpool(self.platform.bank.claim, name))

    async def withdraw(self, request: Request) -> Response:
        """The holder's token is enough."""
        name = ClaimId(request.path_params["claim"])
        token = holder_token(request)
        return _claim(await run_in_threadpool(withdraw_claim, name, token, self.platform))

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
        verb = _verb(await read_body(request, CLAIM_BYTES_MAX))
        case = request.path_params["case"]
        await run_in_threadpool(verb, case, self.platform)
        closed: Review = await run_in_threadpool(self.platform.reviews.review, case)
        return JSONResponse(review_for_operator(closed), headers=PRIVATE)

    async def held_upload(self, request: Request) -> Response:
        """The bytes as they came: never shown by a browser as a page."""
        require_operator(request, self.access)
        data = await run_in_threadpool(self.platform.reviews.upload, request.path_params["case"])
        kept_apart = PRIVATE | {
            "Content-Disposition": "attachment",
            "Content-Security-Policy": "default-src 'none'; sandbox",
        }
        return Response(data, media_type="application/octet-stream", headers=kept_apart)


def _claim(claim: Claim, status_code: int = 200) -> Response:
    said = write_claim(ClaimStatus(claim.id, claim.kind, claim.state))
    return Response(said, status_code, PRIVATE, media_type="application/json")


def _verb(untrusted_data: bytes) -> Any:
    verbs = {"confirm": confirm, "release": release}
    try:
        return verbs[msgspec.json.decode(untrusted_data, type=_Verdict).decision]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError) as problem:
        raise BadVerdict from problem
