"""The explored state of the relay, the sender and each device, as small comparable values."""

from typing import Final, NamedTuple

from entrenous.device.sent_messages import SendState
from entrenous.send.message.states import InboxState
from entrenous.wire.relay_nouns import EnvelopeState
from tests.village.explore.relay import NEVER_POSTED, Disk, Request

SENDER_NAME: Final = "Ana"
DEVICE_NAMES: Final = ("Ben's laptop", "Ben's phone")
CHEATING_ATTEMPT: Final = 9  # a modified program's extra attempt after showing the message
_NOT_RECALLED: Final = -2  # nobody began to take the copy back
_RECALL_BEGUN: Final = -1  # the sender began to take the copy back, and got no answer


class Copy(NamedTuple):
    """A copy as the sender knows it.

    ``recalled`` is the number of openings that the relay reported when the copy was taken back.
    Before the relay's report, ``recalled`` is negative.
    """

    departure: SendState = SendState.WAITING
    recalled: int = _NOT_RECALLED

    @property
    def can_be_recalled(self) -> bool:
        may_be_posted = self.departure in (SendState.TRIED, SendState.ACKNOWLEDGED)
        return may_be_posted and self.recalled in (_NOT_RECALLED, _RECALL_BEGUN)

    @property
    def is_recalled(self) -> bool:
        """Whether the relay confirmed the recall."""
        return self.recalled >= 0

    @property
    def is_not_recalled(self) -> bool:
        """Whether the sender has not begun to take the copy back."""
        return self.recalled == _NOT_RECALLED

    def with_recall_begun(self) -> "Copy":
        return self._replace(recalled=_RECALL_BEGUN)

    def with_recall_answer(self, answer: str) -> "Copy":
        """Return this copy after the sender received the relay's answer to the recall."""
        state, _, opened = answer.partition(", ")
        if state not in (EnvelopeState.TAKEN_BACK, NEVER_POSTED):
            raise ValueError(answer)
        return self._replace(recalled=int(opened or 0))


class Device(NamedTuple):
    """One of the recipient's devices.

    The device's disk contains seven fields:

    - ``letter``: whether the device fetched the letter
    - ``confirmed``: whether the relay confirmed that the letter was fetched
    - ``has_blob``: whether the device has the whole blob
    - ``state``: the state of the message
    - ``attempt``: the current attempt, which is recorded before the share is requested
    - ``unreported``: the attempt that was shown but not yet reported to the relay
    - ``views``: the number of finished views

    ``has_share`` says whether the share is in memory. The invariants need ``requested`` and
    ``shown``, which have one bit for each attempt. The bit in ``requested`` says whether the
    attempt requested a share; the bit in ``shown`` says whether the attempt showed the message.
    """

    letter: bool = False
    confirmed: bool = False
    has_blob: bool = False
    state: InboxState = InboxState.WAITING
    attempt: int = 0
    unreported: int = 0
    views: int = 0
    has_share: bool = False
    requested: int = 0
    shown: int = 0


class Pending(NamedTuple):
    """A request whose answer waits for the commit.

    ``receiver`` is the person or device that awaits the answer, or None if nobody awaits it.
    """

    receiver: str | None
    request: Request
    answer: str

    def without_receiver(self) -> "Pending":
        return self._replace(receiver=None)


class SystemState(NamedTuple):
    """The state of the relay, the copies and the devices.

    The explorer numbers the states of the relay's rows; ``rows`` is the number of the state in the
    relay's memory. ``group`` contains the requests whose changes are not on the disk yet.
    """

    disk: Disk
    rows: int
    group: tuple[Pending, ...] = ()
    copies: tuple[Copy, Copy] = (Copy(), Copy())
    devices: tuple[Device, Device] = (Device(), Device())

    def awaits_answer(self, name: str) -> bool:
        return any(one.receiver == name for one in self.group)

    def without_receiver(self, name: str) -> "SystemState":
        """Return the state in which the person or device with this name awaits no answer."""
        group = (one.without_receiver() if one.receiver == name else one for one in self.group)
        return self._replace(group=tuple(group))

    def after_relay_death(self) -> "SystemState":
        """Return the state after a crash of the relay: everything that is not on disk is lost."""
        return self._replace(rows=self.disk.rows, group=())

    def after_commit(self) -> "SystemState":
        """Return the state after the group's commit, before anybody receives an answer."""
        return self.on_disk(self.disk._replace(rows=self.rows))

    def on_disk(self, disk: Disk) -> "SystemState":
        return self._replace(disk=disk, rows=disk.rows, group=())

    def with_copy(self, index: int, copy: Copy) -> "SystemState":
        return self._replace(copies=_replace_item(self.copies, index, copy))

    def with_device(self, index: int, device: Device) -> "SystemState":
        return self._replace(devices=_replace_item(self.devices, index, device))


def _replace_item(pair: tuple, index: int, item: object) -> tuple:  # type: ignore[type-arg]
    return (item, pair[1]) if index == 0 else (pair[0], item)
