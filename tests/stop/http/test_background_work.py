"""Background work of a gate: repetition, work in pieces, limits, and retries after failures."""

import threading
from typing import Any

import anyio
import anyio.to_thread
import pytest

from entrenous.base.secret import Secret
from entrenous.stop.http.access import GateAccess, HourlyLimit
from entrenous.stop.http.answers import run_after_answer
from entrenous.stop.http.gate_app import BackgroundTasks, gate_app, run_in_pieces, run_recurring
from entrenous.stop.http.registration_requests import ClaimHandlers
from entrenous.stop.judge.look_back import look_back
from entrenous.stop.nouns import BankUnreachable
from entrenous.stop.platform import Platform
from entrenous.stop.review import release_case
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload


def test_recurring_work_is_repeated_after_a_failure() -> None:
    done: list[int] = []

    def fail_first_time() -> None:
        done.append(len(done))
        if len(done) == 1:
            raise BankUnreachable(why="away")

    async def run_until_done() -> None:
        async with run_recurring((fail_first_time,), every_s=0.01):
            with anyio.fail_after(10):
                while len(done) < 3:  # noqa: ASYNC110 -- a thread changes the condition
                    await anyio.sleep(0.01)

    anyio.run(run_until_done)
    assert len(done) >= 3


def test_work_in_pieces_pauses_when_nothing_is_left() -> None:
    done: list[int] = []

    def do_piece() -> int:
        done.append(len(done))
        return len(done) % 3  # the third call returns 0: nothing is left

    async def run_until_done() -> None:
        async with run_in_pieces(do_piece, every_s=60):
            with anyio.fail_after(10):
                while len(done) < 3:  # noqa: ASYNC110 -- a thread changes the condition
                    await anyio.sleep(0.01)

    anyio.run(run_until_done)
    assert len(done) == 3


def test_piece_of_work_is_retried_after_a_failure() -> None:
    done: list[int] = []

    def fail_always() -> int:
        done.append(len(done))
        raise BankUnreachable(why="away")

    async def run_until_done() -> None:
        async with run_in_pieces(fail_always, every_s=0.01):
            with anyio.fail_after(10):
                while len(done) < 3:  # noqa: ASYNC110 -- a thread changes the condition
                    await anyio.sleep(0.01)

    anyio.run(run_until_done)
    assert len(done) >= 3


def test_gate_without_requests_does_background_work(platform: Platform) -> None:
    done: list[str] = []
    app = gate_app(
        platform, GateAccess(Secret(b"o")), BackgroundTasks(hourly=(lambda: done.append("done"),))
    )

    async def run_until_done() -> None:
        async with app.router.lifespan_context(app):
            with anyio.fail_after(10):
                while not done:  # noqa: ASYNC110 -- a thread changes the condition
                    await anyio.sleep(0.01)

    anyio.run(run_until_done)
    assert done == ["done"]


def test_gate_without_uploads_deletes_expired_upload_data(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    platform = gate_setup.platform
    case = judge_upload(jpeg(her_picture), platform).case
    look_back([gate_setup.protect(her_picture, parts=False).claim], platform)
    release_case(case, platform)
    gate_setup.clock.advance(days=31)
    app = gate_app(platform, GateAccess(Secret(b"o")))

    async def run_until_deleted() -> None:
        async with app.router.lifespan_context(app):
            with anyio.fail_after(10):
                while platform.reviews.review(case).bits is not None:  # noqa: ASYNC110 -- a thread changes the condition
                    await anyio.sleep(0.01)

    assert platform.reviews.review(case).bits is not None
    anyio.run(run_until_deleted)


def test_gate_without_requests_forgets_clients_of_an_earlier_hour(
    gate_setup: GateSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = list[HourlyLimit]()
    create = ClaimHandlers.create

    def create_and_record(platform: Platform) -> ClaimHandlers:
        handlers = create(platform)
        limits.append(handlers.hourly_limit)
        return handlers

    monkeypatch.setattr(ClaimHandlers, "create", create_and_record)
    app = gate_app(gate_setup.platform, GateAccess(Secret(b"o")))
    (limit,) = limits
    limit.count_or_refuse("192.0.2.1", gate_setup.clock.now())
    gate_setup.clock.advance(hours=1)

    async def run_until_forgotten() -> None:
        async with app.router.lifespan_context(app):
            with anyio.fail_after(10):
                while limit.counts:  # noqa: ASYNC110 -- a thread changes the condition
                    await anyio.sleep(0.01)

    assert limit.counts
    anyio.run(run_until_forgotten)


def test_work_after_an_answer_waits_for_a_slot_of_its_limiter() -> None:
    release, begun = threading.Event(), list[int]()

    def block_until_released(number: int) -> None:
        begun.append(number)
        release.wait(20)

    async def run_until_done() -> None:
        slots = anyio.CapacityLimiter(1)
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(
                    lambda n=number: run_after_answer(block_until_released, n, limiter=slots)
                )
            try:
                with anyio.fail_after(10):
                    while not begun:  # noqa: ASYNC110 -- a thread changes the condition
                        await anyio.sleep(0.01)
                    await anyio.to_thread.run_sync(lambda: None)
                    assert len(begun) == 1
            finally:
                release.set()
        assert sorted(begun) == list(range(100))

    anyio.run(run_until_done)
