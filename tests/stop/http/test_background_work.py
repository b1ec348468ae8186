"""A gate's recurring work continues after failures, and while nobody sends requests."""

import threading

import anyio
import anyio.to_thread
import pytest

from entrenous.base.secret import Secret
from entrenous.stop.http.access import GateAccess
from entrenous.stop.http.answers import run_after_answer
from entrenous.stop.http.gate_app import BackgroundTasks, gate_app, run_in_pieces, run_recurring
from entrenous.stop.nouns import BankUnreachable
from entrenous.stop.platform import Platform

# An event loop wakes itself through a pair of sockets.
pytestmark = pytest.mark.usefixtures("socket_enabled")


def test_failing_recurring_work_is_repeated() -> None:
    done: list[int] = []

    def work() -> None:
        done.append(len(done))
        if len(done) == 1:
            raise BankUnreachable(why="away")

    async def run_until_done() -> None:
        async with run_recurring((work,), every_s=0.01):
            with anyio.fail_after(10):
                while len(done) < 3:  # noqa: ASYNC110 -- a thread does it
                    await anyio.sleep(0.01)

    anyio.run(run_until_done)
    assert len(done) >= 3


def test_closing_waits_for_one_piece_of_work() -> None:
    done: list[int] = []

    def work() -> int:
        done.append(len(done))
        return len(done) % 3  # the third time nothing is left

    async def run_until_done() -> None:
        async with run_in_pieces(work, every_s=60):
            with anyio.fail_after(10):
                while len(done) < 3:  # noqa: ASYNC110 -- a thread does it
                    await anyio.sleep(0.01)

    anyio.run(run_until_done)
    assert len(done) == 3


def test_failing_piece_of_work_is_retried() -> None:
    done: list[int] = []

    def work() -> int:
        done.append(len(done))
        raise BankUnreachable(why="away")

    async def run_until_done() -> None:
        async with run_in_pieces(work, every_s=0.01):
            with anyio.fail_after(10):
                while len(done) < 3:  # noqa: ASYNC110 -- a thread does it
                    await anyio.sleep(0.01)

    anyio.run(run_until_done)
    assert len(done) >= 3


def test_idle_gate_does_background_work(platform: Platform) -> None:
    done: list[str] = []
    app = gate_app(
        platform, GateAccess(Secret(b"o")), BackgroundTasks(hourly=(lambda: done.append("done"),))
    )

    async def run_until_done() -> None:
        async with app.router.lifespan_context(app):
            with anyio.fail_after(10):
                while not done:  # noqa: ASYNC110 -- a thread does it
                    await anyio.sleep(0.01)

    anyio.run(run_until_done)
    assert done == ["done"]


def test_long_background_work_runs_one_at_a_time() -> None:
    release, begun = threading.Event(), list[int]()

    def long(number: int) -> None:
        begun.append(number)
        release.wait(20)

    async def run_until_done() -> None:
        slots = anyio.CapacityLimiter(1)
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(lambda n=number: run_after_answer(long, n, limiter=slots))
            try:
                with anyio.fail_after(10):
                    while not begun:  # noqa: ASYNC110 -- a thread does it
                        await anyio.sleep(0.01)
                    await anyio.to_thread.run_sync(lambda: None)
                    assert len(begun) == 1
            finally:
                release.set()
        assert sorted(begun) == list(range(100))

    anyio.run(run_until_done)
