"""Work after an answer leaves request threads free."""

import threading

import anyio
import anyio.to_thread
import pytest

from entrenous.stop.http.background_work import run_after_answer

# An event loop wakes itself through a pair of sockets.
pytestmark = pytest.mark.usefixtures("socket_enabled")


def test_long_background_work_runs_one_at_a_time() -> None:
    go, begun = threading.Event(), list[int]()

    def long(number: int) -> None:
        begun.append(number)
        go.wait(20)

    async def story() -> None:
        places = anyio.CapacityLimiter(1)
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(lambda n=number: run_after_answer(long, n, places=places))
            try:
                with anyio.fail_after(10):
                    while not begun:  # noqa: ASYNC110 -- a thread does it
                        await anyio.sleep(0.01)
                    await anyio.to_thread.run_sync(lambda: None)
                    assert len(begun) == 1
            finally:
                go.set()
        assert sorted(begun) == list(range(100))

    anyio.run(story)
