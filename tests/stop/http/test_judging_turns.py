"""Which senders an idle sender can block, and how many uploads are judged at once."""

import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
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

OPERATOR = {"Authorization": "Bearer operator-token"}
IMAGE = {"Content-Type": "image/jpeg"}


async def send_one_byte(app: Starlette, path: str, token: str, read: anyio.Event) -> None:
    """Send one byte of a picture, then nothing; set ``read`` once the gate reads or answers."""
    first = True

    async def receive() -> dict[str, Any]:
        nonlocal first
        read.set()
        if not first:
            await anyio.sleep_forever()
        first = False
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def ignore(_message: Any) -> None:
        read.set()

    headers = [(b"authorization", b"Bearer " + token.encode()), (b"content-type", b"image/jpeg")]
    scope = {
        "type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers,
    }  # fmt: skip
    await app(scope, receive, ignore)


@asynccontextmanager
async def idle_senders(
    app: Starlette, count: int, path: str, token: str
) -> AsyncIterator[httpx.AsyncClient]:
    async with anyio.create_task_group() as group:
        for _ in range(count):
            read = anyio.Event()
            group.start_soon(send_one_byte, app, path, token, read)
            await read.wait()
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gate") as web:
            yield web
        group.cancel_scope.cancel()


def run(scenario: Callable[[], Awaitable[Any]]) -> Any:
    return anyio.run(scenario)


def test_idle_appeals_without_a_secret_take_no_slot(
    platform: Platform, access: GateAccess, other_picture: Any
) -> None:
    async def scenario() -> list[int]:
        app = gate_app(platform, access)
        first = await upload_for_appeal(app, other_picture)
        async with idle_senders(app, 40, "/v1/uploads/none/appeal", "A" * 22) as web:
            upload = await web.post(
                "/v1/uploads", content=jpeg(other_picture), headers=OPERATOR | IMAGE
            )
            asked = await web.post(first["where"], headers=first["headers"])
            return [upload.status_code, asked.status_code]

    assert run(scenario) == [200, 200]


def test_idle_appeals_with_a_secret_take_no_slot_of_an_upload(
    platform: Platform, access: GateAccess, other_picture: Any
) -> None:
    async def scenario() -> list[int]:
        app = gate_app(platform, access)
        first, second = [await upload_for_appeal(app, other_picture) for _ in range(2)]
        async with idle_senders(app, 20, first["where"], first["secret"]) as web:
            upload = await web.post(
                "/v1/uploads", content=jpeg(other_picture), headers=OPERATOR | IMAGE
            )
            with_file = [
                await web.post(
                    one["where"], content=jpeg(other_picture), headers=one["headers"] | IMAGE
                )
                for one in (first, second)
            ]
            without = await web.post(first["where"], headers=first["headers"])
            return [one.status_code for one in (upload, *with_file, without)]

    assert run(scenario) == [200, 429, 200, 200]


def test_appeals_with_files_have_few_slots_of_their_own(
    platform: Platform, access: GateAccess, other_picture: Any
) -> None:
    async def scenario() -> list[int]:
        app = gate_app(platform, GateAccess(access.operator, uploads_at_once=2))
        first, second = [await upload_for_appeal(app, other_picture) for _ in range(2)]
        async with idle_senders(app, 1, first["where"], first["secret"]) as web:
            return [
                (await web.post(second["where"], headers=second["headers"] | kind)).status_code
                for kind in (IMAGE, {})
            ]

    assert run(scenario) == [429, 200]


def test_idle_uploaders_do_not_stop_the_operator(
    platform: Platform, access: GateAccess, other_picture: Any
) -> None:
    async def scenario() -> list[int]:
        app = gate_app(platform, access)
        async with idle_senders(app, 20, "/v1/uploads", "uploader-token") as web:
            return [
                (
                    await web.post("/v1/uploads", content=jpeg(other_picture), headers=who)
                ).status_code
                for who in (OPERATOR | IMAGE, {"Authorization": "Bearer uploader-token"} | IMAGE)
            ]

    assert run(scenario) == [200, 429]


def test_appeal_body_is_read_only_after_its_secret(platform: Platform, access: GateAccess) -> None:
    async def unread() -> Any:
        raise AssertionError("it was read")

    answers: list[Any] = []

    async def note(message: Any) -> None:
        answers.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/uploads/none/appeal", "query_string": b"",
        "headers": [
            (b"authorization", b"Bearer " + b"A" * 22), (b"content-type", b"image/jpeg"),
        ],
    }  # fmt: skip
    anyio.run(gate_app(platform, access), scope, unread, note)
    assert answers[0]["status"] == 404


def test_received_upload_waits_for_its_turn(
    platform: Platform, access: GateAccess, other_picture: Any
) -> None:
    """Uploads beyond the number that is judged at once wait instead of failing."""
    codes: list[int] = []

    async def scenario() -> None:
        app = gate_app(platform, GateAccess(access.operator, Secret(b"up"), uploads_at_once=1))
        transport = httpx.ASGITransport(app)

        async def send(web: httpx.AsyncClient, token: str) -> None:
            headers = IMAGE | {"Authorization": f"Bearer {token}"}
            answer = await web.post("/v1/uploads", content=jpeg(other_picture), headers=headers)
            codes.append(answer.status_code)

        async with (
            httpx.AsyncClient(transport=transport, base_url="http://gate") as web,
            anyio.create_task_group() as group,
        ):
            group.start_soon(send, web, "operator-token")
            group.start_soon(send, web, "up")

    run(scenario)
    assert codes == [200, 200]


def test_concurrent_judging_is_one_more_than_processors(
    platform: Platform, access: GateAccess, other_picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.stop.http.upload_requests.processor_count", lambda: 1)
    lock, inside, most = threading.Lock(), 0, 0
    both_inside = threading.Barrier(2, timeout=20)  # the first upload waits for the second

    def counted(untrusted_data: bytes) -> Picture:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        both_inside.wait()
        time.sleep(0.05)  # a third upload would start now if it could
        with lock:
            inside -= 1
        return platform.read_picture(untrusted_data)

    async def scenario() -> list[int]:
        codes: list[int] = []
        transport = httpx.ASGITransport(gate_app(replace(platform, read_picture=counted), access))

        async def send(web: httpx.AsyncClient) -> None:
            answer = await web.post(
                "/v1/uploads", content=jpeg(other_picture), headers=OPERATOR | IMAGE
            )
            codes.append(answer.status_code)

        async with (
            httpx.AsyncClient(transport=transport, base_url="http://gate") as web,
            anyio.create_task_group() as group,
        ):
            for _ in range(6):
                group.start_soon(send, web)
        return codes

    assert run(scenario) == [200] * 6
    assert most == 2


def test_waiting_too_long_for_a_turn_raises_busy(
    platform: Platform, access: GateAccess, other_picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.stop.http.upload_requests._SLOT_WAIT_S_MAX", 0.05)
    started, go_on = threading.Event(), threading.Event()

    def slow(untrusted_data: bytes) -> Picture:
        started.set()
        go_on.wait(5)
        return platform.read_picture(untrusted_data)

    async def scenario() -> list[int]:
        codes: list[int] = []
        few = GateAccess(access.operator, Secret(b"up"), uploads_at_once=1)
        transport = httpx.ASGITransport(gate_app(replace(platform, read_picture=slow), few))

        async def send(web: httpx.AsyncClient, token: str) -> None:
            headers = IMAGE | {"Authorization": f"Bearer {token}"}
            answer = await web.post("/v1/uploads", content=jpeg(other_picture), headers=headers)
            codes.append(answer.status_code)

        async with (
            httpx.AsyncClient(transport=transport, base_url="http://gate") as web,
            anyio.create_task_group() as group,
        ):
            group.start_soon(send, web, "operator-token")
            await anyio.to_thread.run_sync(started.wait)
            await send(web, "up")
            go_on.set()
        return codes

    assert run(scenario) == [429, 200]


async def upload_for_appeal(app: Starlette, pixels: Any) -> dict[str, Any]:
    """Upload a picture; return the path, secret and headers of an appeal."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gate") as web:
        answer = await web.post("/v1/uploads", content=jpeg(pixels), headers=OPERATOR | IMAGE)
    decision = answer.json()
    where = f"/v1/uploads/{decision['case']}/appeal"
    headers = {"Authorization": f"Bearer {decision['secret']}"}
    return {"where": where, "secret": decision["secret"], "headers": headers}


@pytest.mark.parametrize("secret_is_valid", [True, False])
def test_appeal_is_accepted_once_and_only_with_its_secret(
    platform: Platform, access: GateAccess, other_picture: Any, *, secret_is_valid: bool
) -> None:
    async def scenario() -> list[int]:
        app = gate_app(platform, access)
        first = await upload_for_appeal(app, other_picture)
        headers = first["headers"] if secret_is_valid else {"Authorization": f"Bearer {'A' * 22}"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gate") as web:
            return [(await web.post(first["where"], headers=headers)).status_code for _ in range(2)]

    assert run(scenario) == ([200, 409] if secret_is_valid else [404, 404])


class _OneJudge:
    """A judge pool that refuses every upload, and counts uploads and requests to start judges."""

    most = 1

    def __init__(self) -> None:
        self.asked: list[str] = []
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
        self.asked.append(reference)
        await anyio.sleep(0.05)  # meanwhile the next upload arrives
        return Decision(
            Outcome.REFUSE, f"case-{len(self.asked)}", secret=Secret(b"16 bytes of them")
        )


def test_two_concurrent_pictures_start_the_judges(
    platform: Platform, access: GateAccess, other_picture: Any
) -> None:
    judges, answers = _OneJudge(), list[Any]()

    async def scenario() -> None:
        app = gate_app(platform, access, judges=judges)  # type: ignore[arg-type]

        async def send(web: httpx.AsyncClient) -> None:
            headers = OPERATOR | IMAGE | {"Entrenous-Reference": "post 17"}
            answers.append(
                (await web.post("/v1/uploads", content=jpeg(other_picture), headers=headers)).json()
            )

        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://gate"
        ) as web:
            await send(web)
            assert judges.start_requests == 0
            async with anyio.create_task_group() as group:
                group.start_soon(send, web)
                group.start_soon(send, web)

    run(scenario)
    assert judges.asked == ["post 17"] * 3
    assert judges.start_requests > 0
    assert {(one["decision"], one["case"]) for one in answers} == {
        ("refuse", f"case-{number}") for number in (1, 2, 3)
    }
