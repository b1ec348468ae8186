"""Mark copies of a file for people who get them by another channel.

Copies that could not be written are removed from the ledger.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module

from entrenous.base.audio_video import NoVideoFound, UnsupportedVideoCodec
from entrenous.base.copies import Copy
from entrenous.base.errors import note_error_file_index
from entrenous.base.identifiers import ID_BYTES, BlobId, MessageId, MessageName, RecipientId
from entrenous.base.picture import MediaKind, OnlyPicturesHaveASize
from entrenous.device.device import Device
from entrenous.device.sent_messages import Message
from entrenous.media.file_kind import media_kind_of
from entrenous.send.copies.picture_copies import (
    MarkedCopy,
    PictureOriginal,
    new_mark_seed,
    picture_ledger_entry,
    prepare_original,
    store_picture_features,
    write_picture_copies,
)
from entrenous.send.inbox import new_message_name


@dataclass(frozen=True, slots=True)
class MarkedFile:
    """One recipient's copy as a file, and the suffix for its name."""

    to: RecipientId
    data: bytes
    suffix: str


def mark_picture_copies(
    untrusted_data: bytes, to: Sequence[RecipientId], size_px: int | None, device: Device
) -> Generator[tuple[MessageName, MarkedFile], None, None]:
    """Yield one marked copy per recipient; each is in the ledger before it is yielded.

    Copies are made on all processors, only a few ahead of the caller, so memory does not grow with
    the number of copies. If the caller stops early, the ledger has the copies that were yielded and
    no others; throw CopyNotWritten into the generator to remove the copy that it yielded last.

    Raises:
        NotAPicture, IncompletePicture, TooManyPixels, PictureDecodingFailed, TooSmallToMark.
    """
    original = prepare_original(untrusted_data, size_px, device)
    message = MessageId(device.random_source.token(ID_BYTES))
    marking = _PictureCopyRecorder(
        original, message, new_message_name(device), device.clock.now(), device
    )
    suffix = original.picture.encoding.format.copy_format.suffix
    people = iter(to)
    with (
        closing(write_picture_copies(original, (new_mark_seed(device) for _ in to))) as made,
        closing(marking),
    ):
        for batch in made:
            names = [next(people) for _ in batch]
            marking.record(names, batch)
            for name, copy in zip(names, batch, strict=True):
                marking.handed += 1
                try:
                    yield marking.name, MarkedFile(name, copy.data, suffix)
                except CopyNotWritten:
                    marking.handed -= 1
                    raise


@dataclass(slots=True)
class _PictureCopyRecorder:
    """Records the copies of one message in the ledger as they are yielded.

    ``batch`` is the batch of copies that was recorded last; its first copy has number ``start``.
    ``handed`` is the number of copies that have been yielded.
    """

    original: PictureOriginal
    id: MessageId
    name: MessageName
    at: datetime
    device: Device
    start: int = 0
    batch: tuple[Copy, ...] = ()
    handed: int = 0
    kept: BlobId | None = None

    def record(self, names: Sequence[RecipientId], made: Sequence[MarkedCopy]) -> None:
        """Add the next copies to the ledger, and the message itself before the first."""
        copies = tuple(
            Copy(name, copy.seed, copy.sha256) for name, copy in zip(names, made, strict=True)
        )
        self.start, self.batch = self.start + len(self.batch), copies
        with self.device.vault.transaction():
            if self.kept is None:
                self._record_message()
            self.device.ledger.put_copy_batch(self.id, 0, self.start, copies)

    def close(self) -> None:
        """Remove copies from the ledger that were recorded and then not yielded."""
        handed = self.batch[: self.handed - self.start]
        if self.handed > 0 and len(handed) < len(self.batch):
            self.device.ledger.put_copy_batch(self.id, 0, self.start, handed)
        if self.handed == 0 and self.kept is not None:
            self.device.ledger.delete_message(self.id)
            self.device.vault.delete_file(self.kept)

    def _record_message(self) -> None:
        self.kept = self.device.vault.store_file(self.original.source)
        picture = picture_ledger_entry(self.original, self.kept, ())
        self.device.ledger.store_message(Message(self.id, self.name, self.at, (picture,)))
        store_picture_features(self.id, (self.original,), self.device)


MarkedFiles = Generator[tuple[MessageName, MarkedFile], None, None]


def mark_file(
    untrusted_data: bytes, to: Sequence[RecipientId], size_px: int | None, device: Device
) -> MarkedFiles:
    """Yield one marked copy per recipient; each is in the ledger before it is yielded.

    Raises:
        OnlyPicturesHaveASize: a size was given, and the file is not a picture.
        The errors of :func:`mark_picture_copies`, mark_clip_copies and mark_sound_copies.
    """
    with note_error_file_index(0):
        yield from _mark_by_kind(untrusted_data, to, size_px, device)


def _mark_by_kind(
    untrusted_data: bytes, to: Sequence[RecipientId], size_px: int | None, device: Device
) -> MarkedFiles:
    medium = media_kind_of(untrusted_data)
    if medium is MediaKind.PICTURE:
        return mark_picture_copies(untrusted_data, to, size_px, device)
    if size_px is not None:
        raise OnlyPicturesHaveASize
    if medium is MediaKind.CLIP:
        return _mark_clip_or_sound(untrusted_data, to, device)
    return _lazy_import("entrenous.send.copies.sound_copies:mark_sound_copies")(
        untrusted_data, to, device
    )


def _mark_clip_or_sound(
    untrusted_data: bytes, to: Sequence[RecipientId], device: Device
) -> MarkedFiles:
    """Mark a clip; if it has no frames, mark its sound."""
    try:
        yield from _lazy_import("entrenous.send.copies.mark_clip:mark_clip_copies")(
            untrusted_data, to, device
        )
    except (
        UnsupportedVideoCodec
    ):  # it has frames, which cannot be read, so marking its sound alone is not enough
        raise
    except NoVideoFound:
        yield from _lazy_import("entrenous.send.copies.sound_copies:mark_sound_copies")(
            untrusted_data, to, device
        )


def _lazy_import(qualified_name: str) -> Callable[..., MarkedFiles]:
    """Import a function when it is called: the video library is slow to load."""
    module, _, name = qualified_name.partition(":")
    function: Callable[..., MarkedFiles] = getattr(import_module(module), name)
    return function


class CopyNotWritten(Exception):
    """The copy that a generator yielded last was not written; the caller throws this into the
    generator.
    """


class CopyRecorder:
    """A new message whose copies enter the ledger one by one. ``positions``
    are the numbers of the message's files to which each copy is added: two for a clip with sound,
    otherwise one.

    ``begin`` is called when the first copy is recorded; it stores the originals and returns the
    message.
    """

    def __init__(
        self,
        device: Device,
        positions: Sequence[int],
        begin: Callable[[MessageId, MessageName, datetime], Message],
    ) -> None:
        self._device, self._positions, self._begin = device, positions, begin
        self._id = MessageId(device.random_source.token(ID_BYTES))
        self._name, self._at = new_message_name(device), device.clock.now()
        self._made = 0

    def record_and_yield(self, copy: Copy, file: MarkedFile) -> MarkedFiles:
        """Add a copy to the ledger and yield its file; CopyNotWritten removes it from the
        ledger.
        """
        with self._device.vault.transaction():
            if not self._made:
                self._device.ledger.store_message(self._begin(self._id, self._name, self._at))
            for position in self._positions:
                self._device.ledger.put_copy_batch(self._id, position, self._made, (copy,))
        self._made += 1
        try:
            yield self._name, file
        except CopyNotWritten:
            self._drop_last_copy()
            raise

    def _drop_last_copy(self) -> None:
        """Remove the last copy from the ledger; if it was the only one, the message too."""
        self._made -= 1
        ledger, vault = self._device.ledger, self._device.vault
        with vault.transaction():
            if self._made:
                for position in self._positions:
                    ledger.put_copy_batch(self._id, position, self._made, ())
                return
            sent = ledger.message(self._id)
            ledger.delete_message(self._id)
            clips = {blob for one in sent.clips for blob in (one.original, one.survey)}
            sounds = {blob for one in sent.sounds for blob in (one.original, one.contour)}
            for blob in clips | sounds:
                vault.delete_file(blob)
