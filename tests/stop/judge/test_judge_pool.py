"""Judges are real processes: they start on demand, are replaced, and end with the gate."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from entrenous.base.picture import NotAPicture
from entrenous.stop.judge import judge_pool
from entrenous.stop.judge.judge_pool import JudgePool
from entrenous.stop.nouns import GateBusy
from entrenous.stop.upload_record import Outcome

pytestmark = pytest.mark.real

# A judge that raises, hangs or exits if the upload says so, and refuses every other upload.
JUDGE = """
import os, sys, time
from functools import partial
from entrenous.stop.judge.judge_pool import (
    READY_MESSAGE,
    decide_and_encode_answer,
    read_judge_request,
)
from entrenous.stop.upload_record import Decision, Outcome
from entrenous.base.picture import NotAPicture
with open(sys.argv[1], "a") as told:
    told.write(f"{os.getpid()}\\n")
def decide(upload, reference, publishes):
    if upload == b"raise":
        raise NotAPicture
    if upload == b"hang":
        time.sleep(600)
    if upload == b"end":
        os._exit(3)
    return Decision(Outcome.REFUSE, f"{reference} {len(upload)}")
out = sys.stdout.buffer
out.write(READY_MESSAGE)
out.flush()
while (asked := read_judge_request(sys.stdin.buffer.read)) is not None:
    out.write(decide_and_encode_answer(partial(decide, *asked)))
    out.flush()
"""


@pytest.fixture
def told(tmp_path: Path) -> Path:
    return tmp_path / "pids"


def judges_of(told: Path, most: int) -> JudgePool:
    return JudgePool([sys.executable, "-c", JUDGE, str(told)], most)


def pids(told: Path) -> list[int]:
    return [int(line) for line in told.read_text().split()] if told.exists() else []


def alive(told: Path) -> Iterator[int]:
    for pid in pids(told):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            continue
        yield pid


async def ready(judges: JudgePool, reference: str = "post") -> str:
    """Ask until a judge answers; return its case number."""
    async with asyncio.timeout(60):
        while True:
            judges.start_missing()
            decision = await judges.decide(b"x" * 70_000, reference)
            if decision is not None:
                assert decision.outcome is Outcome.REFUSE
                return decision.case
            await asyncio.sleep(0.01)


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not happened():  # noqa: ASYNC110 -- another process does it
            await asyncio.sleep(0.01)


def run(told: Path, most: int, scenario: Callable[[JudgePool], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with judges_of(told, most) as judges:
            await scenario(judges)

    asyncio.run(inside())


def test_judges_run_only_from_first_need_to_the_end(told: Path) -> None:
    async def scenario(judges: JudgePool) -> None:
        assert await judges.decide(b"x", "") is None
        assert not pids(told)
        assert await ready(judges, "post 17") == "post 17 70000"
        await until(lambda: len(pids(told)) == 2)
        assert len(list(alive(told))) == 2

    run(told, 2, scenario)
    assert not list(alive(told))


def test_judge_error_is_raised_and_the_judge_continues(told: Path) -> None:
    async def scenario(judges: JudgePool) -> None:
        await ready(judges)
        with pytest.raises(NotAPicture):
            await judges.decide(b"raise", "")
        assert await judges.decide(b"x", "next") is not None

    run(told, 1, scenario)
    assert len(pids(told)) == 1


@pytest.mark.parametrize("how", ["end", "hang"])
def test_unresponsive_judge_is_replaced(
    told: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(judge_pool, "_RESTART_PAUSE_S", 0.0)

    async def scenario(judges: JudgePool) -> None:
        await ready(judges)
        monkeypatch.setattr(judge_pool, "_ANSWER_TIMEOUT_S", 0.2 if how == "hang" else 60.0)
        with pytest.raises(GateBusy):
            await judges.decide(how.encode(), "")
        monkeypatch.setattr(judge_pool, "_ANSWER_TIMEOUT_S", 60.0)
        assert await judges.decide(b"x", "") is None
        await ready(judges)

    run(told, 1, scenario)
    assert len(pids(told)) == 2
    assert not list(alive(told))


def test_idle_judge_that_was_killed_fails_no_upload(told: Path) -> None:
    async def scenario(judges: JudgePool) -> None:
        await ready(judges)
        os.kill(pids(told)[0], signal.SIGKILL)
        await until(lambda: not list(alive(told)))
        (judge,) = judges._idle
        # The event loop notices the exit a little later.
        await until(lambda: judge.returncode is not None)
        assert await judges.decide(b"x", "") is None

    run(told, 1, scenario)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_judge_whose_pipe_is_closed_makes_the_gate_busy(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """The gate may notice that a killed judge's pipe is closed before it notices the exit."""
    judge = "import time; print('R', end='', flush=True); time.sleep(600)"

    async def inside() -> None:
        async with JudgePool([sys.executable, "-c", judge], 1) as judges:
            judges.start_missing()
            await until(lambda: bool(judges._idle))
            pipe = judges._idle[0].stdin
            assert pipe is not None
            pipe.close()
            await pipe.wait_closed()
            with pytest.raises(GateBusy):
                await judges.decide(b"x", "")

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(inside())


def test_cancelled_upload_ends_its_judge(told: Path) -> None:
    """Otherwise the next upload would get its answer."""

    async def scenario(judges: JudgePool) -> None:
        await ready(judges)
        asked = asyncio.create_task(judges.decide(b"hang", ""))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert await judges.decide(b"x", "") is None

    run(told, 1, scenario)


def test_judge_that_fails_to_start_is_not_retried_at_once(told: Path) -> None:
    async def scenario(judges: JudgePool) -> None:
        for _ in range(3):
            judges.start_missing()
            await asyncio.sleep(0.05)
        assert await judges.decide(b"x", "") is None

    async def inside() -> None:
        count = f"open({str(told)!r}, 'a').write('1\\n')"
        async with JudgePool([sys.executable, "-c", count], 1) as judges:
            judges.start_missing()
            await until(told.exists)
            await scenario(judges)
        async with JudgePool([str(told / "is no program")], 2) as judges:
            await scenario(judges)

    asyncio.run(inside())
    assert told.read_text() == "1\n"


def test_judges_end_with_a_killed_gate(told: Path) -> None:
    gate = (
        "import asyncio, sys\n"
        "from entrenous.stop.judge.judge_pool import JudgePool\n"
        "async def main():\n"
        "    async with JudgePool(sys.argv[1:], 2) as judges:\n"
        "        judges.start_missing()\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    program = [sys.executable, "-c", gate, sys.executable, "-c", JUDGE, str(told)]
    with subprocess.Popen(program) as process:
        asyncio.run(until(lambda: len(pids(told)) == 2))
        process.kill()
    asyncio.run(until(lambda: not list(alive(told))))
