"""Mark copies of a file for people who get them by another channel; forget those that were never
written.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module

from entrenous.base.audio_video import FramesUnknown, NoFrames
from entrenous.base.copies import Copy
from entrenous.base.errors import of_file
from entrenous.base.identifiers import ID_BYTES, BlobId, MessageId, MessageName, RecipientId
from entrenous.base.picture import Medium, OnlyPicturesHaveASize
from entrenous.device.device import Device
from entrenous.device.sent_messages import Message
from entrenous.media.file_kind import medium_of
from entrenous.send.copies.picture_copies import (
    MadeCopy,
    Original,
    keep_looks,
    new_seed,
    prepare_original,
    remember,
    write_copies,
)
from entrenous.send.inbox import new_name


@dataclass(frozen=True, slots=True)
class MarkedFile:
    """One recipient's copy as a file, and the suffix that its name should have."""

    to: RecipientId
    data: bytes
    suffix: str


def mark_copies(
    untrusted_data: bytes, to: Sequence[RecipientId], size_px: int | None, device: Device
) -> Generator[tuple[MessageName, MarkedFile], None, None]:
    """One marked copy after the other; the ledger has each before it is handed over.

    All processors work a little ahead of what is asked for, so memory does not grow with the number
    of copies. Whoever stops early (closes the generator, or interrupts it) can trace the copies
    that were handed over, and the ledger names no others; nor the last one, where NotWritten is
    thrown in.

    Raises:
        NotAPicture, CutShort, TooManyPixels, DecoderGaveUp, TooSmallToMark.
    """
    original = prepare_original(untrusted_data, size_px, device)
    message = MessageId(device.dice.token(ID_BYTES))
    marking = _Marking(original, message, new_name(device), device.clock.now(), device)
    suffix = original.picture.encoding.format.written.suffix
    people = iter(to)
    with (
        closing(write_copies(original, (new_seed(device) for _ in to))) as made,
        closing(marking),
    ):
        for batch in made:
            names = [next(people) for _ in batch]
            marking.record(names, batch)
            for name, copy in zip(names, batch, strict=True):
                marking.handed += 1
                try:
                    yield marking.name, MarkedFile(name, copy.data, suffix)
                except NotWritten:
                    marking.handed -= 1
                    raise


@dataclass(slots=True)
class _Marking:
    """A message whose copies are being made.

    ``batch`` is what was recorded last, its first copy being number ``start``; ``handed`` copies
    have been handed over.
    """

    original: Original
    id: MessageId
    name: MessageName
    at: datetime
    device: Device
    start: int = 0
    batch: tuple[Copy, ...] = ()
    handed: int = 0
    kept: BlobId | None = None

    def record(self, names: Sequence[RecipientId], made: Sequence[MadeCopy]) -> None:
        """Put the next copies into the ledger, with the message itself before the first of them."""
        copies = tuple(
            Copy(name, copy.seed, copy.sha256) for name, copy in zip(names, made, strict=True)
        )
        self.start, self.batch = self.start + len(self.batch), copies
        with self.device.vault.together():
            if self.kept is None:
                self._begin()
            self.device.ledger.add_copies(self.id, 0, self.start, copies)

    def close(self) -> None:
        """Take out of the ledger what was recorded and then not handed over."""
        handed = self.batch[: self.handed - self.start]
        if self.handed > 0 and len(handed) < len(self.batch):
            self.device.ledger.add_copies(self.id, 0, self.start, handed)
        if self.handed == 0 and self.kept is not None:
            self.device.ledger.forget(self.id)
            self.device.vault.forget(self.kept)

    def _begin(self) -> None:
        self.kept = self.device.vault.keep(self.original.source)
        picture = remember(self.original, self.kept, ())
        self.device.ledger.record(Message(self.id, self.name, self.at, (picture,)))
        keep_looks(self.id, (self.original,), self.device)


Marked = Generator[tuple[MessageName, MarkedFile], None, None]


def mark_file(
    untrusted_data: bytes, to: Sequence[RecipientId], size_px: int | None, device: Device
) -> Marked:
    """One marked copy after the other; the ledger has each before it is handed over.

    Raises:
        OnlyPicturesHaveASize: a size was asked for, and this is none.
        What :func:`.mark.mark_copies`, mark_clip_copies and mark_sound_copies raise.
    """
    with of_file(0):
        yield from _marked(untrusted_data, to, size_px, device)


def _marked(
    untrusted_data: bytes, to: Sequence[RecipientId], size_px: int | None, device: Device
) -> Marked:
    medium = medium_of(untrusted_data)
    if medium is Medium.PICTURE:
        return mark_copies(untrusted_data, to, size_px, device)
    if size_px is not None:
        raise OnlyPicturesHaveASize
    if medium is Medium.CLIP:
        return _mark_clip(untrusted_data, to, device)
    return _late("entrenous.send.copies.sound_copies:mark_sound_copies")(untrusted_data, to, device)


def _mark_clip(untrusted_data: bytes, to: Sequence[RecipientId], device: Device) -> Marked:
    """A clip that has no frames may still be heard."""
    try:
        yield from _late("entrenous.send.copies.mark_clip:mark_clip_copies")(
            untrusted_data, to, device
        )
    except FramesUnknown:  # it has pictures, so its sound alone is not what she marks
        raise
    except NoFrames:
        yield from _late("entrenous.send.copies.sound_copies:mark_sound_copies")(
            untrusted_data, to, device
        )


def _late(place: str) -> Callable[..., Marked]:
    """Loaded when it is needed: who marks a picture does not wait for the video library."""
    module, _, name = place.partition(":")
    found: Callable[..., Marked] = getattr(import_module(module), name)
    return found


class NotWritten(Exception):
    """Thrown into a generator of marked copies: nobody has the one that it yielded last."""


def forget_unwritten(
    message: MessageId, places: Sequence[int], number: int, device: Device
) -> None:
    """Take copy ``number``, counted from 0, out of the ledger, where it stands as a batch of its
    own at these places of the message; with the first of them goes the message.
    """
    with device.vault.together():
        if number > 0:
            for place in places:
                device.ledger.add_copies(message, place, number, ())
            return
        sent = device.ledger.read(message)
        device.ledger.forget(message)
        clips = {blob for one in sent.clips for blob in (one.original, one.survey)}
        sounds = {blob for one in sent.sounds for blob in (one.original, one.contour)}
        for blob in clips | sounds:
            device.vault.forget(blob)
