"""Group commit: one thread owns a connection, and many requests share one transaction, one fsync.

Each request has a savepoint of its own: one that is refused takes nothing with it. When the
database itself fails, the whole group is undone and each request is tried alone, so that only those
fail that cannot succeed. A request is answered after the commit, never before.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from entrenous.adapters.mail.desk import SqlDesk
from entrenous.adapters.mail.tables import Tables
from entrenous.model.envelope import DiskFailed, DiskFull

Answer = TypeVar("Answer")

_GROUP_MAX: Final = 256


class GroupCommit:
    """One connection, the thread that owns it, and the queue in front of it.

    ``begin`` is how a transaction starts: IMMEDIATE for a writer.
    """

    def __init__(self, connection: sqlite3.Connection, tables: Tables, begin: str) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._desk = SqlDesk(self._cursor, tables)
        self._begin = begin
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._closed = False
        self._thread.start()

    async def submit(self, work: Callable[[Any], Answer]) -> Answer:
        """Run ``work`` on the desk inside a transaction; answers once that is durable."""
        answer: Answer = await self._queue(_Job(work, alone=False))
        return answer

    async def submit_alone(self, pragma: str) -> list[Any]:
        """Run one statement between transactions; its rows."""
        job = _Job(lambda _: self._cursor.execute(pragma).fetchall(), alone=True)
        rows: list[Any] = await self._queue(job)
        return rows

    def changes(self) -> int:
        """How many rows were written or dropped since the connection was opened."""
        return self._connection.total_changes

    def close(self) -> None:
        """Do what is queued, then close the connection."""
        self._closed = True
        self._jobs.put(None)
        self._thread.join()
        self._cursor.close()
        self._connection.close()

    async def _queue(self, job: "_Job") -> Any:
        if self._closed:
            raise RuntimeError("this store is closed")
        self._jobs.put(job)
        return await job.answer

    def _serve(self) -> None:
        going = True
        while going:
            taken = self._take()
            jobs = [job for job in taken if job is not None]
            going = len(jobs) == len(taken)
            group = [job for job in jobs if not job.alone]
            _tell(group, self._settle(group))
            alone = [job for job in jobs if job.alone]
            _tell(alone, [self._try(job) for job in alone])

    def _take(self) -> list["_Job | None"]:
        """Wait for one, then take all that have come meanwhile."""
        taken = [self._jobs.get()]
        while taken[-1] is not None and len(taken) < _GROUP_MAX:
            try:
                taken.append(self._jobs.get_nowait())
            except queue.Empty:
                break
        return taken

    def _settle(self, group: list["_Job"]) -> list["_Outcome"]:
        try:
            return self._in_one(group) if group else []
        except sqlite3.Error as why:
            self._undo()
            if len(group) == 1:
                return [_Outcome(error=named(why))]
        return [outcome for job in group for outcome in self._settle([job])]

    def _in_one(self, group: list["_Job"]) -> list["_Outcome"]:
        self._cursor.execute(self._begin)
        outcomes = [self._run(job) for job in group]
        self._cursor.execute("COMMIT")
        return outcomes

    def _run(self, job: "_Job") -> "_Outcome":
        """Run one job behind its savepoint; an error of the database concerns the whole group."""
        self._cursor.execute("SAVEPOINT job")
        try:
            outcome = _Outcome(job.work(self._desk))
        except sqlite3.Error:
            raise
        except Exception as why:  # noqa: BLE001 -- it belongs to the caller, who waits for it
            self._cursor.execute("ROLLBACK TO job")
            outcome = _Outcome(error=why)
        self._cursor.execute("RELEASE job")
        return outcome

    def _try(self, job: "_Job") -> "_Outcome":
        try:
            return _Outcome(job.work(self._desk))
        except sqlite3.Error as why:
            return _Outcome(error=named(why))

    def _undo(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._cursor.execute("ROLLBACK")


class _Job:
    """Something to do in the thread, and who waits for it."""

    def __init__(self, work: Callable[[Any], Any], *, alone: bool) -> None:
        self.work = work
        self.alone = alone
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Any] = self.loop.create_future()


class _Outcome:
    """What became of a job: an answer, or an error."""

    def __init__(self, value: object = None, error: Exception | None = None) -> None:
        self.value = value
        self.error = error

    def tell(self, job: _Job) -> None:
        if job.answer.done():
            return
        if self.error is None:
            job.answer.set_result(self.value)
        else:
            job.answer.set_exception(self.error)


def _tell(group: list[_Job], outcomes: list[_Outcome]) -> None:
    """Wake everybody of a group; those of one loop with one call."""
    pairs = list(zip(group, outcomes, strict=True))
    for loop in {job.loop for job in group}:
        mine = [(job, outcome) for job, outcome in pairs if job.loop is loop]
        with contextlib.suppress(RuntimeError):  # that loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_tell_here, mine)


def _tell_here(pairs: list[tuple[_Job, _Outcome]]) -> None:
    for job, outcome in pairs:
        outcome.tell(job)


def named(why: sqlite3.Error) -> Exception:
    """The error that a person can read; a mistake in a statement stays what it is."""
    if not isinstance(why, sqlite3.DatabaseError) or isinstance(
        why, sqlite3.IntegrityError | sqlite3.ProgrammingError
    ):
        return why
    return DiskFull() if why.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL else DiskFailed()
