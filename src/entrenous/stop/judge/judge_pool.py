"""Worker processes (judges) that judge one upload at a time, and the messages on their two pipes.

See docs/decisions/0027. Also here: start subprocesses safely from a process with threads, count
processors, and keep subprocesses running.
"""

import asyncio
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
from entrenous.stop.upload_record import Decision, Outcome, PublishedAnyway


def disable_vfork() -> None:
    """From now on, make ``subprocess`` use fork and exec instead of vfork.

    After vfork the child shares its parent's memory, including locks, until exec. If the parent is
    killed at that moment, a lock held by another thread is never released. The child then waits
    forever, since glibc takes a lock (``__abort_lock``) to change a signal handler. The pipes and
    sockets that it keeps open block other processes. A judge, for example, keeps waiting for its
    next request, and PostgreSQL for the end of a transaction. After fork the child has locks of its
    own, as a copy.
    """
    # Documented: docs.python.org/3.11/library/subprocess.html, "Disabling use of vfork()".
    setattr(subprocess, "_USE_VFORK", False)  # noqa: B010 -- unknown to type checkers


def processor_count() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_EXIT_CHECK_INTERVAL_S: Final = 0.5
_EXIT_TIMEOUT_S: Final = 10.0


@contextmanager
def keep_running(
    command: Sequence[str], restart_after_s: float = 5.0, *, count: int = 1
) -> Iterator[None]:
    """Run ``count`` processes of a command while the context is open.

    A process that ended is started again after ``restart_after_s`` seconds. A process is ended by
    closing its standard input, which also happens if this process is killed. All are ended on exit.
    """
    closing = threading.Event()
    given = (command, restart_after_s, closing)
    keepers = [
        threading.Thread(target=_keep_process_running, args=given, daemon=True)
        for _ in range(count)
    ]
    for keeper in keepers:
        keeper.start()
    try:
        yield
    finally:
        closing.set()
        for keeper in keepers:
            keeper.join()


def _keep_process_running(
    command: Sequence[str], restart_after_s: float, closing: threading.Event
) -> None:
    while not closing.is_set():
        with suppress(OSError):  # memory is too short for a new process: try again later
            _run_process(command, closing)
        closing.wait(restart_after_s)


def _run_process(command: Sequence[str], closing: threading.Event) -> None:
    # A new session: Ctrl-C at a terminal stops only this process, which then ends the child.
    with subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    ) as child:
        while child.poll() is None and not closing.wait(_EXIT_CHECK_INTERVAL_S):
            pass
        if child.stdin is not None:
            child.stdin.close()
        try:
            child.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()


READY_MESSAGE: Final = b"R"
ANSWER_LENGTH_STRUCT: Final = struct.Struct(">I")
_REQUEST_HEADER_STRUCT: Final = struct.Struct(">IQB")
_PUBLISHES_BY_NUMBER: Final = tuple(PublishedAnyway)


class JudgeFailed(RuntimeError):
    """A judge failed with a bug; only the exception's type is given, as its text may be private."""


def encode_judge_request(
    untrusted_data: bytes, reference: str, publishes: PublishedAnyway = PublishedAnyway.NOTHING
) -> tuple[bytes, bytes]:
    """Return the request in two pieces, so that the upload is not copied."""
    name, which = reference.encode(), _PUBLISHES_BY_NUMBER.index(publishes)
    return _REQUEST_HEADER_STRUCT.pack(len(name), len(untrusted_data), which) + name, untrusted_data


def read_judge_request(read: Callable[[int], bytes]) -> tuple[bytes, str, PublishedAnyway] | None:
    """Read an upload, its reference, and what the platform publishes; None at the end of input.

    ``read(n)`` returns n bytes, or fewer at the end.
    """
    head = read(_REQUEST_HEADER_STRUCT.size)
    if len(head) < _REQUEST_HEADER_STRUCT.size:
        return None
    name_bytes, data_bytes, which = _REQUEST_HEADER_STRUCT.unpack(head)
    name, data = read(name_bytes), read(data_bytes)
    is_whole = (len(name), len(data)) == (name_bytes, data_bytes)
    return (data, name.decode(), _PUBLISHES_BY_NUMBER[which]) if is_whole else None


def decide_and_encode_answer(decide: Callable[[], Decision]) -> bytes:
    """Encode a decision, or the error that deciding raised."""
    try:
        answer = msgspec.json.encode(_decision_or_failure(decide))
    except Exception as bug:  # noqa: BLE001 -- the gate raises it as JudgeFailed
        answer = msgspec.json.encode({"bug": type(bug).__name__})
    return ANSWER_LENGTH_STRUCT.pack(len(answer)) + answer


def _decision_or_failure(decide: Callable[[], Decision]) -> dict[str, Any]:
    try:
        return _decision_to_dict(decide())
    except EntrenousError as failure:
        return {"failure": _error_class_name(type(failure)), "facts": failure.facts}


def decode_decision_or_raise(answer: bytes) -> Decision:
    """Decode a decision; raises the error that deciding raised, or JudgeFailed."""
    form = msgspec.json.decode(answer)
    if "case" in form:
        return _decision_from_dict(form)
    errors = {_error_class_name(kind): kind for kind in _class_and_subclasses(EntrenousError)}
    kind = errors.get(form.get("failure", ""))
    if kind is None:
        raise JudgeFailed(form.get("bug", ""))
    raise kind(**form["facts"])


def _decision_to_dict(decision: Decision) -> dict[str, Any]:
    return {
        "outcome": decision.outcome,
        "case": decision.case,
        "matches": [asdict(match) for match in decision.matches],
        "would": decision.would,
        "secret": decision.secret.reveal() if decision.secret else None,
        "listed": decision.listed,
    }


def _decision_from_dict(form: dict[str, Any]) -> Decision:
    return Decision(
        Outcome(form["outcome"]),
        form["case"],
        tuple(Match(**match) for match in form["matches"]),
        Outcome(form["would"]) if form["would"] else None,
        Secret(msgspec.convert(form["secret"], bytes)) if form["secret"] else None,
        form["listed"],
    )


def _error_class_name(kind: type[EntrenousError]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _class_and_subclasses(kind: type[EntrenousError]) -> Iterator[type[EntrenousError]]:
    yield kind
    for subclass in kind.__subclasses__():
        yield from _class_and_subclasses(subclass)


# The longest time for a judge to start: it first checks an index of several gigabytes.
_START_TIMEOUT_S: Final = 120.0
# The longest time for an answer. It covers the timeouts of three decodings, each in a new
# subprocess, and those of the database.
_ANSWER_TIMEOUT_S: Final = 240.0
_RESTART_PAUSE_S: Final = 5.0
_JUDGE_EXIT_TIMEOUT_S: Final = 5.0
# uvloop raises RuntimeError for a write to a pipe that it has closed, such as a killed judge's.
_PIPE_ERRORS: Final = (OSError, EOFError, TimeoutError, RuntimeError)


class JudgePool:
    """At most ``most`` judge processes, started with ``command``, that run while the context is
    open.

    A pool belongs to one event loop.
    """

    def __init__(self, command: Sequence[str], most: int) -> None:
        self.most = most
        self._command = command
        self._idle: list[Process] = []
        self._running: set[Process] = set()  # idle or busy
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
        every = self._running | self._unready
        await asyncio.gather(*(_end_process(judge) for judge in every), *self._ending)

    def start_missing(self) -> None:
        """Start processes until there are ``most``. With fewer, the gate's own threads would have
        to judge more uploads than they can.
        """
        missing = self.most - len(self._running) - len(self._starting)
        if missing <= 0 or time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + _RESTART_PAUSE_S
        for _ in range(missing):
            starting = asyncio.create_task(self._start_process())
            self._starting.add(starting)
            starting.add_done_callback(self._starting.discard)

    async def decide(
        self,
        untrusted_data: bytes,
        reference: str,
        publishes: PublishedAnyway = PublishedAnyway.NOTHING,
    ) -> Decision | None:
        """Let a judge process decide on an upload; return None if none is free.

        Raises:
            What :func:`entrenous.stop.judge.decide.decide_upload` raises.
            GateBusy: the judge ended or took too long; whether it stored a decision is unknown.
            JudgeFailed: the judge failed with a bug.
        """
        judge = self._take_idle_process()
        if judge is None:
            return None
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                answer = await _ask_process(judge, untrusted_data, reference, publishes)
        except BaseException as problem:
            self._kill_process(
                judge
            )  # end the judge: the rest of its answer must not become part of the next one
            if isinstance(problem, _PIPE_ERRORS):
                raise GateBusy from problem
            raise
        self._idle.append(judge)
        return decode_decision_or_raise(answer)

    def _take_idle_process(self) -> Process | None:
        """Return an idle process that is still running; None if there is none."""
        while self._idle:
            judge = self._idle.pop()
            if judge.returncode is None:
                return judge
            self._kill_process(judge)
        return None

    async def _start_process(self) -> None:
        """Start a process, which is idle once it is ready; do nothing if memory is short."""
        with suppress(OSError):
            # A new session: Ctrl-C at a terminal stops only the gate.
            judge = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, start_new_session=True
            )
            self._unready.add(judge)
            try:
                async with asyncio.timeout(_START_TIMEOUT_S):
                    ready = await _read_exactly(judge, len(READY_MESSAGE))
            except _PIPE_ERRORS:
                ready = b""
            self._unready.discard(judge)
            if ready == READY_MESSAGE:
                self._running.add(judge)
                self._idle.append(judge)
            else:
                self._kill_process(judge)

    def _kill_process(self, judge: Process) -> None:
        self._running.discard(judge)
        with suppress(ProcessLookupError):
            judge.kill()
        ending = asyncio.create_task(judge.wait())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)


async def _ask_process(
    judge: Process, untrusted_data: bytes, reference: str, publishes: PublishedAnyway
) -> bytes:
    if judge.stdin is None:
        raise EOFError
    judge.stdin.writelines(encode_judge_request(untrusted_data, reference, publishes))
    await judge.stdin.drain()
    (size,) = ANSWER_LENGTH_STRUCT.unpack(await _read_exactly(judge, ANSWER_LENGTH_STRUCT.size))
    return await _read_exactly(judge, size)


async def _read_exactly(judge: Process, size: int) -> bytes:
    """Read exactly ``size`` bytes; raises EOFError."""
    if judge.stdout is None:
        raise EOFError
    return await judge.stdout.readexactly(size)


async def _end_process(judge: Process) -> None:
    """Close a judge's input, which ends it, and wait; kill it if that takes too long."""
    if judge.stdin is not None:
        judge.stdin.close()
    try:
        async with asyncio.timeout(_JUDGE_EXIT_TIMEOUT_S):
            await judge.wait()
    except TimeoutError:
        judge.kill()
        await judge.wait()
