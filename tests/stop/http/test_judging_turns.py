"""Concurrent uploads and appeals, idle senders, appeal secrets, and the start of the judges."""

import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Self

import anyio
import httpx
import pytest
from starlette.applications import Starlette

from entrenous.base.picture import Picture
from entrenous.base.secret import Secret
from entrenous.stop.http.access import GateAccess
from entrenous.stop.http.gate_app import gate_app
from entrenous.stop.platform import Platform
from entrenous.stop.upload_record import Decision, Outcome, PublishedAnyway
from tests.stop.platform_for_tests import jpeg

OPERATOR_HEADERS = {"Authorization": "Bearer operator-token"}
JPEG_TYPE = {"Content-Type": "image/jpeg"}


async def send_one_byte(app: Starlette, path: str, token: str, was_read: anyio.Event) -> None:
    """Send one byte of a picture, then idle; set ``was_read`` once the gate reads or answers."""
    first = True

    async def receive() -> dict[str, Any]:
        nonlocal first
        was_read.set()
        if not first:
            await anyio.sleep_forever()
        first = False
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def note_answer(_message: Any) -> None:
        was_read.set()

    headers = [(b"authorization", b"Bearer " + token.encode()), (b"content-type", b"image/jpeg")]
    scope = {
        "type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers,
    }  # fmt: skip
    await app(scope, receive, note_answer)


@asynccontextmanager
async def keep_senders_idle(
    app: Starlette, count: int, path: str, token: str
) -> AsyncIterator[httpx.AsyncClient]:
    async with anyio.create_task_group() as group:
        for _ in range(count):
            was_read = anyio.Event()
            group.start_soon(send_one_byte, app, path, token, was_read)
            await was_read.wait()
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gate") as web:
            yield web
        group.cancel_scope.cancel()


def test_idle_appeals_with_a_wrong_secret_take_no_slot(
    platform: Platform, access: GateAccess, other_picture: Any
) -> None:
    async def run_scenario() -> list[int]:
        app = gate_app(platform, access)
        first = await prepare_appeal(app, other_picture)
        async with keep_senders_idle(app, 40, "/v1/uploads/none/appeal", "A" * 22) as web:
            upload = await web.post(
                "/v1/uploads", content=jpeg(other_picture), headers=OPERATOR_HEADERS | JPEG_TYPE
            )
            appeal = await web.post(first["where"], headers=first["headers"])
            return [upload.status_code, appeal.status_code]

    assert anyio.run(run_scenario) == [200, 200]


def test_idle_appeals_with_a_secret_take_no_slot_of_an_upload(
    platform: Platform, access: GateAccess, other_picture: Any
) -> None:
    async def run_scenario() -> list[int]:
        app = gate_app(platform, access)
        first, second = [await prepare_appeal(app, other_picture) for _ in range(2)]
        async with keep_senders_idle(app, 20, first["where"], first["secret"]) as web:
            upload = await web.post(
                "/v1/uploads", content=jpeg(other_picture), headers=OPERATOR_HEADERS | JPEG_TYPE
            )
            with_file = [
                await web.post(
                    one["where"], content=jpeg(other_picture), headers=one["headers"] | JPEG_TYPE
                )
                for one in (first, second)
            ]
            without = await web.post(first["where"], headers=first["headers"])
            return [one.status_code for one in (upload, *with_file, without)]

    assert anyio.run(run_scenario) == [200, 429, 200, 200]


def test_only_appeals_with_files_need_a_slot(
    platform: Platform, access: GateAccess, other_picture: Any
) -> None:
    async def run_scenario() -> list[int]:
        app = gate_app(platform, GateAccess(access.operator, uploads_at_once=2))
        first, second = [await prepare_appeal(app, other_picture) for _ in range(2)]
        async with keep_senders_idle(app, 1, first["where"], first["secret"]) as web:
            return [
                (await web.post(second["where"], headers=second["headers"] | kind)).status_code
                for kind in (JPEG_TYPE, {})
            ]

    assert anyio.run(run_scenario) == [429, 200]


def test_idle_uploaders_do_not_stop_the_operator(
    platform: Platform, access: GateAccess, other_picture: Any
) -> None:
    async def run_scenario() -> list[int]:
        app = gate_app(platform, access)
        async with keep_senders_idle(app, 20, "/v1/uploads", "uploader-token") as web:
            return [
                (
                    await web.post("/v1/uploads", content=jpeg(other_picture), headers=who)
                ).status_code
                for who in (
                    OPERATOR_HEADERS | JPEG_TYPE,
                    {"Authorization": "Bearer uploader-token"} | JPEG_TYPE,
                )
            ]

    assert anyio.run(run_scenario) == [200, 429]


def test_body_of_an_appeal_with_a_wrong_secret_is_not_read(
    platform: Platform, access: GateAccess
) -> None:
    async def fail_if_read() -> Any:
        raise AssertionError("the body was read")

    answers: list[Any] = []

    async def record_answer(message: Any) -> None:
        answers.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/uploads/none/appeal", "query_string": b"",
        "headers": [
            (b"authorization", b"Bearer " + b"A" * 22), (b"content-type", b"image/jpeg"),
        ],
    }  # fmt: skip
    anyio.run(gate_app(platform, access), scope, fail_if_read, record_answer)
    assert answers[0]["status"] == 404


def test_two_concurrent_uploads_are_both_judged_by_a_gate_for_one(
    platform: Platform, access: GateAccess, other_picture: Any
) -> None:
    codes: list[int] = []

    async def run_scenario() -> None:
        app = gate_app(platform, GateAccess(access.operator, Secret(b"up"), uploads_at_once=1))
        transport = httpx.ASGITransport(app)

        async def send_upload(web: httpx.AsyncClient, token: str) -> None:
            headers = JPEG_TYPE | {"Authorization": f"Bearer {token}"}
            answer = await web.post("/v1/uploads", content=jpeg(other_picture), headers=headers)
            codes.append(answer.status_code)

        async with (
            httpx.AsyncClient(transport=transport, base_url="http://gate") as web,
            anyio.create_task_group() as group,
        ):
            group.start_soon(send_upload, web, "operator-token")
            group.start_soon(send_upload, web, "up")

    anyio.run(run_scenario)
    assert codes == [200, 200]


def test_at_most_one_upload_more_than_processors_is_judged_at_once(
    platform: Platform, access: GateAccess, other_picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.stop.http.upload_requests.processor_count", lambda: 1)
    lock, inside, most = threading.Lock(), 0, 0
    both_inside = threading.Barrier(2, timeout=20)  # a read waits until a second one has begun

    def count_concurrent_reads(untrusted_data: bytes) -> Picture:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        both_inside.wait()
        time.sleep(0.05)  # a third read would begin now if it were allowed
        with lock:
            inside -= 1
        return platform.read_picture(untrusted_data)

    async def run_scenario() -> list[int]:
        codes: list[int] = []
        transport = httpx.ASGITransport(
            gate_app(replace(platform, read_picture=count_concurrent_reads), access)
        )

        async def send_upload(web: httpx.AsyncClient) -> None:
            answer = await web.post(
                "/v1/uploads", content=jpeg(other_picture), headers=OPERATOR_HEADERS | JPEG_TYPE
            )
            codes.append(answer.status_code)

        async with (
            httpx.AsyncClient(transport=transport, base_url="http://gate") as web,
            anyio.create_task_group() as group,
        ):
            for _ in range(6):
                group.start_soon(send_upload, web)
        return codes

    assert anyio.run(run_scenario) == [200] * 6
    assert most == 2


def test_upload_that_waits_too_long_for_its_turn_is_refused_as_busy(
    platform: Platform, access: GateAccess, other_picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.stop.http.upload_requests._SLOT_WAIT_S_MAX", 0.05)
    started, go_on = threading.Event(), threading.Event()

    def read_picture_slowly(untrusted_data: bytes) -> Picture:
        started.set()
        go_on.wait(5)
        return platform.read_picture(untrusted_data)

    async def run_scenario() -> list[int]:
        codes: list[int] = []
        one_upload_at_once = GateAccess(access.operator, Secret(b"up"), uploads_at_once=1)
        transport = httpx.ASGITransport(
            gate_app(replace(platform, read_picture=read_picture_slowly), one_upload_at_once)
        )

        async def send_upload(web: httpx.AsyncClient, token: str) -> None:
            headers = JPEG_TYPE | {"Authorization": f"Bearer {token}"}
            answer = await web.post("/v1/uploads", content=jpeg(other_picture), headers=headers)
            codes.append(answer.status_code)

        async with (
            httpx.AsyncClient(transport=transport, base_url="http://gate") as web,
            anyio.create_task_group() as group,
        ):
            group.start_soon(send_upload, web, "operator-token")
            await anyio.to_thread.run_sync(started.wait)
            await send_upload(web, "up")
            go_on.set()
        return codes

    assert anyio.run(run_scenario) == [429, 200]


async def prepare_appeal(app: Starlette, pixels: Any) -> dict[str, Any]:
    """Upload a picture; return the path, the secret and the headers of an appeal."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gate") as web:
        answer = await web.post(
            "/v1/uploads", content=jpeg(pixels), headers=OPERATOR_HEADERS | JPEG_TYPE
        )
    decision = answer.json()
    where = f"/v1/uploads/{decision['case']}/appeal"
    headers = {"Authorization": f"Bearer {decision['secret']}"}
    return {"where": where, "secret": decision["secret"], "headers": headers}


@pytest.mark.parametrize("secret_is_valid", [True, False])
def test_appeal_is_accepted_once_and_only_with_its_secret(
    platform: Platform, access: GateAccess, other_picture: Any, *, secret_is_valid: bool
) -> None:
    async def run_scenario() -> list[int]:
        app = gate_app(platform, access)
        first = await prepare_appeal(app, other_picture)
        headers = first["headers"] if secret_is_valid else {"Authorization": f"Bearer {'A' * 22}"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gate") as web:
            return [(await web.post(first["where"], headers=headers)).status_code for _ in range(2)]

    assert anyio.run(run_scenario) == ([200, 409] if secret_is_valid else [404, 404])


class _FakeJudgePool:
    """A judge pool that refuses every upload and counts how often it is told to start judges."""

    most = 1

    def __init__(self) -> None:
        self.references: list[str] = []
        self.start_requests = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    def start_missing(self) -> None:
        self.start_requests += 1

    async def decide(
        self, _untrusted_data: bytes, reference: str, publishes: PublishedAnyway
    ) -> Decision:
        assert publishes is PublishedAnyway.NOTHING
        self.references.append(reference)
        await anyio.sleep(0.05)  # so that the next upload arrives during this one
        return Decision(
            Outcome.REFUSE, f"case-{len(self.references)}", secret=Secret(b"16 bytes of them")
        )


def test_two_concurrent_pictures_start_the_judges(
    platform: Platform, access: GateAccess, other_picture: Any
) -> None:
    judges, answers = _FakeJudgePool(), list[Any]()

    async def run_scenario() -> None:
        app = gate_app(platform, access, judges=judges)  # type: ignore[arg-type]

        async def send_upload(web: httpx.AsyncClient) -> None:
            headers = OPERATOR_HEADERS | JPEG_TYPE | {"Entrenous-Reference": "post 17"}
            answers.append(
                (await web.post("/v1/uploads", content=jpeg(other_picture), headers=headers)).json()
            )

        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://gate"
        ) as web:
            await send_upload(web)
            assert judges.start_requests == 0
            async with anyio.create_task_group() as group:
                group.start_soon(send_upload, web)
                group.start_soon(send_upload, web)

    anyio.run(run_scenario)
    assert judges.references == ["post 17"] * 3
    assert judges.start_requests > 0
    assert {(one["decision"], one["case"]) for one in answers} == {
        ("refuse", f"case-{number}") for number in (1, 2, 3)
    }
