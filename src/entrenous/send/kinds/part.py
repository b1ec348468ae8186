"""What every kind of file can do on its way into a message."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from entrenous.model.ids import MessageId
from entrenous.model.letter import FileRole
from entrenous.model.message import Copy, SentClip, SentPicture, SentSound
from entrenous.ports import Device
from entrenous.send.message.watch import Counted

if TYPE_CHECKING:
    from entrenous.send.mark.copies import MadeCopy


@dataclass(frozen=True, slots=True)
class Shape:
    """What all copies of one file have in common: what they are written as and shown as."""

    media_type: str
    role: FileRole


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the ledger keeps of one or more files of a message."""

    pictures: tuple[SentPicture, ...] = ()
    clips: tuple[SentClip, ...] = ()
    sounds: tuple[SentSound, ...] = ()


class Part(Protocol):
    """Those files of a message that are of one kind and are copied together.

    ``places`` are their numbers among the message's files, from 0; ``shapes`` run as they do.
    """

    @property
    def places(self) -> tuple[int, ...]:
        """Which of the message's files these are."""
        ...

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """What each is written as."""
        ...

    def copies(
        self, people: int, device: Device, marking: Counted
    ) -> Generator[tuple["MadeCopy", ...], None, None]:
        """For one recipient after the other a copy of each file, made a little ahead; ``marking``
        counts every file's bytes once for each of them.
        """
        ...

    def remember(self, copies: Sequence[tuple[Copy, ...]], device: Device) -> Remembered:
        """Keep the originals; ``copies`` are, for each file, those that were made of it."""
        ...

    def keep_looks(self, message: MessageId, device: Device) -> None:
        """Keep what a recorded message's pictures look like."""
        ...
