"""Worker processes that judge one upload at a time each, and the messages on their two pipes.

The decision is docs/decisions/0027. How a process that has threads starts others, how many
processors there are, and how subprocesses that end are started again are here too.
"""

import asyncio
import contextlib
import os
import struct
import subprocess
import threading
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any, Final, Self

import msgspec

from entrenous.base.errors import EntrenousError
from entrenous.base.secret import Secret
from entrenous.fingerprint.nouns import Match
from entrenous.stop.nouns import GateBusy
from entrenous.stop.upload_record import Decision, Outcome, Publishes


def use_fork_exec() -> None:
    """Start processes by fork from now on, not by vfork.

    After vfork the child has its parent's memory, locks and all, until it becomes another program.
    If the parent is killed in that moment, a lock that another of its threads held is never let go
    of: glibc takes one to change how a signal is handled (``__abort_lock``), so the child waits for
    good. What it then holds open keeps others waiting: a judge for the end of its questions, and
    PostgreSQL for the end of a transaction. After fork the child has locks of its own.
    """
    # Documented: docs.python.org/3.11/library/subprocess.html, "Disabling use of vfork()".
    setattr(subprocess, "_USE_VFORK", False)  # noqa: B010 -- unknown to type checkers


def processors() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_LOOK_EVERY_S: Final = 0.5
_GRACE_S: Final = 10.0


@contextmanager
def kept_running(command: Sequence[str], again_s: float = 5.0, *, count: int = 1) -> Iterator[None]:
    """While this is open, the command runs, ``count`` times; ``again_s`` seconds after one has
    ended, anew.

    Its standard input ends when it is to end, and also when we are killed. All end together.
    """
    closing = threading.Event()
    given = (command, again_s, closing)
    keepers = [threading.Thread(target=_keep, args=given, daemon=True) for _ in range(count)]
    for keeper in keepers:
        keeper.start()
    try:
        yield
    finally:
        closing.set()
        for keeper in keepers:
            keeper.join()


def _keep(command: Sequence[str], again_s: float, closing: threading.Event) -> None:
    while not closing.is_set():
        with suppress(OSError):  # no memory for one more process: later, perhaps
            _run(command, closing)
        closing.wait(again_s)


def _run(command: Sequence[str], closing: threading.Event) -> None:
    # A session of its own: who stops us at a terminal stops us alone, and we end the child.
    with subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    ) as child:
        while child.poll() is None and not closing.wait(_LOOK_EVERY_S):
            pass
        if child.stdin is not None:
            child.stdin.close()
        try:
            child.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()


READY: Final = b"R"
SIZE: Final = struct.Struct(">I")
_HEAD: Final = struct.Struct(">IQB")
_PUBLISHES: Final = tuple(Publishes)


class JudgeFailed(RuntimeError):
    """A judge met a fault of ours; of that only its kind is said, for its words may tell more."""


def write_judge_request(
    untrusted_data: bytes, reference: str, publishes: Publishes = Publishes.NOTHING
) -> tuple[bytes, bytes]:
    """In two pieces, so that the upload is not copied."""
    name, which = reference.encode(), _PUBLISHES.index(publishes)
    return _HEAD.pack(len(name), len(untrusted_data), which) + name, untrusted_data


def read_judge_request(read: Callable[[int], bytes]) -> tuple[bytes, str, Publishes] | None:
    """An upload, its reference, and what is published; None when there will be none. ``read`` gives
    so many bytes, or fewer at the end.
    """
    head = read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    name_bytes, data_bytes, which = _HEAD.unpack(head)
    name, data = read(name_bytes), read(data_bytes)
    is_whole = (len(name), len(data)) == (name_bytes, data_bytes)
    return (data, name.decode(), _PUBLISHES[which]) if is_whole else None


def write_answer(decide: Callable[[], Decision]) -> bytes:
    """What this comes to, whatever that is."""
    try:
        answer = msgspec.json.encode(_said(decide))
    except Exception as bug:  # noqa: BLE001 -- the gate answers it as one of its own
        answer = msgspec.json.encode({"bug": type(bug).__name__})
    return SIZE.pack(len(answer)) + answer


def _said(decide: Callable[[], Decision]) -> dict[str, Any]:
    try:
        return _decision(decide())
    except EntrenousError as failure:
        return {"failure": _name(type(failure)), "facts": failure.facts}


def read_answer(answer: bytes) -> Decision:
    """Raises what deciding raised, and JudgeFailed."""
    said = msgspec.json.decode(answer)
    if "case" in said:
        return _read_decision(said)
    kind = _failures().get(said.get("failure", ""))
    if kind is None:
        raise JudgeFailed(said.get("bug", ""))
    raise kind(**said["facts"])


def _decision(one: Decision) -> dict[str, Any]:
    return {
        "outcome": one.outcome,
        "case": one.case,
        "matches": [asdict(match) for match in one.matches],
        "would": one.would,
        "secret": one.secret.reveal() if one.secret else None,
        "listed": one.listed,
    }


def _read_decision(said: dict[str, Any]) -> Decision:
    return Decision(
        Outcome(said["outcome"]),
        said["case"],
        tuple(Match(**match) for match in said["matches"]),
        Outcome(said["would"]) if said["would"] else None,
        Secret(msgspec.convert(said["secret"], bytes)) if said["secret"] else None,
        said["listed"],
    )


def _failures() -> dict[str, type[EntrenousError]]:
    """Those that this process knows, by name."""
    return {_name(kind): kind for kind in _with_those_below(EntrenousError)}


def _name(kind: type[EntrenousError]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _with_those_below(kind: type[EntrenousError]) -> Iterator[type[EntrenousError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _with_those_below(below)


_READY_S: Final = 120.0  # an index of gigabytes is checked first
# Three readings, each with a child to be started, and the database: all have ends of their own.
_ANSWER_S: Final = 240.0
_AGAIN_S: Final = 5.0
_END_S: Final = 5.0
_BROKEN: Final = (OSError, EOFError, TimeoutError)


class JudgePool:
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
            Those of :func:`entrenous.stop.judge.decide.decide_upload`.
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
    into.writelines(write_judge_request(untrusted_data, reference, publishes))
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
