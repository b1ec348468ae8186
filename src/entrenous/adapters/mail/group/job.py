"""Requests that wait for a group, and what became of them."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final, Protocol

from entrenous.adapters.mail.group.behind import Behind
from entrenous.ports import MailView

Look = Callable[[MailView], object]

GROUP_MAX: Final = 256


class Line(Protocol):
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

    def begin(self, ahead: list[Look], *, writes: bool = True) -> Behind:
        """Begin a transaction, and read what these will ask for.

        Without ``writes`` nothing is put or dropped in it.
        """
        ...

    def commit(self, desk: Behind) -> None:
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


def tell(group: list[Job], outcomes: list[Outcome]) -> None:
    """Wake everybody of a group; those of one loop with one call."""
    pairs = list(zip(group, outcomes, strict=True))
    for loop in {job.loop for job in group}:
        mine = [(job, outcome) for job, outcome in pairs if job.loop is loop]
        with contextlib.suppress(RuntimeError):  # that loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_tell_here, mine)


def _tell_here(pairs: list[tuple[Job, Outcome]]) -> None:
    for job, outcome in pairs:
        outcome.tell(job)


def settle(line: Line, group: list[Job]) -> list[Outcome]:
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


def run(line: Line, desk: Behind, job: Job) -> Outcome:
    """Run one job; an error of the database concerns the whole group."""
    desk.begin()
    try:
        return Outcome(job.work(desk))
    except line.errors:
        raise
    except Exception as why:  # noqa: BLE001 -- it belongs to the caller, who waits for it
        desk.undo()
        return Outcome(error=why)


def alone(line: Line, job: Job) -> Outcome:
    """Run one statement between transactions."""
    try:
        return Outcome(job.work(None))
    except line.errors as why:
        return Outcome(error=line.named(why))


def synced(line: Line, outcomes: list[Outcome], ticket: object) -> list[Outcome]:
    """The outcomes of a group, once the disk has it; or that the disk refused."""
    try:
        line.sync(ticket)
    except line.errors as why:
        return [Outcome(error=line.named(why)) for _ in outcomes]
    except Exception as why:  # noqa: BLE001 -- a fault of ours: whoever waits has to be told
        return [Outcome(error=why) for _ in outcomes]
    return outcomes
