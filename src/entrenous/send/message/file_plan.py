"""What a message's files are, and for each recipient their own copies of all of them."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Protocol, TypeVar

from entrenous.base.audio_video import FramesUnknown, NoFrames
from entrenous.base.copies import Copy
from entrenous.base.errors import of_file
from entrenous.base.identifiers import MessageId
from entrenous.base.picture import Medium, OnlyPicturesHaveASize
from entrenous.device.device import Device
from entrenous.device.sent_messages import SentClip, SentPicture, SentSound
from entrenous.media.file_kind import medium_of
from entrenous.send.copies.picture_copies import (
    MadeCopy,
    Original,
    keep_looks,
    new_seed,
    prepare_original,
    remember,
    write_each,
)
from entrenous.send.letter.letter_nouns import FileRole
from entrenous.send.message.transfer_progress import Counted, Reached


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


@dataclass(frozen=True, slots=True)
class Pictures:
    """All pictures of one message."""

    places: tuple[int, ...]
    originals: tuple[Original, ...]

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """What each is written as."""
        formats = (original.picture.encoding.format for original in self.originals)
        return tuple(Shape(one.written.media_type, FileRole.PICTURE) for one in formats)

    def copies(
        self, people: int, device: Device, marking: Counted
    ) -> Generator[tuple[MadeCopy, ...], None, None]:
        """For one recipient after the other a copy of each picture."""
        marking.more(0)  # shown before the first is done
        seeds = [tuple(new_seed(device) for _ in self.originals) for _ in range(people)]
        return write_each(self.originals, seeds, lambda one: marking.more(len(one.source)))

    def remember(self, copies: Sequence[tuple[Copy, ...]], device: Device) -> Remembered:
        """Keep the originals."""
        kept = [device.vault.keep(original.source) for original in self.originals]
        made = map(remember, self.originals, kept, copies)
        numbered = zip(made, self.places, strict=True)
        return Remembered(tuple(replace(one, place=place + 1) for one, place in numbered))

    def keep_looks(self, message: MessageId, device: Device) -> None:
        """Keep what they look like."""
        keep_looks(message, self.originals, device)


def pictures_of(
    files: Sequence[tuple[int, bytes]], size_px: int | None, device: Device, preparing: Counted
) -> Pictures:
    """Prepare pictures by their places in the message; ``preparing`` counts their bytes.

    Raises:
        NotAPicture, CutShort, TooManyPixels, DecoderGaveUp, TooSmallToMark.
    """
    places = tuple(place for place, _ in files)
    return Pictures(places, tuple(_original(*file, size_px, device, preparing) for file in files))


def _original(
    place: int, untrusted_data: bytes, size_px: int | None, device: Device, preparing: Counted
) -> Original:
    reached = preparing.piece(len(untrusted_data))
    with of_file(place):
        original = prepare_original(untrusted_data, size_px, device, sparing=True)
    reached(1.0)
    return original


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
        pictures_of = _late("entrenous.send.message.file_plan:pictures_of")
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
            return _late("entrenous.send.message.clip_and_sound_parts:clip_of")(
                place, untrusted_data, device, reached
            )
    except FramesUnknown:  # it has pictures, so its sound alone is not what she sends
        raise
    except NoFrames:
        return _voice(place, untrusted_data, device, reached)


def _voice(place: int, untrusted_data: bytes, device: Device, reached: Reached) -> Part:
    with of_file(place):
        return _late("entrenous.send.message.clip_and_sound_parts:voice_of")(
            place, untrusted_data, device, reached
        )


def _late(place: str) -> Callable[..., Part]:
    """Loaded when it is needed: a text does not wait for what marks pictures, nor a picture for the
    video library.
    """
    module, _, name = place.partition(":")
    found: Callable[..., Part] = getattr(import_module(module), name)
    return found
