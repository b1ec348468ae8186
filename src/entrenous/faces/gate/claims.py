"""Register a claim, ask how it stands, take it back, and say what another platform thinks of it."""

from dataclasses import dataclass
from typing import Self

import anyio
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from entrenous.craft.wire.claim import BYTES_MAX, read_request, write_claim
from entrenous.faces.gate.access import HourlyLimit, holder_token
from entrenous.faces.gate.afterwards import afterwards
from entrenous.faces.gate.answers import PRIVATE
from entrenous.faces.gate.body import read_body, too_large
from entrenous.faces.gate.names import claim_in
from entrenous.faces.gate.opinion import OPINION_BYTES_MAX, read_opinion
from entrenous.model.claim import BadClaim, Claim, ClaimRequest, ClaimStatus
from entrenous.ports import Platform
from entrenous.spec import VIDEO_CLAIM_BYTES_MAX
from entrenous.stop.look_back import look_back_now
from entrenous.stop.opinions import take_opinion
from entrenous.stop.register import register_claim
from entrenous.stop.withdraw import withdraw_claim


@dataclass(frozen=True, slots=True)
class Claims:
    """One handler per address: read the request, call the verb, render the answer.

    A look back reads all that was accepted for weeks, so it is one at a time.
    """

    platform: Platform
    per_hour: HourlyLimit
    looking_back: anyio.CapacityLimiter

    @classmethod
    def of(cls, platform: Platform) -> Self:
        """With the platform's limits, which begin now."""
        limits = platform.limits
        per_hour = HourlyLimit(limits.claims_per_hour, limits.claims_of_all)
        return cls(platform, per_hour, anyio.CapacityLimiter(1))

    async def register(self, request: Request) -> Response:
        """A person's claim; anybody may make one, some per hour. Then look back for it."""
        client = request.client.host if request.client else ""
        self.per_hour.count(client, self.platform.clock.now())
        body = await read_body(request, VIDEO_CLAIM_BYTES_MAX)
        claim = await run_in_threadpool(self._registered, body)
        looking = BackgroundTask(afterwards, look_back_now, self.platform, places=self.looking_back)
        return _claim(claim, 201, looking)

    def _registered(self, untrusted_body: bytes) -> Claim:
        form = _printable(read_request(untrusted_body))
        limit = BYTES_MAX[form.kind]
        if len(untrusted_body) > limit:
            raise too_large(limit)
        return register_claim(form, self.platform)

    async def claim(self, request: Request) -> Response:
        """Its state; who knows its random name may ask."""
        name = claim_in(request)
        return _claim(await run_in_threadpool(self.platform.bank.claim, name))

    async def withdraw(self, request: Request) -> Response:
        """The holder's token is enough."""
        name = claim_in(request)
        token = holder_token(request)
        return _claim(await run_in_threadpool(withdraw_claim, name, token, self.platform))

    async def opinion(self, request: Request) -> Response:
        """Another platform's, which its signature proves."""
        name = claim_in(request)
        opinion, signature = read_opinion(await read_body(request, OPINION_BYTES_MAX), name)
        return _claim(await run_in_threadpool(take_opinion, opinion, signature, self.platform))


def _printable(request: ClaimRequest) -> ClaimRequest:
    """Its two words of context are shown to people; raises BadClaim."""
    if not (request.reason + request.jurisdiction).isprintable():
        raise BadClaim(why="a text has characters that cannot be printed")
    return request


def _claim(claim: Claim, status_code: int = 200, then: BackgroundTask | None = None) -> Response:
    said = write_claim(ClaimStatus(claim.id, claim.kind, claim.state))
    return Response(said, status_code, PRIVATE, "application/json", then)
