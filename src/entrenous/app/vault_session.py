"""The unlocked vault. One thread owns the device, and pages submit their work to this thread.

A connection of SQLCipher may be used only by the thread that opened it. With one thread, the work
of the pages also runs in sequence, like commands.
"""

import contextlib
import contextvars
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final, TypeVar

from entrenous.base.environment import Settings
from entrenous.base.errors import EntrenousError, Refused
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.identities import MailboxAddress
from entrenous.device.open_device import create_lockable_device, open_unlocked
from entrenous.device.recovery_sheet import RecoverySheet
from entrenous.device.store.vault_folder import UnlockedVault

_POLL_INTERVAL_S: Final = 0.5
T = TypeVar("T")
#: Locks a new vault: gives the relay of this mailbox a share of the vault's key, so that the vault
#: opens only with that relay.
LockAtMailbox = Callable[[MailboxAddress], None]


class VaultLocked(Refused):
    """The app is locked. Unlock it with your passphrase; nothing that you typed is lost."""


class StoppedByLock(EntrenousError):
    """
    The app was locked, so it stopped what it was doing. Messages that are waiting to be sent are
    kept. Unlock the app, and start again.
    """

    family = "interrupted"


class VaultSession:
    """The device of this process while it is unlocked.

    Any thread may call its methods. ``on_open`` is called each time the vault has been opened.
    ``on_lock`` is called as soon as an open session accepts no more work. ``on_close`` is called
    each time the vault has been closed or could not be opened.

    The session locks by itself after ``settings.lock_after_s`` seconds without :meth:`touch`. New
    ``settings`` take effect at the next opening, except that a new ``lock_after_s`` takes effect at
    once. ``unlocked`` has the parts of the vault's key, for work in the vault's thread that changes
    the passphrase or the relay's share of this key.
    """

    def __init__(self, settings: Settings) -> None:
        self.on_open: Callable[[], None] = lambda: None
        self.on_lock: Callable[[], None] = lambda: None
        self.on_close: Callable[[], None] = lambda: None
        self.settings = settings
        self.unlocked: UnlockedVault | None = None
        self._work: queue.SimpleQueue[tuple[Callable[[Device], Any], Future[Any]]] | None = None
        self._thread: threading.Thread | None = None
        self._touched_at = 0.0
        self._lock_callbacks: list[Callable[[], None]] = []
        self._guard = threading.Lock()
        # number of times locked; if it grows during an unlock, the vault is not opened
        self._lock_count = 0

    @property
    def is_open(self) -> bool:
        return self._work is not None

    def unlock(self, passphrase: Secret, sheet: RecoverySheet | None = None) -> Future[None]:
        """Open the vault; the future raises the errors of :func:`.open_unlocked`."""
        return self._start_thread(lambda: open_unlocked(self.settings, lambda: passphrase, sheet))

    def create(
        self, passphrase: Secret, fill: Callable[[Device, LockAtMailbox], object]
    ) -> Future[None]:
        """Make a device, let ``fill`` set it up, and open it.

        ``fill`` also receives a function that locks the device: it gives the relay of the device's
        mailbox a share of the vault's key. The future raises the errors of
        :func:`.create_lockable_device` and of ``fill``.
        """

        def make_and_open() -> AbstractContextManager[tuple[Device, UnlockedVault]]:
            with create_lockable_device(self.settings, lambda: passphrase) as (device, lock):
                fill(device, lock)
            return open_unlocked(self.settings, lambda: passphrase)

        return self._start_thread(make_and_open)

    def run(self, work: Callable[[Device], T]) -> "Future[T]":
        """Let the vault's thread call ``work`` with the device, in the caller's language.

        Raises VaultLocked at once, or through the future if the vault is locked before ``work``
        runs.
        """
        future: Future[T] = Future()
        with self._guard:
            if self._work is None:
                raise VaultLocked
            self._work.put((partial(_call_in_context, contextvars.copy_context(), work), future))
        return future

    def touch(self) -> None:
        """Restart the idle timer."""
        self._touched_at = time.monotonic()

    def raise_if_locked(self) -> None:
        """Raise StoppedByLock if the vault was locked; long work calls this between its steps."""
        if self._work is None:
            raise StoppedByLock

    def call_at_lock(self, end: Callable[[], None]) -> None:
        """Register ``end`` to be called on locking, so that work that waits for something ends."""
        self._lock_callbacks.append(end)

    def lock(self, *, wait: bool = False) -> None:
        """Accept no more work, and close the vault as soon as running work releases it. With
        ``wait``, return only when the vault is closed.
        """
        with self._guard:
            was_open, self._work = self._work is not None, None
            self._lock_count += 1
            ends, self._lock_callbacks = self._lock_callbacks, []
        if was_open:
            self.on_lock()
        for end in ends:
            end()
        thread = self._thread
        if wait and thread is not None and thread is not threading.current_thread():
            thread.join()

    def _start_thread(
        self, enter: Callable[[], AbstractContextManager[tuple[Device, UnlockedVault]]]
    ) -> Future[None]:
        opened: Future[None] = Future()
        before, lock_count = self._thread, self._lock_count

        def wait_then_open() -> None:
            if before is not None:
                before.join()  # the thread before this one may still be closing the vault
            self._open_and_serve(enter, opened, lock_count)

        self._thread = threading.Thread(target=wait_then_open, daemon=True)
        self._thread.start()
        return opened

    def _open_and_serve(
        self,
        enter: Callable[[], AbstractContextManager[tuple[Device, UnlockedVault]]],
        opened: Future[None],
        lock_count: int,
    ) -> None:
        work = queue.SimpleQueue[tuple[Callable[[Device], Any], Future[Any]]]()
        try:
            with enter() as (device, self.unlocked):
                self._start_accepting_work(work, lock_count)
                self.on_open()
                opened.set_result(None)
                self._serve_until_locked(work, device)
        except Exception as why:  # noqa: BLE001 - handed to whoever waits
            if not opened.done():
                opened.set_exception(why)
        finally:
            self.unlocked = None
            self._refuse_rest_and_notify_close(work)

    def _start_accepting_work(
        self,
        work: "queue.SimpleQueue[tuple[Callable[[Device], Any], Future[Any]]]",
        lock_count: int,
    ) -> None:
        """Accept work; raises VaultLocked if the session was locked during the unlock."""
        with self._guard:
            if self._lock_count != lock_count:
                raise VaultLocked
            self._work = work
        self.touch()

    def _serve_until_locked(
        self, work: "queue.SimpleQueue[tuple[Callable[[Device], Any], Future[Any]]]", device: Device
    ) -> None:
        while self._work is work:
            if time.monotonic() - self._touched_at > self.settings.lock_after_s:
                self.lock()
                return
            with contextlib.suppress(queue.Empty):
                work_of_page, future = work.get(timeout=_POLL_INTERVAL_S)
                _run_and_complete_future(work_of_page, future, device)

    def _refuse_rest_and_notify_close(
        self, work: "queue.SimpleQueue[tuple[Callable[[Device], Any], Future[Any]]]"
    ) -> None:
        with self._guard:
            was_open = self._work is work or self._work is None
            if self._work is work:
                self._work = None
        with contextlib.suppress(queue.Empty):
            while True:
                _, future = work.get_nowait()
                future.set_exception(VaultLocked())
        if was_open:
            self.on_close()


def _call_in_context(
    context: contextvars.Context, work: Callable[[Device], Any], device: Device
) -> object:
    return context.run(work, device)


def _run_and_complete_future(
    work: Callable[[Device], Any], future: Future[Any], device: Device
) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work(device))
    except BaseException as why:  # noqa: BLE001 - handed to whoever waits
        future.set_exception(why)
