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

from entrenous.app.vault_session import StoppedByLock, VaultSession
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
    began_unlocked: bool = True
    is_stopped: bool = False

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

        def raise_if_stopped() -> None:
            self._vault.raise_if_locked()
            if job.is_stopped:
                raise StoppedByLock

        def report_progress(stage: str, done: int, total: int) -> None:
            raise_if_stopped()
            self._vault.touch()
            job.stage, job.done, job.total = stage, done, total
            self._events.publish()

        def work_unless_stopped(device: Device) -> T:
            raise_if_stopped()
            return work(device, report_progress)

        job.future = self._vault.run(work_unless_stopped)
        self._register(job)
        return job

    def start_without_vault(self, title: str, work: Callable[[], object], page: str) -> Job:
        """Begin work that needs no vault, in a thread of its own and in the caller's language."""
        job = Job(title, page, without_vault=True, began_unlocked=self._vault.is_open)
        self._register(job)
        run = contextvars.copy_context().run
        Thread(
            target=_run_and_complete_future, args=(job.future, lambda: run(work)), daemon=True
        ).start()
        return job

    def _register(self, job: Job) -> None:
        job.future.add_done_callback(self._notice_end)
        self._jobs[job.handle] = job
        self._forget_oldest_ended()

    def _notice_end(self, _: "Future[Any]") -> None:
        self._vault.touch()  # the person has yet to see the result
        self._events.publish()

    def find_job(self, handle: str) -> Job | None:
        return self._jobs.get(handle)

    def newest_successful_job(self, page: str) -> Job | None:
        """Return the newest job that ended without an error and whose result ``page`` shows, or
        None.
        """
        done = (job for job in reversed(list(self._jobs.values())) if job.page == page)
        return next((job for job in done if job.is_over and job.error is None), None)

    def running_jobs(self) -> tuple[Job, ...]:
        return tuple(job for job in list(self._jobs.values()) if not job.is_over)

    def keep_only_running_vault_jobs(self) -> None:
        """Forget finished jobs, jobs that do not use the vault, and what was typed to start the
        others. Call this when the app is locked or left.
        """
        self._jobs = {
            handle: job
            for handle, job in list(self._jobs.items())
            if not (job.is_over or job.without_vault)
        }
        for job in self.running_jobs():
            job.form = None

    def forget_results(self, is_meant: Callable[[Any], bool]) -> None:
        """Forget the finished jobs whose results are meant. Any thread may call this."""
        for job in list(self._jobs.values()):
            if job.is_over and job.error is None and is_meant(job.future.result()):
                self.forget_job(job.handle)

    def stop_running(self) -> None:
        """Let running work end at its next step, and waiting work not begin."""
        for job in self.running_jobs():
            job.is_stopped = True

    def forget_job(self, handle: str) -> None:
        """Forget one job, and its result."""
        self._jobs.pop(handle, None)

    def _forget_oldest_ended(self) -> None:
        ended = [job.handle for job in list(self._jobs.values()) if job.is_over]
        for handle in ended[:-_ENDED_JOBS_KEPT_MAX]:
            self.forget_job(handle)


def _run_and_complete_future(future: "Future[Any]", work: Callable[[], object]) -> None:
    try:
        future.set_result(work())
    except BaseException as why:  # noqa: BLE001 - handed to the page that shows the job
        future.set_exception(why)
