"""Long-running work that pages start and show (sending, marking, tracing), and events that tell
pages that something changed.
"""

import asyncio
import contextlib
import contextvars
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, Final, TypeVar

from starlette.datastructures import FormData

from entrenous.app.vault_session import VaultSession
from entrenous.device.device import Device

T = TypeVar("T")
_JOB_HANDLE_BYTES: Final = 9
_ENDED_JOBS_KEPT_MAX: Final = 50


class ChangeEvents:
    """Events that tell every open page that something changed. Any thread may call
    :meth:`publish`.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: set[asyncio.Event] = set()

    def publish(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: no page is open
                self._loop.call_soon_threadsafe(self._wake_waiting_pages)

    async def changes(self) -> AsyncIterator[None]:
        """Yield after each change. Changes that come before the caller is ready count as one."""
        self._loop = asyncio.get_running_loop()
        changed = asyncio.Event()
        self._waiting.add(changed)
        try:
            while True:
                await changed.wait()
                changed.clear()
                yield
        finally:
            self._waiting.discard(changed)

    def _wake_waiting_pages(self) -> None:
        for changed in self._waiting:
            changed.set()


@dataclass(slots=True, eq=False)
class Job:
    """One piece of work. ``stage`` says in words what it is doing; ``done`` of ``total`` steps are
    complete. A ``total`` of 0 means that the number of steps is unknown.

    ``page`` is the route name of the page that shows the result. Work that runs
    ``without_vault`` continues when the vault is locked, but the job and its result are then
    forgotten.
    """

    title: str
    page: str
    handle: str = field(default_factory=lambda: secrets.token_urlsafe(_JOB_HANDLE_BYTES))
    stage: str = ""
    done: int = 0
    total: int = 0
    future: "Future[Any]" = field(default_factory=Future)
    form: FormData | None = None  # the form that started the job, and its page
    form_page: str = "/"
    without_vault: bool = False

    @property
    def is_over(self) -> bool:
        return self.future.done()

    @property
    def error(self) -> BaseException | None:
        return self.future.exception() if self.future.done() else None


#: Reports a stage in words, the number of steps done, and the total number of steps; raises
#: StoppedByLock.
ReportProgress = Callable[[str, int, int], None]


class Jobs:
    """The jobs of this process, newest last. Of the jobs that have ended, only the newest fifty are
    kept.
    """

    def __init__(self, vault: VaultSession, events: ChangeEvents) -> None:
        self._vault = vault
        self._events = events
        self._jobs: dict[str, Job] = {}

    def start(self, title: str, work: Callable[[Device, ReportProgress], T], page: str) -> Job:
        """Begin work in the vault's thread; raises VaultLocked."""
        job = Job(title, page)

        def report_progress(stage: str, done: int, total: int) -> None:
            self._vault.raise_if_locked()
            self._vault.touch()
            job.stage, job.done, job.total = stage, done, total
            self._events.publish()

        job.future = self._vault.run(lambda device: work(device, report_progress))
        job.future.add_done_callback(lambda _: self._events.publish())
        self._jobs[job.handle] = job
        self._forget_oldest_ended()
        return job

    def start_without_vault(self, title: str, work: Callable[[], object], page: str) -> Job:
        """Begin work that needs no vault, in a thread of its own and in the caller's language."""
        job = Job(title, page, without_vault=True)
        job.future.add_done_callback(lambda _: self._events.publish())
        self._jobs[job.handle] = job
        run = contextvars.copy_context().run
        Thread(
            target=_run_and_complete_future, args=(job.future, lambda: run(work)), daemon=True
        ).start()
        self._forget_oldest_ended()
        return job

    def find_job(self, handle: str) -> Job | None:
        return self._jobs.get(handle)

    def newest_successful_job(self, page: str) -> Job | None:
        """Return the newest job that ended without an error and whose result ``page`` shows, or
        None.
        """
        done = (job for job in reversed(self._jobs.values()) if job.page == page)
        return next((job for job in done if job.is_over and job.error is None), None)

    def running_jobs(self) -> tuple[Job, ...]:
        return tuple(job for job in self._jobs.values() if not job.is_over)

    def keep_only_running_vault_jobs(self) -> None:
        """Forget finished jobs, and jobs that do not use the vault. Call this when the app is
        locked or left.
        """
        self._jobs = {
            handle: job
            for handle, job in self._jobs.items()
            if not (job.is_over or job.without_vault)
        }

    def forget_job(self, handle: str) -> None:
        """Forget one job, and its result."""
        self._jobs.pop(handle, None)

    def _forget_oldest_ended(self) -> None:
        ended = [handle for handle, job in self._jobs.items() if job.is_over]
        for handle in ended[:-_ENDED_JOBS_KEPT_MAX]:
            del self._jobs[handle]


def _run_and_complete_future(future: "Future[Any]", work: Callable[[], object]) -> None:
    try:
        future.set_result(work())
    except BaseException as why:  # noqa: BLE001 - handed to the page that shows the job
        future.set_exception(why)
