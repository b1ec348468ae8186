"""Judge processes start on demand, are replaced if they fail, and end with the gate."""

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
JUDGE_PROGRAM = """
import os, sys, time
from functools import partial
from entrenous.stop.judge.judge_pool import (
    READY_MESSAGE,
    decide_and_encode_answer,
    read_judge_request,
)
from entrenous.stop.upload_record import Decision, Outcome
from entrenous.base.picture import NotAPicture
with open(sys.argv[1], "a") as pid_file:
    pid_file.write(f"{os.getpid()}\\n")
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
while (request := read_judge_request(sys.stdin.buffer.read)) is not None:
    out.write(decide_and_encode_answer(partial(decide, *request)))
    out.flush()
"""


@pytest.fixture
def pid_file(tmp_path: Path) -> Path:
    return tmp_path / "pids"


def new_judge_pool(pid_file: Path, judges_max: int) -> JudgePool:
    return JudgePool([sys.executable, "-c", JUDGE_PROGRAM, str(pid_file)], judges_max)


def started_pids(pid_file: Path) -> list[int]:
    return [int(line) for line in pid_file.read_text().split()] if pid_file.exists() else []


def living_pids(pid_file: Path) -> Iterator[int]:
    for pid in started_pids(pid_file):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            continue
        yield pid


async def decide_when_ready(judges: JudgePool, reference: str = "post") -> str:
    """Repeat a request until a judge answers; return the case number."""
    async with asyncio.timeout(60):
        while True:
            judges.start_missing()
            decision = await judges.decide(b"x" * 70_000, reference)
            if decision is not None:
                assert decision.outcome is Outcome.REFUSE
                return decision.case
            await asyncio.sleep(0.01)


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 -- another process does it
            await asyncio.sleep(0.01)


def run_scenario(
    pid_file: Path, judges_max: int, scenario: Callable[[JudgePool], Awaitable[None]]
) -> None:
    async def run_in_event_loop() -> None:
        async with new_judge_pool(pid_file, judges_max) as judges:
            await scenario(judges)

    asyncio.run(run_in_event_loop())


def test_judges_run_only_from_first_need_to_the_end(pid_file: Path) -> None:
    async def scenario(judges: JudgePool) -> None:
        assert await judges.decide(b"x", "") is None
        assert not started_pids(pid_file)
        assert await decide_when_ready(judges, "post 17") == "post 17 70000"
        await wait_until(lambda: len(started_pids(pid_file)) == 2)
        assert len(list(living_pids(pid_file))) == 2

    run_scenario(pid_file, 2, scenario)
    assert not list(living_pids(pid_file))


def test_judge_error_is_raised_and_the_judge_continues(pid_file: Path) -> None:
    async def scenario(judges: JudgePool) -> None:
        await decide_when_ready(judges)
        with pytest.raises(NotAPicture):
            await judges.decide(b"raise", "")
        assert await judges.decide(b"x", "next") is not None

    run_scenario(pid_file, 1, scenario)
    assert len(started_pids(pid_file)) == 1


@pytest.mark.parametrize("how", ["end", "hang"])
def test_judge_that_exits_or_hangs_is_replaced(
    pid_file: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(judge_pool, "_RESTART_PAUSE_S", 0.0)

    async def scenario(judges: JudgePool) -> None:
        await decide_when_ready(judges)
        monkeypatch.setattr(judge_pool, "_ANSWER_TIMEOUT_S", 0.2 if how == "hang" else 60.0)
        with pytest.raises(GateBusy):
            await judges.decide(how.encode(), "")
        monkeypatch.setattr(judge_pool, "_ANSWER_TIMEOUT_S", 60.0)
        assert await judges.decide(b"x", "") is None
        await decide_when_ready(judges)

    run_scenario(pid_file, 1, scenario)
    assert len(started_pids(pid_file)) == 2
    assert not list(living_pids(pid_file))


def test_idle_judge_that_was_killed_fails_no_upload(pid_file: Path) -> None:
    async def scenario(judges: JudgePool) -> None:
        await decide_when_ready(judges)
        os.kill(started_pids(pid_file)[0], signal.SIGKILL)
        await wait_until(lambda: not list(living_pids(pid_file)))
        (judge,) = judges._idle
        # The event loop notices the exit a little later.
        await wait_until(lambda: judge.returncode is not None)
        assert await judges.decide(b"x", "") is None

    run_scenario(pid_file, 1, scenario)


@pytest.mark.parametrize("new_event_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_judge_whose_pipe_is_closed_makes_the_gate_busy(
    new_event_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """When a judge is killed, the gate may notice the closed pipe first, and the exit later."""
    judge = "import time; print('R', end='', flush=True); time.sleep(600)"

    async def run_in_event_loop() -> None:
        async with JudgePool([sys.executable, "-c", judge], 1) as judges:
            judges.start_missing()
            await wait_until(lambda: bool(judges._idle))
            pipe = judges._idle[0].stdin
            assert pipe is not None
            pipe.close()
            await pipe.wait_closed()
            with pytest.raises(GateBusy):
                await judges.decide(b"x", "")

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run_in_event_loop())


def test_cancelled_upload_ends_its_judge(pid_file: Path) -> None:
    """The next upload must not get the answer of the cancelled one."""

    async def scenario(judges: JudgePool) -> None:
        await decide_when_ready(judges)
        task = asyncio.create_task(judges.decide(b"hang", ""))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await judges.decide(b"x", "") is None

    run_scenario(pid_file, 1, scenario)


def test_judge_that_fails_to_start_is_not_retried_at_once(pid_file: Path) -> None:
    async def scenario(judges: JudgePool) -> None:
        for _ in range(3):
            judges.start_missing()
            await asyncio.sleep(0.05)
        assert await judges.decide(b"x", "") is None

    async def run_in_event_loop() -> None:
        count_start = f"open({str(pid_file)!r}, 'a').write('1\\n')"
        async with JudgePool([sys.executable, "-c", count_start], 1) as judges:
            judges.start_missing()
            await wait_until(pid_file.exists)
            await scenario(judges)
        async with JudgePool([str(pid_file / "is no program")], 2) as judges:
            await scenario(judges)

    asyncio.run(run_in_event_loop())
    assert pid_file.read_text() == "1\n"


def test_judges_end_with_a_killed_gate(pid_file: Path) -> None:
    gate = (
        "import asyncio, sys\n"
        "from entrenous.stop.judge.judge_pool import JudgePool\n"
        "async def main():\n"
        "    async with JudgePool(sys.argv[1:], 2) as judges:\n"
        "        judges.start_missing()\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    program = [sys.executable, "-c", gate, sys.executable, "-c", JUDGE_PROGRAM, str(pid_file)]
    with subprocess.Popen(program) as process:
        asyncio.run(wait_until(lambda: len(started_pids(pid_file)) == 2))
        process.kill()
    asyncio.run(wait_until(lambda: not list(living_pids(pid_file))))
