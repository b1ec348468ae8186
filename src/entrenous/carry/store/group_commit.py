"""Group commit: many requests share one transaction, which usually runs in the event loop.

A thread waits for the disk, and runs those groups that would block the event loop.
"""

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from entrenous.carry.relay import RowView
from entrenous.carry.store.unit_of_work import ReadOnlyView, UnitOfWork

PrefetchRead = Callable[[RowView], object]
GROUP_JOBS_MAX: Final = 256


class GroupConnection(Protocol):
    """A connection to SQLite or PostgreSQL, used by one thread at a time.

    ``is_shared`` says whether other processes write too, so that each group waits for a lock.
    """

    errors: tuple[type[Exception], ...]
    is_shared: bool

    def wait_for_turn(self) -> None:
        """Block until no other process writes; requests queue meanwhile."""

    def can_begin_at_once(self) -> bool:
        """Return whether :meth:`begin` would return without blocking, so that the event loop may
        call it.
        """

    def begin(self, hints: list[PrefetchRead], *, writes: bool = True) -> UnitOfWork:
        """Begin a transaction and prefetch what the hints read.

        ``writes`` is False for read-only groups.
        """

    def commit(self, tx: UnitOfWork) -> None:
        """Write the unit of work and commit; the commit need not be durable yet."""

    def take_sync_ticket(self) -> object:
        """Return a ticket, with which :meth:`sync` flushes all commits since the last ticket."""

    def sync(self, ticket: Any) -> None:
        """Block until all commits up to the ticket are durable; not called in the event loop."""

    def roll_back(self) -> None:
        pass

    def execute_alone(self, statement: str) -> list[Any]:
        """Run one statement outside of any transaction; return its rows."""

    def translate_error(self, why: Exception) -> Exception:
        """Translate one of ``errors`` into an error for people.

        An error in our own SQL is not translated.
        """

    def checkpoint(self) -> None:
        """Run maintenance while no transaction writes."""

    def close(self) -> None:
        pass


class QueuedJob:
    __slots__ = ("answer", "exclusive", "hint", "loop", "work")

    def __init__(
        self, work: Callable[[Any], Any], hint: PrefetchRead | None, *, exclusive: bool
    ) -> None:
        self.work = work
        self.hint = hint
        self.exclusive = exclusive
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Any] = self.loop.create_future()


class JobOutcome:
    __slots__ = ("error", "value")

    def __init__(self, value: object = None, error: Exception | None = None) -> None:
        self.value = value
        self.error = error

    def resolve(self, job: QueuedJob) -> None:
        if job.answer.done():
            return
        if self.error is None:
            job.answer.set_result(self.value)
        else:
            job.answer.set_exception(self.error)


def deliver_outcomes(group: list[QueuedJob], outcomes: list[JobOutcome]) -> None:
    """Resolve the futures of a group, with one call for each event loop."""
    pairs = list(zip(group, outcomes, strict=True))
    for loop in {job.loop for job in group}:
        mine = [(job, outcome) for job, outcome in pairs if job.loop is loop]
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve_all, mine)


def _resolve_all(pairs: list[tuple[QueuedJob, JobOutcome]]) -> None:
    for job, outcome in pairs:
        outcome.resolve(job)


def run_group(connection: GroupConnection, group: list[QueuedJob]) -> list[JobOutcome]:
    """Run and commit a group. If that fails, run each job in a transaction of its own, so that one
    job cannot make another fail.
    """
    try:
        tx = connection.begin([job.hint for job in group if job.hint is not None])
        outcomes = [run_job(connection, tx, job) for job in group]
        connection.commit(tx)
    except Exception as why:  # noqa: BLE001 -- it becomes the outcome, even if it is a bug
        connection.roll_back()
        if len(group) == 1:
            is_known = isinstance(why, connection.errors)
            return [JobOutcome(error=connection.translate_error(why) if is_known else why)]
        return [outcome for job in group for outcome in run_group(connection, [job])]
    return outcomes


def run_job(connection: GroupConnection, tx: UnitOfWork, job: QueuedJob) -> JobOutcome:
    """Run one job. A database error is raised, since it concerns the whole group; any other error
    is the outcome of this job.
    """
    tx.begin()
    try:
        return JobOutcome(job.work(tx))
    except connection.errors:
        raise
    except Exception as why:  # noqa: BLE001 -- it is raised in the caller
        tx.undo()
        return JobOutcome(error=why)


def run_exclusive_job(connection: GroupConnection, job: QueuedJob) -> JobOutcome:
    """Run one statement between transactions."""
    try:
        return JobOutcome(job.work(None))
    except connection.errors as why:
        return JobOutcome(error=connection.translate_error(why))


def sync_outcomes(
    connection: GroupConnection, outcomes: list[JobOutcome], ticket: object
) -> list[JobOutcome]:
    """Return the outcomes of a group once they are durable, or the disk's error for each."""
    try:
        connection.sync(ticket)
    except connection.errors as why:
        return [JobOutcome(error=connection.translate_error(why)) for _ in outcomes]
    except Exception as why:  # noqa: BLE001 -- our bug: the callers must not wait forever
        return [JobOutcome(error=why) for _ in outcomes]
    return outcomes


AnswerT = TypeVar("AnswerT")


class _Group(NamedTuple):
    """Jobs whose commit must become durable. If ``outcomes`` is None, the thread has to run them
    first.

    After a group without jobs, the thread starts the next group, for which it waits for the lock
    of a shared database.
    """

    jobs: list[QueuedJob]
    outcomes: list[JobOutcome] | None


class GroupCommit:
    """A queue of jobs in front of one database connection."""

    def __init__(self, connection: GroupConnection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._jobs: deque[QueuedJob] = deque()
        self._reads: deque[QueuedJob] = deque()  # read-only jobs
        self._busy = False  # whether a group is under way
        self._is_exclusive = False  # whether that group is one statement between transactions
        self._sync_error: Exception | None = None  # a failed sync is final (WriteAheadLog)
        self._groups: queue.SimpleQueue[_Group | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run_sync_thread, daemon=True)
        self._thread.start()

    def submit(
        self, work: Callable[[Any], AnswerT], hint: PrefetchRead | None = None
    ) -> "asyncio.Future[AnswerT]":
        """Run ``work`` in a transaction; the future resolves once the transaction is durable."""
        return self._queue(QueuedJob(work, hint, exclusive=False), self._jobs)

    def submit_exclusive(self, statement: str) -> "asyncio.Future[list[Any]]":
        """Run one statement between transactions; the future resolves to its rows."""
        job = QueuedJob(lambda _: self._connection.execute_alone(statement), None, exclusive=True)
        return self._queue(job, self._jobs)

    def submit_read(
        self, work: Callable[[Any], AnswerT], hint: PrefetchRead | None
    ) -> "asyncio.Future[AnswerT]":
        """Run ``work``, which only reads; the future resolves once what it saw is durable."""
        return self._queue(
            QueuedJob(lambda tx: work(ReadOnlyView(tx)), hint, exclusive=False), self._reads
        )

    @property
    def allows_separate_reads(self) -> bool:
        """Return whether a read may run at once, outside of a group.

        It may if everything that was committed is durable, or if only an exclusive statement is
        running, which does not block readers.
        """
        return not self._busy or self._is_exclusive

    def raise_failed_sync(self) -> None:
        """Raise DiskFull or DiskFailed if an earlier commit may be lost after a crash."""
        if self._sync_error is not None:
            raise self._sync_error

    def close(self) -> None:
        """Finish what is queued, then close the connection."""
        self._closed = True
        with self._lock:
            left = [*self._reads, *self._jobs]
            self._reads.clear()
            self._jobs.clear()
        if left:
            self._groups.put(_Group(left, None))
        self._groups.put(None)
        self._thread.join()
        self._connection.close()

    def _queue(self, job: QueuedJob, among: deque[QueuedJob]) -> "asyncio.Future[Any]":
        if self._closed:
            raise RuntimeError("this store is closed")
        with self._lock:
            among.append(job)
            starts, self._busy = not self._busy, True
        if starts and self._connection.is_shared:
            self._groups.put(_Group([], None))
        elif starts:
            job.loop.call_soon(self._run_when_quiet)
        return job.answer

    def _run_when_quiet(self, seen: int = 0) -> None:
        """Run a group once the event loop brings no more jobs: a large group costs less per job."""
        waiting = len(self._jobs) + len(self._reads)
        if seen < waiting < GROUP_JOBS_MAX:
            asyncio.get_running_loop().call_soon(self._run_when_quiet, waiting)
        else:
            self._run_group()

    def _run_group(self) -> None:
        """Run the queued jobs as a group, in the event loop of one of them; if that would block the
        loop, leave the group to the thread.
        """
        reads = self._dequeue_reads()
        jobs = self._dequeue_jobs(with_exclusive=not reads)
        if not jobs and not reads and not self._closed:
            self._connection.roll_back()  # there is nothing to run, so release the lock
        self._is_exclusive = bool(jobs) and jobs[0].exclusive
        if self._is_exclusive or not (reads or jobs) or not self._connection.can_begin_at_once():
            self._groups.put(_Group([*reads, *jobs], None))
            return
        try:
            hints = [one.hint for one in (*reads, *jobs) if one.hint is not None]
            tx = self._connection.begin(hints, writes=bool(jobs))
            deliver_outcomes(reads, [self._run_read(tx, read) for read in reads])
            outcomes = [run_job(self._connection, tx, job) for job in jobs]
            self._connection.commit(tx)
        except Exception:  # noqa: BLE001 -- the thread runs it again and reports the error
            self._connection.roll_back()
            unanswered = [read for read in reads if not read.answer.done()]
            self._groups.put(_Group([*unanswered, *jobs], None))
        else:
            self._finish_group(jobs, outcomes)

    def _finish_group(self, jobs: list[QueuedJob], outcomes: list[JobOutcome]) -> None:
        """Let the thread wait for the disk, if that is necessary."""
        if jobs or self._connection.is_shared:
            self._groups.put(_Group(jobs, outcomes))
        else:
            self._start_next()

    def _run_read(self, tx: UnitOfWork, read: QueuedJob) -> JobOutcome:
        """Run a read before this group changes anything."""
        if self._sync_error is not None:
            return JobOutcome(error=self._sync_error)
        return run_job(self._connection, tx, read)

    def _dequeue_reads(self) -> list[QueuedJob]:
        with self._lock:
            return [self._reads.popleft() for _ in range(min(len(self._reads), GROUP_JOBS_MAX))]

    def _dequeue_jobs(self, *, with_exclusive: bool) -> list[QueuedJob]:
        """Dequeue the jobs before the next exclusive job. If the exclusive job is the first one,
        dequeue only this job, and only with ``with_exclusive``.
        """
        group: list[QueuedJob] = []
        with self._lock:
            while self._jobs and len(group) < GROUP_JOBS_MAX:
                if self._jobs[0].exclusive and (group or not with_exclusive):
                    break
                group.append(self._jobs.popleft())
                if group[-1].exclusive:
                    break
        return group

    def _run_sync_thread(self) -> None:
        while (group := self._groups.get()) is not None:
            jobs, outcomes = group
            if jobs and jobs[0].exclusive:
                deliver_outcomes(jobs, [run_exclusive_job(self._connection, job) for job in jobs])
            elif jobs:
                self._sync_and_deliver(
                    jobs, run_group(self._connection, jobs) if outcomes is None else outcomes
                )
                self._connection.checkpoint()
            self._start_next()

    def _sync_and_deliver(self, jobs: list[QueuedJob], outcomes: list[JobOutcome]) -> None:
        """Wait until a group is durable, then deliver its outcomes."""
        *outcomes, seen = sync_outcomes(
            self._connection, [*outcomes, JobOutcome()], self._connection.take_sync_ticket()
        )
        self._sync_error = seen.error or self._sync_error
        deliver_outcomes(jobs, outcomes)

    def _start_next(self) -> None:
        """Start the next group, in an event loop that still runs."""
        while True:
            with self._lock:
                if not self._reads and not self._jobs:
                    self._busy = False
                    return
                first = (self._reads or self._jobs)[0]
            try:
                first.loop.call_soon_threadsafe(self._next_group_starter(first))
            except RuntimeError:  # the loop was closed: nobody waits any more
                self._connection.roll_back()
                self._discard_jobs_of(first.loop)
            else:
                return

    def _next_group_starter(self, first: QueuedJob) -> Callable[[], None]:
        """Return the function that starts the next group; a shared database is locked first."""
        if not self._connection.is_shared:
            return self._run_when_quiet
        if not first.exclusive:
            try:
                self._connection.wait_for_turn()
            except self._connection.errors:
                self._connection.roll_back()  # the group will run into the same error and report it
        return self._run_group

    def _discard_jobs_of(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            for among in (self._reads, self._jobs):
                left = [job for job in among if job.loop is not loop]
                among.clear()
                among.extend(left)
