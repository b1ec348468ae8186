"""Handlers to register, query and withdraw a claim, and to submit a partner's opinion on it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

import anyio
import msgspec
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from entrenous.base.errors import NotUnderstood
from entrenous.base.identifiers import ClaimId
from entrenous.base.limits import VIDEO_CLAIM_BYTES_MAX
from entrenous.stop.http.access import HourlyLimit, claim_id_in_path, holder_token
from entrenous.stop.http.answers import PRIVATE_HEADERS, run_after_answer
from entrenous.stop.http.request_body import read_body, too_large_error
from entrenous.stop.judge.look_back import look_back_for_newest_claims
from entrenous.stop.partners import accept_opinion
from entrenous.stop.platform import Platform
from entrenous.stop.register import register_claim, withdraw_claim
from entrenous.stop.registration import (
    ED25519_KEY_BYTES,
    BadClaim,
    BadOpinion,
    Claim,
    ClaimRequest,
    ClaimStatus,
    Opinion,
    Stance,
)
from entrenous.stop.registration_format import (
    REQUEST_BYTES_MAX_BY_KIND,
    read_registration_request,
    write_claim_status,
)
from entrenous.wire.encodings import from_base64url

OPINION_SCHEMA: Final = "entrenous/opinion/1"
OPINION_BYTES_MAX: Final = 4096
_SIGNATURE_BYTES: Final = 64
_UNIX_SECONDS_MAX: Final = 2**34  # the year 2514


class _OpinionForm(msgspec.Struct, forbid_unknown_fields=True):
    schema: str
    opinion: Stance
    at: int
    key: str
    signature: str


def parse_opinion(untrusted_data: bytes, claim: ClaimId) -> tuple[Opinion, bytes]:
    """Parse an opinion on ``claim``.

    Returns:
        The opinion, and its 64-byte signature, which is not verified here.

    Raises:
        BadOpinion: the data is malformed; the message does not repeat it.
    """
    try:
        form = msgspec.json.decode(untrusted_data, type=_OpinionForm)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise BadOpinion(why="it is not the expected JSON object") from problem
    if form.schema != OPINION_SCHEMA or not 0 <= form.at < _UNIX_SECONDS_MAX:
        raise BadOpinion(why=f"its schema is not {OPINION_SCHEMA}, or its time is invalid")
    try:
        key, signature = (
            from_base64url(form.key, ED25519_KEY_BYTES),
            from_base64url(form.signature, _SIGNATURE_BYTES),
        )
    except NotUnderstood as problem:
        why = "its key or signature is not base64url, or has the wrong length"
        raise BadOpinion(why=why) from problem
    return Opinion(claim, form.opinion, datetime.fromtimestamp(form.at, UTC), key), signature


@dataclass(frozen=True, slots=True)
class ClaimHandlers:
    """Handlers of /v1/claims.

    A look-back (the search of earlier uploads for a new claim) reads the uploads of several weeks,
    so only one look-back runs at a time.
    """

    platform: Platform
    hourly_limit: HourlyLimit
    look_back_limiter: anyio.CapacityLimiter

    @classmethod
    def create(cls, platform: Platform) -> Self:
        limits = platform.limits
        hourly_limit = HourlyLimit(limits.claims_per_hour, limits.claims_of_all)
        return cls(platform, hourly_limit, anyio.CapacityLimiter(1))

    async def register(self, request: Request) -> Response:
        """Register a claim, within the hourly limits; then run its look-back."""
        client = request.client.host if request.client else ""
        self.hourly_limit.count_or_refuse(client, self.platform.clock.now())
        body = await read_body(request, VIDEO_CLAIM_BYTES_MAX)
        form = await run_in_threadpool(_parse_registration, body)
        with self.hourly_limit.counted_in_total(self.platform.clock.now()):
            claim = await run_in_threadpool(register_claim, form, self.platform)
        looking = BackgroundTask(
            run_after_answer,
            look_back_for_newest_claims,
            self.platform,
            limiter=self.look_back_limiter,
        )
        return _claim_response(claim, 201, looking)

    async def get_claim(self, request: Request) -> Response:
        """Return the claim's state; its id is random, so knowing it is permission enough."""
        name = claim_id_in_path(request)
        return _claim_response(await run_in_threadpool(self.platform.bank.claim, name))

    async def withdraw(self, request: Request) -> Response:
        """Withdraw a claim with the holder's token."""
        name = claim_id_in_path(request)
        token = holder_token(request)
        return _claim_response(await run_in_threadpool(withdraw_claim, name, token, self.platform))

    async def submit_opinion(self, request: Request) -> Response:
        """Submit a partner platform's signed opinion."""
        name = claim_id_in_path(request)
        opinion, signature = parse_opinion(await read_body(request, OPINION_BYTES_MAX), name)
        return _claim_response(
            await run_in_threadpool(accept_opinion, opinion, signature, self.platform)
        )


def _parse_registration(untrusted_body: bytes) -> ClaimRequest:
    """Parse a request to register; raises BadClaim, TooLarge."""
    form = _check_printable(read_registration_request(untrusted_body))
    limit = REQUEST_BYTES_MAX_BY_KIND[form.kind]
    if len(untrusted_body) > limit:
        raise too_large_error(limit)
    return form


def _check_printable(request: ClaimRequest) -> ClaimRequest:
    """Check that the words that reviewers will read are printable; raises BadClaim."""
    if not (request.reason + request.jurisdiction).isprintable():
        raise BadClaim(why="a text contains characters that cannot be printed")
    return request


def _claim_response(
    claim: Claim, status_code: int = 200, background_task: BackgroundTask | None = None
) -> Response:
    body = write_claim_status(ClaimStatus(claim.id, claim.kind, claim.state))
    return Response(body, status_code, PRIVATE_HEADERS, "application/json", background_task)
