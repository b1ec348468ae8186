"""What the explorer knows of the relay and each device, as small values that can be compared."""

from typing import Final, NamedTuple

from entrenous.device.sent_messages import SendState
from entrenous.send.message.states import InboxState
from entrenous.wire.relay_nouns import EnvelopeState
from tests.village.explore.relay import NEVER_POSTED, Disk, Request

SENDER: Final = "Ana"
DEVICES: Final = ("Ben's laptop", "Ben's phone")
CHEATING_ATTEMPT: Final = (
    9  # the attempt of a modified program, which asks again after it showed the message
)
_NOT_RECALLED: Final = -2  # not taken back
_RECALL_BEGUN: Final = -1  # its sender began to take it back, and got no answer


class Copy(NamedTuple):
    """A copy as its sender knows it. ``recalled`` is negative until it was taken back, and then the
    number of openings that the relay reported.
    """

    departure: SendState = SendState.WAITING
    recalled: int = _NOT_RECALLED

    @property
    def may_be_recalled(self) -> bool:
        there = self.departure in (SendState.TRIED, SendState.ACKNOWLEDGED)
        return there and self.recalled in (_NOT_RECALLED, _RECALL_BEGUN)

    @property
    def is_recalled(self) -> bool:
        """Whether the relay confirmed that it was taken back."""
        return self.recalled >= 0

    @property
    def has_no_recall(self) -> bool:
        """Whether nobody began to take it back."""
        return self.recalled == _NOT_RECALLED

    def with_recall_begun(self) -> "Copy":
        return self._replace(recalled=_RECALL_BEGUN)

    def with_recall_answer(self, answer: str) -> "Copy":
        """Return the copy after the relay's answer to the recall."""
        state, _, opened = answer.partition(", ")
        if state not in (EnvelopeState.TAKEN_BACK, NEVER_POSTED):
            raise ValueError(answer)
        return self._replace(recalled=int(opened or 0))


class Device(NamedTuple):
    """One of the recipient's devices: what is on its disk, except for ``has_share``.

    ``letter``: it was fetched; ``confirmed``: the relay confirmed that it knows this; ``has_blob``:
    the whole blob is here; ``attempt``: recorded before the share is requested; ``unreported``: the
    attempt that was shown and not reported yet; ``views``: the number of finished views;
    ``has_share``: the share is in memory. ``requested`` and ``shown`` are for the invariants, one
    bit for each attempt: those that requested a share, and those whose share reached the screen.
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
    """A request whose answer waits for the disk; ``receiver`` is None if nobody waits for it."""

    receiver: str | None
    request: Request
    answer: str

    def without_receiver(self) -> "Pending":
        return self._replace(receiver=None)


class SystemState(NamedTuple):
    """The whole state at one moment: ``rows`` is the relay's state in memory, and ``group`` are the
    requests whose changes are not on its ``disk`` yet.
    """

    disk: Disk
    rows: int
    group: tuple[Pending, ...] = ()
    copies: tuple[Copy, Copy] = (Copy(), Copy())
    devices: tuple[Device, Device] = (Device(), Device())

    def awaits_answer(self, name: str) -> bool:
        return any(one.receiver == name for one in self.group)

    def without_receiver(self, name: str) -> "SystemState":
        """Return the scene in which nobody of that name waits for an answer any more."""
        group = (one.without_receiver() if one.receiver == name else one for one in self.group)
        return self._replace(group=tuple(group))

    def after_relay_death(self) -> "SystemState":
        """Return the scene after the relay lost what is not on its disk."""
        return self._replace(rows=self.disk.rows, group=())

    def after_commit(self) -> "SystemState":
        """Return the scene after the group reached the disk, and before any answer left."""
        return self.on_disk(self.disk._replace(rows=self.rows))

    def on_disk(self, disk: Disk) -> "SystemState":
        return self._replace(disk=disk, rows=disk.rows, group=())

    def with_copy(self, place: int, copy: Copy) -> "SystemState":
        return self._replace(copies=_replace_item(self.copies, place, copy))

    def with_device(self, place: int, device: Device) -> "SystemState":
        return self._replace(devices=_replace_item(self.devices, place, device))


def _replace_item(pair: tuple, place: int, one: object) -> tuple:  # type: ignore[type-arg]
    return (one, pair[1]) if place == 0 else (pair[0], one)
