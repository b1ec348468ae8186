"""Group commit: many requests share one transaction, which runs in the event loop."""

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from entrenous.carry.relay import RowView
from entrenous.carry.store.unit_of_work import UnitOfWork, View

Look = Callable[[RowView], object]
GROUP_MAX: Final = 256


class GroupConnection(Protocol):
    """A connection to a database, used by one thread at a time.

    ``shared`` says whether others write too, so that each group waits for its turn.
    """

    errors: tuple[type[Exception], ...]
    shared: bool

    def wait_for_turn(self) -> None:
        """Return when nobody else writes; meanwhile others queue."""
        ...

    def ready(self) -> bool:
        """Whether :meth:`begin` waits for nobody; else it is not for the event loop."""
        ...

    def begin(self, ahead: list[Look], *, writes: bool = True) -> UnitOfWork:
        """Begin a transaction, and read what these will ask for.

        Without ``writes`` nothing is put or dropped in it.
        """
        ...

    def commit(self, desk: UnitOfWork) -> None:
        """Write what the desk holds, and end the transaction; it need not be durable yet."""
        ...

    def ticket(self) -> object:
        """What :meth:`sync` is given for all that was committed since the last ticket."""
        ...

    def sync(self, ticket: Any) -> None:
        """Return when all of it is durable, and all before; called by another thread."""
        ...

    def roll_back(self) -> None:
        """Undo the transaction, if there is one."""
        ...

    def alone(self, statement: str) -> list[Any]:
        """Run one statement outside of any transaction; its rows."""
        ...

    def named(self, why: Exception) -> Exception:
        """One of ``errors`` as a person can read it; a mistake in a statement stays what it is."""
        ...

    def tidy(self) -> None:
        """Do what is best done while nobody writes here."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class Job:
    """Something to do in the thread, and who waits for it."""

    __slots__ = ("ahead", "alone", "answer", "loop", "work")

    def __init__(self, work: Callable[[Any], Any], ahead: Look | None, *, alone: bool) -> None:
        self.work = work
        self.ahead = ahead
        self.alone = alone
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Any] = self.loop.create_future()


class Outcome:
    """What became of a job: an answer, or an error."""

    __slots__ = ("error", "value")

    def __init__(self, value: object = None, error: Exception | None = None) -> None:
        self.value = value
        self.error = error

    def tell(self, job: Job) -> None:
        """Let go whoever waits for it."""
        if job.answer.done():
            return
        if self.error is None:
            job.answer.set_result(self.value)
        else:
            job.answer.set_exception(self.error)


def deliver(group: list[Job], outcomes: list[Outcome]) -> None:
    """Wake everybody of a group; those of one loop with one call."""
    pairs = list(zip(group, outcomes, strict=True))
    for loop in {job.loop for job in group}:
        mine = [(job, outcome) for job, outcome in pairs if job.loop is loop]
        with contextlib.suppress(RuntimeError):  # that loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_tell_here, mine)


def _tell_here(pairs: list[tuple[Job, Outcome]]) -> None:
    for job, outcome in pairs:
        outcome.tell(job)


def settle(line: GroupConnection, group: list[Job]) -> list[Outcome]:
    """Run and commit a group; when that fails, each of it alone: none takes others with it."""
    try:
        desk = line.begin([job.ahead for job in group if job.ahead is not None])
        outcomes = [run(line, desk, job) for job in group]
        line.commit(desk)
    except Exception as why:  # noqa: BLE001 -- the database's, or ours: whoever waits is told
        line.roll_back()
        if len(group) == 1:
            return [Outcome(error=line.named(why) if isinstance(why, line.errors) else why)]
        return [outcome for job in group for outcome in settle(line, [job])]
    return outcomes


def run(line: GroupConnection, desk: UnitOfWork, job: Job) -> Outcome:
    """Run one job; an error of the database concerns the whole group."""
    desk.begin()
    try:
        return Outcome(job.work(desk))
    except line.errors:
        raise
    except Exception as why:  # noqa: BLE001 -- it belongs to the caller, who waits for it
        desk.undo()
        return Outcome(error=why)


def alone(line: GroupConnection, job: Job) -> Outcome:
    """Run one statement between transactions."""
    try:
        return Outcome(job.work(None))
    except line.errors as why:
        return Outcome(error=line.named(why))


def synced(line: GroupConnection, outcomes: list[Outcome], ticket: object) -> list[Outcome]:
    """The outcomes of a group, once the disk has it; or that the disk refused."""
    try:
        line.sync(ticket)
    except line.errors as why:
        return [Outcome(error=line.named(why)) for _ in outcomes]
    except Exception as why:  # noqa: BLE001 -- a fault of ours: whoever waits has to be told
        return [Outcome(error=why) for _ in outcomes]
    return outcomes


Answer = TypeVar("Answer")


class _Group(NamedTuple):
    """A group whose commit has to become durable; without outcomes, one that is still to be run.

    One without jobs has the thread wait for the turn of those who queue.
    """

    jobs: list[Job]
    outcomes: list[Outcome] | None


class GroupCommit:
    """One line to a database, and those who wait for their turn at it."""

    def __init__(self, line: GroupConnection) -> None:
        self._line = line
        self._lock = threading.Lock()
        self._waiting: deque[Job] = deque()
        self._looks: deque[Job] = deque()  # those who only read
        self._busy = False  # a group is under way
        self._is_alone = False  # which is one statement between transactions
        self._refused: Exception | None = None  # by the disk, once and for all (durable_log.py)
        self._groups: queue.SimpleQueue[_Group | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._wait_for_disk, daemon=True)
        self._thread.start()

    def submit(
        self, work: Callable[[Any], Answer], ahead: Look | None = None
    ) -> "asyncio.Future[Answer]":
        """Run ``work`` on the desk inside a transaction; answers once that is durable."""
        return self._queue(Job(work, ahead, alone=False), self._waiting)

    def submit_alone(self, statement: str) -> "asyncio.Future[list[Any]]":
        """Run one statement between transactions; its rows."""
        job = Job(lambda _: self._line.alone(statement), None, alone=True)
        return self._queue(job, self._waiting)

    def look(self, work: Callable[[Any], Answer], ahead: Look | None) -> "asyncio.Future[Answer]":
        """Run ``work``, which only reads, once what is under way is durable."""
        return self._queue(Job(lambda desk: work(View(desk)), ahead, alone=False), self._looks)

    @property
    def is_alone(self) -> bool:
        """Whether a statement runs between two groups, beside which others may read."""
        return self._busy and self._is_alone

    def refuse_failed(self) -> None:
        """Return if what was committed before the last group is durable.

        Raises:
            DiskFull, DiskFailed: it is not, and may be gone after a crash.
        """
        if self._refused is not None:
            raise self._refused

    def close(self) -> None:
        """End what is under way, then close the connection."""
        self._closed = True
        with self._lock:
            left = [*self._looks, *self._waiting]
            self._looks.clear()
            self._waiting.clear()
        if left:
            self._groups.put(_Group(left, None))
        self._groups.put(None)
        self._thread.join()
        self._line.close()

    def _queue(self, job: Job, among: deque[Job]) -> "asyncio.Future[Any]":
        if self._closed:
            raise RuntimeError("this store is closed")
        with self._lock:
            among.append(job)
            starts, self._busy = not self._busy, True
        if starts and self._line.shared:
            self._groups.put(_Group([], None))
        elif starts:
            job.loop.call_soon(self._turn_when_quiet)
        return job.answer

    def _turn_when_quiet(self, seen: int = 0) -> None:
        """Let the loop go round as long as each round brings more: a large group costs less."""
        waiting = len(self._waiting) + len(self._looks)
        if seen < waiting < GROUP_MAX:
            asyncio.get_running_loop().call_soon(self._turn_when_quiet, waiting)
        else:
            self._turn()

    def _turn(self) -> None:
        """Run all that wait, in the loop of one of them."""
        looks = self._take_looks()
        jobs = self._take(with_alone=not looks)
        if not jobs and not looks and not self._closed:
            self._line.roll_back()  # nobody uses the turn
        self._is_alone = bool(jobs) and jobs[0].alone
        if self._is_alone or not (looks or jobs) or not self._line.ready():
            self._groups.put(_Group([*looks, *jobs], None))
            return
        try:
            ahead = [one.ahead for one in (*looks, *jobs) if one.ahead is not None]
            desk = self._line.begin(ahead, writes=bool(jobs))
            deliver(looks, [self._seen(desk, look) for look in looks])
            outcomes = [run(self._line, desk, job) for job in jobs]
            self._line.commit(desk)
        except Exception:  # noqa: BLE001 -- whatever it is, it comes again there and is told
            self._line.roll_back()
            untold = [look for look in looks if not look.answer.done()]
            self._groups.put(_Group([*untold, *jobs], None))
        else:
            self._hand_on(jobs, outcomes)

    def _hand_on(self, jobs: list[Job], outcomes: list[Outcome]) -> None:
        """Have the thread wait for the disk, if anybody has to."""
        if jobs or self._line.shared:
            self._groups.put(_Group(jobs, outcomes))
        else:
            self._start_next()

    def _seen(self, desk: UnitOfWork, look: Job) -> Outcome:
        """What somebody sees before this group changes anything."""
        return (
            run(self._line, desk, look) if self._refused is None else Outcome(error=self._refused)
        )

    def _take_looks(self) -> list[Job]:
        with self._lock:
            return [self._looks.popleft() for _ in range(min(len(self._looks), GROUP_MAX))]

    def _take(self, *, with_alone: bool) -> list[Job]:
        """Those in front: jobs up to one that has to be alone, or that one."""
        group: list[Job] = []
        with self._lock:
            while self._waiting and len(group) < GROUP_MAX:
                if self._waiting[0].alone and (group or not with_alone):
                    break
                group.append(self._waiting.popleft())
                if group[-1].alone:
                    break
        return group

    def _wait_for_disk(self) -> None:
        while (group := self._groups.get()) is not None:
            jobs, outcomes = group
            if jobs and jobs[0].alone:
                deliver(jobs, [alone(self._line, job) for job in jobs])
            elif jobs:
                self._sync(jobs, settle(self._line, jobs) if outcomes is None else outcomes)
                self._line.tidy()
            self._start_next()

    def _sync(self, jobs: list[Job], outcomes: list[Outcome]) -> None:
        """Wait until the disk has a group, then tell it."""
        *outcomes, seen = synced(self._line, [*outcomes, Outcome()], self._line.ticket())
        self._refused = seen.error or self._refused
        deliver(jobs, outcomes)

    def _start_next(self) -> None:
        """Let the next group have its turn, in a loop that still runs."""
        while True:
            with self._lock:
                if not self._looks and not self._waiting:
                    self._busy = False
                    return
                first = (self._looks or self._waiting)[0]
            try:
                first.loop.call_soon_threadsafe(self._when_it_is(first))
            except RuntimeError:  # that loop was closed: nobody waits any more
                self._line.roll_back()
                self._forget(first.loop)
            else:
                return

    def _when_it_is(self, first: Job) -> Callable[[], None]:
        """How its turn begins; where others write too, once they do not."""
        if not self._line.shared:
            return self._turn_when_quiet
        if not first.alone:
            try:
                self._line.wait_for_turn()
            except self._line.errors:
                self._line.roll_back()  # and the group meets it again
        return self._turn

    def _forget(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            for among in (self._looks, self._waiting):
                left = [job for job in among if job.loop is not loop]
                among.clear()
                among.extend(left)
