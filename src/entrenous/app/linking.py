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

from entrenous.app.jobs import ChangeEvents
from entrenous.app.vault_session import LockAtMailbox, StoppedByLock, VaultLocked, VaultSession
from entrenous.base.errors import EntrenousError, Unreachable
from entrenous.base.secret import Secret
from entrenous.crypto.short_auth_string import ShortAuthString
from entrenous.device.device import Device, open_courier
from entrenous.device.recovery_sheet import RecoverySheet
from entrenous.send.devices.link_new_device import (
    NewDeviceLinkInProgress,
    confirm_on_new_device,
    end_on_new_device,
    poll_new_device,
    reject_on_new_device,
    start_on_new_device,
)
from entrenous.send.devices.link_nouns import LinkEnded, LinkStoppedHere
from entrenous.send.devices.link_old_device import (
    OldDeviceLinkInProgress,
    close_link_mailbox,
    confirm_on_old_device,
    end_on_old_device,
    is_new_device_listed,
    poll_old_device,
    reject_on_old_device,
    start_on_old_device,
)
from entrenous.send.devices.link_steps import LinkState
from entrenous.send.devices.linked_devices import linked_device_by_id
from entrenous.send.fetch import fetch_messages

_MESSAGE_LONG_POLL_S: Final = 5  # a stop by the person is noticed when this request ends
_POLL_INTERVAL_S: Final = 1.0
_ANSWER_EFFECT_WAIT_S_MAX: Final = 2
T = TypeVar("T")


class LinkingAnswer(StrEnum):
    """The person's answer to the question whether both devices show the same short string, or the
    person's request to stop.
    """

    SAME = "same"
    DIFFERS = "differs"
    STOP = "stop"


class Linking:
    """The progress of a linking.

    ``stage`` is None at first. ``short_string`` is None until this device shows the string.
    ``error`` is the error that ended the linking, if there was one.

    On the old device, ``name`` is the new device's name as soon as the new device is on the device
    list, and ``has_new_device_answered`` tells whether the new device has written to this device
    since then.
    """

    is_on_new_device = False

    def __init__(self, vault: VaultSession, events: ChangeEvents) -> None:
        self._vault, self._events = vault, events
        self._answers = queue.SimpleQueue[LinkingAnswer]()
        self._stopped = False
        self.stage: LinkState | None = None
        self.code = ""
        self.short_string: ShortAuthString | None = None
        self.error: BaseException | None = None
        self.is_over = False
        self.name = ""

    @property
    def awaits_answer(self) -> bool:
        """True if the person now has to say whether both devices show the same string."""
        return self.stage in {LinkState.COMPARING, LinkState.SHOWN} and not self.is_over

    @property
    def has_new_device_answered(self) -> bool:
        return self.stage is LinkState.LINKED

    def accept_answer(self, given: LinkingAnswer) -> None:
        """Accept the person's answer, or their request to stop."""
        if given is LinkingAnswer.STOP:
            self._stopped = True
        self._answers.put(given)

    def stop(self) -> None:
        self.accept_answer(LinkingAnswer.STOP)

    async def wait_for_answer_effect(self) -> None:
        """Wait up to two seconds for the effect of the answer, so that the next page shows it."""
        before = (self.stage, self.is_over)
        for _ in range(_ANSWER_EFFECT_WAIT_S_MAX * 20):
            if (self.stage, self.is_over) != before:
                return
            await asyncio.sleep(0.05)

    def _set_stage(self, stage: LinkState) -> None:
        self.stage = stage
        self._events.publish()

    def _mark_ended(self, error: BaseException | None = None) -> None:
        self.error = StoppedByLock() if isinstance(error, VaultLocked) else error
        self.is_over = True
        self._events.publish()

    def _raise_if_stopped(self) -> None:
        if self._stopped:
            raise LinkStoppedHere

    def _wait_for_persons_answer(self, check_link: Callable[[], None]) -> bool:
        """Wait for the person's answer. Return True if both devices show the same string.

        Meanwhile ``check_link`` is called repeatedly; it raises an error if the linking is over.

        Raises:
            LinkEnded, LinkStoppedHere.
        """
        while True:
            check_link()
            self._raise_if_stopped()
            with contextlib.suppress(queue.Empty):
                return self._answers.get(timeout=_POLL_INTERVAL_S) is LinkingAnswer.SAME


class LinkingOnOld(Linking):
    """The old device's side: it shows the code and adds the new device to its list."""

    def start(self, sheet: RecoverySheet | None) -> None:
        threading.Thread(target=self._run, args=(sheet,), daemon=True).start()

    def _run(self, sheet: RecoverySheet | None) -> None:
        side: OldDeviceLinkInProgress | None = None
        try:
            side = self._run_in_vault(lambda device: start_on_old_device(sheet, device))
            self.code = side.code
            side = self._poll_until(LinkState.COMPARING, side)
            self.short_string = side.short_string
            self._set_stage(side.state)
            side = self._confirm_or_reject(side)
            self._set_stage(side.state)
            self._await_first_message_and_close(side)
        except EntrenousError as why:
            self._tell_other_device_of_end(side)
            self._mark_ended(why)
        else:
            self._mark_ended()

    def _confirm_or_reject(self, side: OldDeviceLinkInProgress) -> OldDeviceLinkInProgress:
        def poll_other_device() -> None:
            with _pause_if_unreachable():
                # the other device may end the linking in the meantime
                self._run_in_vault(partial(_poll_unless_timed_out, side))

        if not self._wait_for_persons_answer(poll_other_device):
            self._run_in_vault(lambda device: reject_on_old_device(side, device))

        def confirm_new_device(device: Device) -> OldDeviceLinkInProgress:
            fetch_messages(device)  # another device may have changed the list in the meantime
            granted = confirm_on_old_device(side, device)
            self.name = _name_of_new_device(granted, device)
            return granted

        return self._run_in_vault(confirm_new_device)

    def _await_first_message_and_close(self, side: OldDeviceLinkInProgress) -> None:
        """Wait until the new device, which is on the list now, has sent its first message. That
        message is fetched like any other.
        """
        try:
            side = self._poll_until(LinkState.LINKED, side)
        except LinkEnded as why:
            # after a timeout or a stop here, the new device stays linked; other reasons are errors
            if type(why) not in {LinkEnded, LinkStoppedHere}:
                raise
        self._run_in_vault(lambda device: close_link_mailbox(side, device))

    def _poll_until(
        self, state: LinkState, side: OldDeviceLinkInProgress
    ) -> OldDeviceLinkInProgress:
        with open_courier(self._vault.settings) as courier:
            while side.state is not state:
                self._raise_if_stopped()
                before = side
                with _pause_if_unreachable():
                    side = self._run_in_vault(partial(_poll_unless_timed_out, side))
                    if side == before:
                        courier.wait_for_letter(
                            side.box.relay_url,
                            side.box.mailbox,
                            side.box.owner,
                            _MESSAGE_LONG_POLL_S,
                        )
                self._set_stage(side.state)
        return side

    def _run_in_vault(self, work: Callable[[Device], T]) -> T:
        self._vault.touch()  # counts as activity, because the person is at the other device
        return self._vault.run(work).result()

    def _tell_other_device_of_end(self, side: OldDeviceLinkInProgress | None) -> None:
        """Tell the other device that linking ended, unless the vault is locked or the other device
        is already on the list.
        """

        def end_unless_granted(device: Device) -> None:
            if side is not None and not is_new_device_listed(side, device):
                end_on_old_device(side, device)

        with contextlib.suppress(EntrenousError):
            self._run_in_vault(end_unless_granted)


@contextlib.contextmanager
def _pause_if_unreachable() -> Iterator[None]:
    """If a relay does not answer, wait briefly instead of failing. The caller asks again until the
    linking times out.
    """
    try:
        yield
    except Unreachable:
        time.sleep(_POLL_INTERVAL_S)


def _poll_unless_timed_out(
    side: OldDeviceLinkInProgress, device: Device
) -> OldDeviceLinkInProgress:
    side.box.refuse_after_timeout(device)
    return poll_old_device(side, device)


def _name_of_new_device(side: OldDeviceLinkInProgress, device: Device) -> str:
    known = None if side.offer is None else linked_device_by_id(side.offer.device, device)
    return "" if known is None else known.name


class LinkingOnNew(Linking):
    """The new device's side: this device becomes one of the person's devices."""

    is_on_new_device = True

    def start(self, code: str, name: str | None, passphrase: Secret) -> None:
        """Start linking. ``name`` is the name that the person gives this device, if any."""

        def link_new_vault(device: Device, lock: LockAtMailbox) -> None:
            side = start_on_new_device(code, name, device)
            try:
                lock(side.home)
                self._link(side, device)
            except BaseException:
                end_on_new_device(side, device)
                raise

        opening = self._vault.create(passphrase, link_new_vault)
        self._vault.call_at_lock(self.stop)
        opening.add_done_callback(lambda done: self._mark_ended(done.exception()))

    def _link(self, side: NewDeviceLinkInProgress, device: Device) -> None:
        side = self._poll_until(LinkState.SHOWN, side, device)
        self.short_string = side.short_string
        self._set_stage(side.state)
        if not self._wait_for_persons_answer(lambda: side.box.refuse_after_timeout(device)):
            reject_on_new_device(side, device)
        self._poll_until(LinkState.LINKED, confirm_on_new_device(side), device)

    def _poll_until(
        self, state: LinkState, side: NewDeviceLinkInProgress, device: Device
    ) -> NewDeviceLinkInProgress:
        box, before = side.box, side
        while side.state is not state:
            self._raise_if_stopped()
            self._set_stage(side.state)
            with _pause_if_unreachable():
                before, side = side, poll_new_device(side, device)
                if side == before:
                    device.courier.wait_for_letter(
                        box.relay_url, box.mailbox, box.owner, _MESSAGE_LONG_POLL_S
                    )
        self._set_stage(side.state)
        return side
