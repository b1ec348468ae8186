"""What the explorer holds of everybody: small, and equal where nothing differs."""

from typing import Final, NamedTuple

from entrenous.device.sent_messages import SendState
from entrenous.send.message.states import InboxState
from entrenous.wire.relay_nouns import EnvelopeState
from tests.village.explore.relay import NEVER_CAME, Disk, Request

SENDER: Final = "Ana"
DEVICES: Final = ("Ben's laptop", "Ben's phone")
CHEAT: Final = 9  # the attempt of a changed program, which asks although it was shown the message
_NOT: Final = -2  # not taken back
_BEGUN: Final = -1  # its sender began to, and heard no answer


class Copy(NamedTuple):
    """A copy at its sender. ``recalled`` is how often it was opened before, as its relay told when
    it was taken back; less than 0 until then.
    """

    departure: SendState = SendState.WAITING
    recalled: int = _NOT

    @property
    def may_be_recalled(self) -> bool:
        there = self.departure in (SendState.TRIED, SendState.ACKNOWLEDGED)
        return there and self.recalled in (_NOT, _BEGUN)

    @property
    def is_recalled(self) -> bool:
        """Its relay told that it is taken back."""
        return self.recalled >= 0

    @property
    def untouched(self) -> bool:
        """Nobody began to take it back."""
        return self.recalled == _NOT

    def begun(self) -> "Copy":
        return self._replace(recalled=_BEGUN)

    def heard(self, said: str) -> "Copy":
        """What its relay says after taking it back."""
        state, _, opened = said.partition(", ")
        if state not in (EnvelopeState.TAKEN_BACK, NEVER_CAME):
            raise ValueError(said)
        return self._replace(recalled=int(opened or 0))


class Device(NamedTuple):
    """One of the recipient's devices: what is on its disk, but for ``holding``.

    ``letter``: it was fetched; ``told``: the relay said that it knows; ``parts``: the blob is here
    and whole; ``attempt``: written down before the share is asked for; ``finish``: shown, and the
    relay does not know; ``views``: what was shown wholly; ``holding``: the share is in memory.
    ``asked`` and ``seen`` are known to nobody: every attempt that was asked with, and every one
    that brought a share to the screen, a bit each.
    """

    letter: bool = False
    told: bool = False
    parts: bool = False
    state: InboxState = InboxState.WAITING
    attempt: int = 0
    finish: int = 0
    views: int = 0
    holding: bool = False
    asked: int = 0
    seen: int = 0


class Pending(NamedTuple):
    """A request whose answer waits for the disk; ``whose`` is None when nobody listens any more."""

    whose: str | None
    request: Request
    said: str

    def unheard(self) -> "Pending":
        return self._replace(whose=None)


class Scene(NamedTuple):
    """Everything at one moment: ``rows`` is what the relay works on, ``group`` what only differs
    there and not yet on its ``disk``.
    """

    disk: Disk
    rows: int
    group: tuple[Pending, ...] = ()
    copies: tuple[Copy, Copy] = (Copy(), Copy())
    devices: tuple[Device, Device] = (Device(), Device())

    def listens(self, whose: str) -> bool:
        return any(one.whose == whose for one in self.group)

    def deaf(self, whose: str) -> "Scene":
        """Nobody of that name listens any more."""
        group = (one.unheard() if one.whose == whose else one for one in self.group)
        return self._replace(group=tuple(group))

    def lost(self) -> "Scene":
        """The relay forgot what is not on its disk."""
        return self._replace(rows=self.disk.rows, group=())

    def kept(self) -> "Scene":
        """All that the relay works on is on its disk, and no answer has left."""
        return self.on(self.disk._replace(rows=self.rows))

    def on(self, disk: Disk) -> "Scene":
        return self._replace(disk=disk, rows=disk.rows, group=())

    def with_copy(self, place: int, copy: Copy) -> "Scene":
        return self._replace(copies=_put(self.copies, place, copy))

    def with_device(self, place: int, device: Device) -> "Scene":
        return self._replace(devices=_put(self.devices, place, device))


def _put(pair: tuple, place: int, one: object) -> tuple:  # type: ignore[type-arg]
    return (one, pair[1]) if place == 0 else (pair[0], one)
