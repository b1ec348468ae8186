"""Judges: processes beside a gate's own, each of which judges one upload at a time.

A gate's own threads share one interpreter, so that two of them judge hardly more than one. Judges
are started when two uploads are there at once for the first time; until they are ready, and where
one is missing, the gate judges by itself.
"""

import asyncio
import contextlib
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from typing import Final, Self

from entrenous.adapters.judging.words import READY, SIZE, read_answer, write_question
from entrenous.model.decision import Decision, Publishes
from entrenous.model.gate import GateBusy

_READY_S: Final = 120.0  # an index of gigabytes is checked first
# Three readings, each with a child to be started, and the database: all have ends of their own.
_ANSWER_S: Final = 240.0
_AGAIN_S: Final = 5.0
_END_S: Final = 5.0
_BROKEN: Final = (OSError, EOFError, TimeoutError)


class Judges:
    """At most ``most`` processes of ``command``; for one event loop, while this is open."""

    def __init__(self, command: Sequence[str], most: int) -> None:
        self.most = most
        self._command = command
        self._idle: list[Process] = []
        self._there: set[Process] = set()  # idle, or at work
        self._unready: set[Process] = set()
        self._starting: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[int]] = set()
        self._not_before = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for starting in self._starting:
            starting.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        every = self._there | self._unready
        await asyncio.gather(*(_ended(judge) for judge in every), *self._ending)

    def wanted(self) -> None:
        """More is to be judged than the gate can alone: start those that are missing."""
        missing = self.most - len(self._there) - len(self._starting)
        if missing <= 0 or time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + _AGAIN_S
        for _ in range(missing):
            starting = asyncio.create_task(self._start())
            self._starting.add(starting)
            starting.add_done_callback(self._starting.discard)

    async def decide(
        self, untrusted_data: bytes, reference: str, publishes: Publishes = Publishes.NOTHING
    ) -> Decision | None:
        """What a judge says of it; None when none is free.

        Raises:
            Those of :func:`entrenous.stop.gate.decide_upload`.
            GateBusy: the judge has ended, or took too long; nobody knows what it wrote.
            JudgeFailed: a fault of ours.
        """
        judge = self._free()
        if judge is None:
            return None
        try:
            async with asyncio.timeout(_ANSWER_S):
                answer = await _asked(judge, untrusted_data, reference, publishes)
        except BaseException as problem:
            self._dismiss(judge)  # the rest of its answer must not become part of another's
            if isinstance(problem, _BROKEN):
                raise GateBusy from problem
            raise
        self._idle.append(judge)
        return read_answer(answer)

    def _free(self) -> Process | None:
        """One that is idle and has not ended meanwhile."""
        while self._idle:
            judge = self._idle.pop()
            if judge.returncode is None:
                return judge
            self._dismiss(judge)
        return None

    async def _start(self) -> None:
        """One more, which is idle once it is ready; without memory for it, later perhaps."""
        with contextlib.suppress(OSError):
            # A session of its own: who stops a gate at a terminal stops the gate alone.
            judge = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, start_new_session=True
            )
            self._unready.add(judge)
            try:
                async with asyncio.timeout(_READY_S):
                    ready = await _read(judge, len(READY))
            except _BROKEN:
                ready = b""
            self._unready.discard(judge)
            if ready == READY:
                self._there.add(judge)
                self._idle.append(judge)
            else:
                self._dismiss(judge)

    def _dismiss(self, judge: Process) -> None:
        self._there.discard(judge)
        with contextlib.suppress(ProcessLookupError):
            judge.kill()
        ending = asyncio.create_task(judge.wait())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)


async def _asked(
    judge: Process, untrusted_data: bytes, reference: str, publishes: Publishes
) -> bytes:
    into = judge.stdin
    if into is None:
        raise EOFError
    into.writelines(write_question(untrusted_data, reference, publishes))
    await into.drain()
    (size,) = SIZE.unpack(await _read(judge, SIZE.size))
    return await _read(judge, size)


async def _read(judge: Process, size: int) -> bytes:
    """Exactly so many bytes; raises EOFError."""
    if judge.stdout is None:
        raise EOFError
    return await judge.stdout.readexactly(size)


async def _ended(judge: Process) -> None:
    """Its questions end, and so it does."""
    if judge.stdin is not None:
        judge.stdin.close()
    try:
        async with asyncio.timeout(_END_S):
            await judge.wait()
    except TimeoutError:
        judge.kill()
        await judge.wait()
