"""Handlers to submit an upload, and to appeal against a refusal."""

from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Self

import anyio
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from entrenous.base.picture import MediaKind
from entrenous.base.secret import Secret
from entrenous.media.file_kind import media_kind_of
from entrenous.stop.http.access import (
    AccountCounter,
    GateAccess,
    TokenRole,
    appeal_secret,
    case_number_in_path,
    declared_publishing,
    token_role,
)
from entrenous.stop.http.answers import (
    PRIVATE_HEADERS,
    appeal_json,
    decision_json,
    run_after_answer,
)
from entrenous.stop.http.request_body import read_upload
from entrenous.stop.judge.decide import (
    decide_upload,
    hash_appeal_secret,
    needs_upload_bytes,
    store_upload_bytes_if_needed,
    submit_appeal,
)
from entrenous.stop.judge.judge_pool import JudgePool, processor_count
from entrenous.stop.nouns import GateBusy
from entrenous.stop.platform import Platform
from entrenous.stop.upload_record import Decision, NoSuchReview, Outcome, PublishedAnyway

_ACCOUNT_KEY_BYTES: Final = 32
_SLOT_WAIT_S_MAX: Final = 10  # seconds that a received upload waits for its turn


@dataclass(slots=True)
class UploadHandlers:
    """Handlers of /v1/uploads, and the limits on concurrent work.

    ``picture_slots`` limits how many pictures are judged at once: one for each of ``judges``
    (processes that judge). A gate without judges uses one thread per processor plus one, since more
    threads would only compete for the interpreter. ``clip_slots`` limits clips and sounds, which
    need more time and memory, so that they block no picture. ``body_slots`` and ``appeal_slots``
    limit request bodies in memory. They are separate, so that slow senders of one kind do not block
    the other. ``on_judged`` is called after each answer.
    """

    platform: Platform
    access: GateAccess
    picture_slots: anyio.CapacityLimiter
    body_slots: Mapping[TokenRole, anyio.CapacityLimiter]
    appeal_slots: anyio.CapacityLimiter
    clip_slots: anyio.CapacityLimiter
    accounts: AccountCounter
    judges: JudgePool | None = None
    on_judged: Callable[[Decision], object] = lambda _: None

    @classmethod
    def create(
        cls, platform: Platform, access: GateAccess, judges: JudgePool | None = None
    ) -> Self:
        """Choose the limits by ``access.uploads_at_once``.

        For each role, at most that many request bodies are in memory, or two per judge if this is
        more. Appeals get half of ``access.uploads_at_once``, and clips a quarter.
        """
        most = access.uploads_at_once
        at_once, waiting = min(most, processor_count() + 1), most
        if judges is not None:
            # With two request bodies in memory for each judge, no judge has to wait for the next
            # upload.
            at_once, waiting = judges.most, max(most, 2 * judges.most)
        picture_slots = anyio.CapacityLimiter(at_once)
        body_slots = {role: anyio.CapacityLimiter(waiting) for role in TokenRole}
        appeal_slots = anyio.CapacityLimiter(max(1, most // 2))
        clip_slots = anyio.CapacityLimiter(max(1, most // 4))
        accounts = AccountCounter(access, Secret(platform.random_source.token(_ACCOUNT_KEY_BYTES)))
        return cls(
            platform, access, picture_slots, body_slots, appeal_slots, clip_slots, accounts, judges
        )

    async def judge_upload(self, request: Request) -> Response:
        """Judge one upload; raises GateBusy when there are too many at once.

        Work for quarantined uploads is done after the answer, so that timing reveals nothing.
        """
        role = token_role(request, self.access)
        names = self.accounts.counted_names(request, role)
        async with take_slot(self.body_slots[role], request):
            publishes = declared_publishing(request, role)
            if self._may_answer_reveal(publishes):
                self.accounts.count_or_refuse(names, self.platform.clock.now())
            received = await read_upload(request, self.access.upload_bytes_max)
            if role is not TokenRole.OPERATOR:
                received = replace(received, reference="")
            data, reference = received.untrusted_data, received.reference
            if media_kind_of(data) is MediaKind.PICTURE:
                if self.judges is not None and self.picture_slots.borrowed_tokens:
                    # This is a second concurrent picture, so start the judges.
                    self.judges.start_missing()
                async with _wait_for_slot(self.picture_slots):
                    decision = await self._decide_in_process_or_thread(data, reference, publishes)
            else:
                async with _wait_for_slot(self.clip_slots):
                    decision = await self._decide_in_thread(data, reference, publishes)
        if decision.outcome is Outcome.REFUSE and not decision.listed:
            self.accounts.count_refusal(names, self.platform.clock.now())
        answer = decision_json(role, decision, self.access.appeal_url)
        return JSONResponse(
            answer,
            headers=PRIVATE_HEADERS,
            background=BackgroundTask(self._after_answer, decision, data),
        )

    async def submit_appeal(self, request: Request) -> Response:
        """Appeal with the decision's secret, and optionally the file again."""
        case, secret = case_number_in_path(request), appeal_secret(request)
        await self._require_secret(case, secret)
        if not request.headers.get("content-type"):
            await run_in_threadpool(submit_appeal, case, secret, None, self.platform)
            return JSONResponse(appeal_json(case), headers=PRIVATE_HEADERS)
        async with take_slot(self.appeal_slots, case):
            received = await read_upload(request, self.access.upload_bytes_max)
            data = received.untrusted_data or None
            await run_in_threadpool(submit_appeal, case, secret, data, self.platform)
        return JSONResponse(appeal_json(case), headers=PRIVATE_HEADERS)

    def _may_answer_reveal(self, publishes: PublishedAnyway) -> bool:
        """Return whether the answer can tell the uploader anything.

        In shadow mode the answer reveals nothing, since everything is published. Uploads are then
        not counted per account, and every upload is judged.
        """
        return publishes is not PublishedAnyway.ALL and not self.platform.limits.shadow

    async def _decide_in_process_or_thread(
        self, untrusted_picture: bytes, reference: str, publishes: PublishedAnyway
    ) -> Decision:
        """Judge in a judge process if one is free, else in a thread."""
        if self.judges is not None:
            decision = await self.judges.decide(untrusted_picture, reference, publishes)
            if decision is not None:
                return decision
        return await self._decide_in_thread(untrusted_picture, reference, publishes)

    async def _decide_in_thread(
        self, untrusted_data: bytes, reference: str, publishes: PublishedAnyway
    ) -> Decision:
        return await run_in_threadpool(
            decide_upload, untrusted_data, self.platform, reference, publishes
        )

    async def _require_secret(self, case: str, secret: Secret) -> None:
        """Check the secret before reading an untrusted body; raises NoSuchReview."""
        may = self.platform.reviews.is_appeal_secret
        if not await run_in_threadpool(may, case, hash_appeal_secret(secret)):
            raise NoSuchReview(case=case)

    async def _after_answer(self, decision: Decision, untrusted_data: bytes) -> None:
        if decision.would is None:
            self.on_judged(decision)
        else:
            # For the metrics, ``on_judged`` may ask the database which banks are in shadow mode.
            await run_after_answer(self.on_judged, decision)
        if needs_upload_bytes(decision, self.platform):
            await run_after_answer(
                store_upload_bytes_if_needed, decision, untrusted_data, self.platform
            )


@asynccontextmanager
async def take_slot(slots: anyio.CapacityLimiter, of: Hashable) -> AsyncIterator[None]:
    """Take one of the slots, at most one for each value of ``of``; raises GateBusy if none is
    free.
    """
    try:
        slots.acquire_on_behalf_of_nowait(of)
    except (
        anyio.WouldBlock,
        RuntimeError,
    ) as problem:  # RuntimeError: this value of ``of`` has a slot already
        raise GateBusy from problem
    try:
        yield
    finally:
        slots.release_on_behalf_of(of)


@asynccontextmanager
async def _wait_for_slot(slots: anyio.CapacityLimiter) -> AsyncIterator[None]:
    """Wait for one of the slots; raise GateBusy after ten seconds."""
    try:
        slots.acquire_nowait()
    except anyio.WouldBlock:
        await _acquire_in_time(slots)
    try:
        yield
    finally:
        slots.release()


async def _acquire_in_time(slots: anyio.CapacityLimiter) -> None:
    try:
        with anyio.fail_after(_SLOT_WAIT_S_MAX):
            await slots.acquire()
    except TimeoutError as problem:
        raise GateBusy from problem
