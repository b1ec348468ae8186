"""What a message's files are, and for each recipient her own copies of all of them."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from entrenous.craft.media.kind import medium_of
from entrenous.model.clip import FramesUnknown, NoFrames
from entrenous.model.errors import of_file
from entrenous.model.ids import MessageId
from entrenous.model.medium import Medium
from entrenous.model.message import Copy
from entrenous.model.picture import OnlyPicturesHaveASize
from entrenous.ports import Device
from entrenous.send.kinds.part import Part, Remembered, Shape
from entrenous.send.message.watch import Counted, Reached

if TYPE_CHECKING:
    from entrenous.send.mark.copies import MadeCopy

One = TypeVar("One")


@dataclass(frozen=True, slots=True)
class Plan:
    """The files of a message, prepared once for everybody; ``parts`` hold each of them once."""

    parts: tuple[Part, ...]

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """What each file is written as, in the message's order."""
        return self._in_order([part.shapes for part in self.parts])

    def copies(
        self, people: int, device: Device, marking: Counted
    ) -> Generator[tuple["MadeCopy", ...], None, None]:
        """For one recipient after the other her own copy of every file, in the message's order.

        Each part works ahead by itself, and what it has made waits to be asked for.
        """
        with ExitStack() as stack:
            making = [
                stack.enter_context(closing(part.copies(people, device, marking)))
                for part in self.parts
            ]
            for _ in range(people):
                yield self._in_order(list(map(_next, self.parts, making)))

    def remember(self, by_file: Sequence[tuple[Copy, ...]], device: Device) -> Remembered:
        """Keep all originals; ``by_file`` are the copies of each, in the message's order."""
        kept = [
            part.remember([by_file[place] for place in part.places], device) for part in self.parts
        ]
        return Remembered(
            tuple(one for each in kept for one in each.pictures),
            tuple(one for each in kept for one in each.clips),
            tuple(one for each in kept for one in each.sounds),
        )

    def keep_looks(self, message: MessageId, device: Device) -> None:
        """Keep what a recorded message's pictures look like."""
        for part in self.parts:
            part.keep_looks(message, device)

    def _in_order(self, made: Sequence[tuple[One, ...]]) -> tuple[One, ...]:
        placed = {
            place: one
            for part, several in zip(self.parts, made, strict=True)
            for place, one in zip(part.places, several, strict=True)
        }
        return tuple(placed[place] for place in sorted(placed))


def plan_of(
    files: Sequence[bytes], size_px: int | None, device: Device, preparing: Counted
) -> Plan:
    """Look at a message's files and prepare each as its kind wants it; ``preparing`` counts their
    bytes.

    Raises:
        OnlyPicturesHaveASize: a size was asked for, and there is no picture.
        What :func:`.picture.pictures_of`, clip_of and voice_of raise.
    """
    by_kind: dict[Medium, list[tuple[int, bytes]]] = {medium: [] for medium in Medium}
    for place, data in enumerate(files):
        by_kind[medium_of(data)].append((place, data))
    pictures = by_kind[Medium.PICTURE]
    if size_px is not None and not pictures:
        raise OnlyPicturesHaveASize
    parts: list[Part] = []
    if pictures:
        pictures_of = _late("entrenous.send.kinds.picture:pictures_of")
        parts.append(pictures_of(pictures, size_px, device, preparing))
    for place, data in by_kind[Medium.CLIP]:
        parts.append(_clip(place, data, device, preparing.piece(len(data))))
    for place, data in by_kind[Medium.SOUND]:
        parts.append(_voice(place, data, device, preparing.piece(len(data))))
    return Plan(tuple(parts))


def _next(part: Part, copies: Iterator[One]) -> One:
    """Pictures are whole before; a clip is walked again for its copies, and may end early there."""
    with of_file(part.places[0]) if len(part.places) == 1 else nullcontext():
        return next(copies)


def _clip(place: int, untrusted_data: bytes, device: Device, reached: Reached) -> Part:
    """A clip that has no frames may still be heard."""
    try:
        with of_file(place):
            return _late("entrenous.send.kinds.clip:clip_of")(
                place, untrusted_data, device, reached
            )
    except FramesUnknown:  # it has pictures, so its sound alone is not what she sends
        raise
    except NoFrames:
        return _voice(place, untrusted_data, device, reached)


def _voice(place: int, untrusted_data: bytes, device: Device, reached: Reached) -> Part:
    with of_file(place):
        return _late("entrenous.send.kinds.voice:voice_of")(place, untrusted_data, device, reached)


def _late(place: str) -> Callable[..., Part]:
    """Loaded when it is needed: a text does not wait for what marks pictures, nor a picture for the
    video library.
    """
    module, _, name = place.partition(":")
    found: Callable[..., Part] = getattr(import_module(module), name)
    return found
