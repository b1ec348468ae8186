"""Bring an upload, and appeal against a refusal."""

from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self

import anyio
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from entrenous.base.picture import Medium
from entrenous.base.secret import Secret
from entrenous.media.file_kind import medium_of
from entrenous.stop.http.access import (
    Accounts,
    GateAccess,
    Role,
    appeal_secret,
    case_in,
    publishes_of,
    role_of,
)
from entrenous.stop.http.answers import PRIVATE, appeal_answer, decision_for
from entrenous.stop.http.background_work import afterwards
from entrenous.stop.http.request_body import read_upload
from entrenous.stop.judge.decide import appeal, decide_upload, is_kept, keep_held, secret_hash
from entrenous.stop.judge.judge_pool import JudgePool, processors
from entrenous.stop.judge.look_back import tidy
from entrenous.stop.nouns import GateBusy
from entrenous.stop.platform import Platform
from entrenous.stop.upload_record import Decision, NoSuchReview, Outcome, Publishes

_KEY_BYTES: Final = 32
_TURN_S_MAX: Final = 10  # an upload that has arrived waits this long for its turn


@dataclass(slots=True)
class Uploads:
    """One handler per address: read the request, call the verb, render the answer.

    ``deciding`` are the places of pictures that are being judged: as many as there are ``judges``,
    or, where a gate judges by itself, one for each processor and one more, for threads beyond that
    only take the interpreter from each other. ``clips`` are those of clips and sounds, which take
    longer and more memory, and keep no picture waiting. Bodies are in memory from their first byte
    on, so these are bounded too, each kind for itself: a slow or idle sender keeps a place only
    from senders of the same kind. ``judged`` is told of each decision, after its answer.
    """

    platform: Platform
    access: GateAccess
    deciding: anyio.CapacityLimiter
    bodies: Mapping[Role, anyio.CapacityLimiter]
    appeals: anyio.CapacityLimiter
    clips: anyio.CapacityLimiter
    accounts: Accounts
    judges: JudgePool | None = None
    tidied: datetime | None = None
    judged: Callable[[Decision], object] = lambda _: None

    @classmethod
    def of(cls, platform: Platform, access: GateAccess, judges: JudgePool | None = None) -> Self:
        """With places for as many bodies as there may be uploads at once (or twice as many as
        judges), half as many for appeals, and a quarter for clips.
        """
        most = access.uploads_at_once
        at_once, waiting = min(most, processors() + 1), most
        if judges is not None:
            at_once, waiting = judges.most, max(most, 2 * judges.most)  # no judge waits for bodies
        deciding = anyio.CapacityLimiter(at_once)
        bodies = {role: anyio.CapacityLimiter(waiting) for role in Role}
        appeals = anyio.CapacityLimiter(max(1, most // 2))
        clips = anyio.CapacityLimiter(max(1, most // 4))
        accounts = Accounts(access, Secret(platform.dice.token(_KEY_BYTES)))
        return cls(platform, access, deciding, bodies, appeals, clips, accounts, judges)

    async def upload(self, request: Request) -> Response:
        """Judge one upload; more at once than there is room for are told to come back.

        What only a held one needs is done after the answer, whose time then tells nothing.
        """
        role = role_of(request, self.access)
        names = self.accounts.of(request, role)
        async with _place(self.bodies[role], request):
            publishes = publishes_of(request, role)
            if self._tells(publishes):
                self.accounts.count(names, self.platform.clock.now())
            sent = await read_upload(request, self.access.upload_bytes_max)
            if role is not Role.OPERATOR:
                sent = replace(sent, reference="")
            data, reference = sent.untrusted_data, sent.reference
            if medium_of(data) is Medium.PICTURE:
                if self.judges is not None and self.deciding.borrowed_tokens:
                    self.judges.wanted()  # two at once are more than a gate judges alone
                async with _turn(self.deciding):
                    decision = await self._judged(data, reference, publishes)
            else:
                async with _turn(self.clips):
                    decision = await self._decided(data, reference, publishes)
        if decision.outcome is Outcome.REFUSE and not decision.listed:
            self.accounts.was_refused(names, self.platform.clock.now())
        answer = decision_for(role, decision, self.access.appeal_url)
        return JSONResponse(
            answer, headers=PRIVATE, background=BackgroundTask(self._afterwards, decision, data)
        )

    async def appeal(self, request: Request) -> Response:
        """By the secret that came with the decision; the file may come again, or nothing."""
        case, secret = case_in(request), appeal_secret(request)
        await self._require_secret(case, secret)
        if not request.headers.get("content-type"):
            await run_in_threadpool(appeal, case, secret, None, self.platform)
            return JSONResponse(appeal_answer(case), headers=PRIVATE)
        async with _place(self.appeals, case):
            sent = await read_upload(request, self.access.upload_bytes_max)
            data = sent.untrusted_data or None
            await run_in_threadpool(appeal, case, secret, data, self.platform)
        return JSONResponse(appeal_answer(case), headers=PRIVATE)

    def _tells(self, publishes: Publishes) -> bool:
        """Whether an answer can tell its uploader anything: in shadow everything is published, so
        nothing is counted, and nothing passes unseen because too much came.
        """
        return publishes is not Publishes.ALL and not self.platform.limits.shadow

    async def _judged(
        self, untrusted_picture: bytes, reference: str, publishes: Publishes
    ) -> Decision:
        """By a judge, if one is free."""
        if self.judges is not None:
            decision = await self.judges.decide(untrusted_picture, reference, publishes)
            if decision is not None:
                return decision
        return await self._decided(untrusted_picture, reference, publishes)

    async def _decided(
        self, untrusted_data: bytes, reference: str, publishes: Publishes
    ) -> Decision:
        return await run_in_threadpool(
            decide_upload, untrusted_data, self.platform, reference, publishes
        )

    async def _require_secret(self, case: str, secret: Secret) -> None:
        """Before a stranger's body is read or a place is taken; raises NoSuchReview."""
        may = self.platform.reviews.may_appeal
        if not await run_in_threadpool(may, case, secret_hash(secret)):
            raise NoSuchReview(case=case)

    async def _afterwards(self, decision: Decision, untrusted_data: bytes) -> None:
        if decision.would is None:
            self.judged(decision)
        else:
            await afterwards(self.judged, decision)  # asks the database which banks are in shadow
        if is_kept(decision, self.platform):
            await afterwards(keep_held, decision, untrusted_data, self.platform)
        hour = self.platform.clock.now().replace(minute=0, second=0, microsecond=0)
        if hour != self.tidied:
            self.tidied = hour
            await afterwards(tidy, self.platform)


@asynccontextmanager
async def _place(places: anyio.CapacityLimiter, of: Hashable) -> AsyncIterator[None]:
    """One of the places, and one at a time ``of`` each; raises GateBusy when there is none."""
    try:
        places.acquire_on_behalf_of_nowait(of)
    except (anyio.WouldBlock, RuntimeError) as problem:  # the latter: it has one already
        raise GateBusy from problem
    try:
        yield
    finally:
        places.release_on_behalf_of(of)


@asynccontextmanager
async def _turn(places: anyio.CapacityLimiter) -> AsyncIterator[None]:
    """One of the places, when one is free; raises GateBusy when that takes too long."""
    try:
        places.acquire_nowait()
    except anyio.WouldBlock:
        await _waited(places)
    try:
        yield
    finally:
        places.release()


async def _waited(places: anyio.CapacityLimiter) -> None:
    try:
        with anyio.fail_after(_TURN_S_MAX):
            await places.acquire()
    except TimeoutError as problem:
        raise GateBusy from problem
