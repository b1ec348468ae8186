"""Link another device of the same person, from either side, while pages show the progress."""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial
from typing import Final, TypeVar

from entrenous.app.jobs import Events
from entrenous.app.vault_session import GiveLock, StoppedByLock, VaultLocked, VaultSession
from entrenous.base.errors import EntrenousError, Unreachable
from entrenous.base.secret import Secret
from entrenous.crypto.short_auth_string import ShortString
from entrenous.device.device import Device, courier_of
from entrenous.device.recovery_sheet import RecoverySheet
from entrenous.send.devices.link_new_device import (
    NewDeviceLink,
    confirm_on_new_device,
    end_on_new_device,
    poll_new_device,
    reject_on_new_device,
    start_on_new_device,
)
from entrenous.send.devices.link_nouns import LinkEnded, LinkStoppedHere
from entrenous.send.devices.link_old_device import (
    OldDeviceLink,
    close_link_mailbox,
    confirm_on_old_device,
    end_on_old_device,
    is_granted,
    poll_old_device,
    reject_on_old_device,
    start_on_old_device,
)
from entrenous.send.devices.link_steps import LinkState
from entrenous.send.devices.linked_devices import linked_device_by_id
from entrenous.send.fetch import fetch_messages

_LETTER_WAIT_S: Final = 5  # the longest delay before a stop is noticed
_POLL_INTERVAL_S: Final = 1.0
_EFFECT_WAIT_S: Final = 2
T = TypeVar("T")


class Answer(StrEnum):
    """The person's answer about the short string, or the request to stop."""

    SAME = "same"
    DIFFERS = "differs"
    STOP = "stop"


class Linking:
    """The progress of a linking.

    ``stage`` is None at first. ``short_string`` is set as soon as both devices show it. ``error``
    says why linking ended without a new device.

    ``name`` is the new device's name once it is on the device list; ``answered`` is whether it has
    written to this device since then.
    """

    is_new = False

    def __init__(self, vault: VaultSession, events: Events) -> None:
        self._vault, self._events = vault, events
        self._answers = queue.SimpleQueue[Answer]()
        self._stopped = False
        self.stage: LinkState | None = None
        self.code = ""
        self.short_string: ShortString | None = None
        self.error: BaseException | None = None
        self.is_over = False
        self.name = ""

    @property
    def asks(self) -> bool:
        """True if the person now has to say whether both devices show the same string."""
        return self.stage in {LinkState.COMPARING, LinkState.SHOWN} and not self.is_over

    @property
    def answered(self) -> bool:
        return self.stage is LinkState.LINKED

    def answer(self, given: Answer) -> None:
        """Accept the person's answer, or their request to stop."""
        if given is Answer.STOP:
            self._stopped = True
        self._answers.put(given)

    def stop(self) -> None:
        self.answer(Answer.STOP)

    async def acted(self) -> None:
        """Wait up to two seconds for the effect of the answer, so that the next page shows it."""
        before = (self.stage, self.is_over)
        for _ in range(_EFFECT_WAIT_S * 20):
            if (self.stage, self.is_over) != before:
                return
            await asyncio.sleep(0.05)

    def _show(self, stage: LinkState) -> None:
        self.stage = stage
        self._events.publish()

    def _end(self, error: BaseException | None = None) -> None:
        self.error = StoppedByLock() if isinstance(error, VaultLocked) else error
        self.is_over = True
        self._events.publish()

    def _refuse_stopped(self) -> None:
        if self._stopped:
            raise LinkStoppedHere

    def _asked(self, refuse_late: Callable[[], None]) -> bool:
        """Wait for the person's answer; raises LinkEnded, LinkStoppedHere."""
        while True:
            refuse_late()
            self._refuse_stopped()
            with contextlib.suppress(queue.Empty):
                return self._answers.get(timeout=_POLL_INTERVAL_S) is Answer.SAME


class LinkingOnOld(Linking):
    """The old device's side: it shows the code and adds the new device to its list."""

    def start(self, sheet: RecoverySheet | None) -> None:
        threading.Thread(target=self._run, args=(sheet,), daemon=True).start()

    def _run(self, sheet: RecoverySheet | None) -> None:
        side: OldDeviceLink | None = None
        try:
            side = self._in_vault(lambda device: start_on_old_device(sheet, device))
            self.code = side.code
            side = self._until(LinkState.COMPARING, side)
            self.short_string = side.short_string
            self._show(side.state)
            side = self._decided(side)
            self._show(side.state)
            self._await_first_letter(side)
        except EntrenousError as why:
            self._give_up(side)
            self._end(why)
        else:
            self._end()

    def _decided(self, side: OldDeviceLink) -> OldDeviceLink:
        def check() -> None:
            with _retry_later_if_unreachable():
                # the other device may end the linking in the meantime
                self._in_vault(partial(_poll_unless_timed_out, side))

        if not self._asked(check):
            self._in_vault(lambda device: reject_on_old_device(side, device))

        def confirm(device: Device) -> OldDeviceLink:
            fetch_messages(device)  # another device may have changed the list in the meantime
            granted = confirm_on_old_device(side, device)
            self.name = _name_of_new_device(granted, device)
            return granted

        return self._in_vault(confirm)

    def _await_first_letter(self, side: OldDeviceLink) -> None:
        """Wait until the new device, which is on the list now, has written. Its message is fetched
        like any other.
        """
        try:
            side = self._until(LinkState.LINKED, side)
        except LinkEnded as why:
            # after a timeout or a stop here, the new device stays linked; other reasons are errors
            if type(why) not in {LinkEnded, LinkStoppedHere}:
                raise
        self._in_vault(lambda device: close_link_mailbox(side, device))

    def _until(self, state: LinkState, side: OldDeviceLink) -> OldDeviceLink:
        with courier_of(self._vault.settings) as courier:
            while side.state is not state:
                self._refuse_stopped()
                before = side
                with _retry_later_if_unreachable():
                    side = self._in_vault(partial(_poll_unless_timed_out, side))
                    if side == before:
                        courier.wait_for_letter(
                            side.box.relay_url, side.box.mailbox, side.box.owner, _LETTER_WAIT_S
                        )
                self._show(side.state)
        return side

    def _in_vault(self, work: Callable[[Device], T]) -> T:
        self._vault.touch()  # counts as activity, because the person is at the other device
        return self._vault.run(work).result()

    def _give_up(self, side: OldDeviceLink | None) -> None:
        """Tell the other device that linking ended, unless the vault is locked or the other device
        is already on the list.
        """

        def end(device: Device) -> None:
            if side is not None and not is_granted(side, device):
                end_on_old_device(side, device)

        with contextlib.suppress(EntrenousError):
            self._in_vault(end)


@contextlib.contextmanager
def _retry_later_if_unreachable() -> Iterator[None]:
    """If a relay does not answer, wait briefly instead of failing. The caller asks again until the
    linking times out.
    """
    try:
        yield
    except Unreachable:
        time.sleep(_POLL_INTERVAL_S)


def _poll_unless_timed_out(side: OldDeviceLink, device: Device) -> OldDeviceLink:
    side.box.refuse_after_timeout(device)
    return poll_old_device(side, device)


def _name_of_new_device(side: OldDeviceLink, device: Device) -> str:
    known = None if side.offer is None else linked_device_by_id(side.offer.device, device)
    return "" if known is None else known.name


class LinkingHere(Linking):
    """The new device's side: this device becomes one of the person's devices."""

    is_new = True

    def start(self, code: str, name: str | None, passphrase: Secret) -> None:
        """Start linking. ``name`` is the person's name for this device."""

        def fill(device: Device, lock: GiveLock) -> None:
            side = start_on_new_device(code, name, device)
            try:
                lock(side.home)
                self._link(side, device)
            except BaseException:
                end_on_new_device(side, device)
                raise

        opening = self._vault.create(passphrase, fill)
        self._vault.call_at_lock(self.stop)
        opening.add_done_callback(lambda done: self._end(done.exception()))

    def _link(self, side: NewDeviceLink, device: Device) -> None:
        side = self._until(LinkState.SHOWN, side, device)
        self.short_string = side.short_string
        self._show(side.state)
        if not self._asked(lambda: side.box.refuse_after_timeout(device)):
            reject_on_new_device(side, device)
        self._until(LinkState.LINKED, confirm_on_new_device(side), device)

    def _until(self, state: LinkState, side: NewDeviceLink, device: Device) -> NewDeviceLink:
        box, before = side.box, side
        while side.state is not state:
            self._refuse_stopped()
            self._show(side.state)
            with _retry_later_if_unreachable():
                before, side = side, poll_new_device(side, device)
                if side == before:
                    device.courier.wait_for_letter(
                        box.relay_url, box.mailbox, box.owner, _LETTER_WAIT_S
                    )
        self._show(side.state)
        return side
