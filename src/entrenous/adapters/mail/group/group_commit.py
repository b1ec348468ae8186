"""Group commit in a thread: it owns a connection, and many requests share one transaction.

They run one after the other on the same desk (behind.py); one that is refused takes nothing with
it. When the database itself fails, the whole group is undone and each request is tried alone, so
that only those fail that cannot succeed.

A second thread waits for the disk, while the first goes on with the next group; a request is
answered after that, never before. What a group builds on was written before it, and the disk takes
what is written in its order: whoever is answered, everything that the answer rests on is durable.
"""

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from entrenous.adapters.mail.group.job import (
    GROUP_MAX,
    Done,
    Job,
    Line,
    Look,
    Outcome,
    alone,
    settle,
    synced,
    tell,
)

Answer = TypeVar("Answer")


class GroupCommit:
    """One line to a database, the thread that owns it, and the queue in front of it."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._done: queue.Queue[Done | None] = queue.Queue(maxsize=1)
        self._threads = [
            threading.Thread(target=run, daemon=True) for run in (self._serve, self._sync)
        ]
        self._closed = False
        for thread in self._threads:
            thread.start()

    async def submit(self, work: Callable[[Any], Answer], ahead: Look | None = None) -> Answer:
        """Run ``work`` on the desk inside a transaction; answers once that is durable."""
        answer: Answer = await self._queue(Job(work, ahead, alone=False))
        return answer

    async def submit_alone(self, statement: str) -> list[Any]:
        """Run one statement between transactions; its rows."""
        job = Job(lambda _: self._line.alone(statement), None, alone=True)
        rows: list[Any] = await self._queue(job)
        return rows

    def close(self) -> None:
        """Do what is queued, then close the connection."""
        self._closed = True
        self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._line.close()

    async def _queue(self, job: Job) -> Any:
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
            if group := [job for job in jobs if not job.alone]:
                self._pass_on(group, settle(self._line, group))
            singles = [job for job in jobs if job.alone]
            tell(singles, [alone(self._line, job) for job in singles])
        self._done.put(None)

    def _take(self) -> list[Job | None]:
        """Wait for one and for the turn to write, then take all that have come meanwhile."""
        taken = [self._jobs.get()]
        if taken[0] is not None and not taken[0].alone:
            try:
                self._line.wait_for_turn()
            except self._line.errors:
                self._line.roll_back()  # and the group meets it again
        while taken[-1] is not None and len(taken) < GROUP_MAX:
            try:
                taken.append(self._jobs.get_nowait())
            except queue.Empty:
                break
        return taken

    def _pass_on(self, group: list[Job], outcomes: list[Outcome]) -> None:
        self._done.put((group, outcomes, self._line.ticket()))

    def _sync(self) -> None:
        """Tell each group of its outcome once the disk has it."""
        while (done := self._done.get()) is not None:
            group, outcomes, ticket = done
            tell(group, synced(self._line, outcomes, ticket))
