"""Prepare a message's files by kind, and make each recipient's marked copies of them."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, TypeVar

from entrenous.base.audio_video import NoVideoFound, UnsupportedVideoCodec
from entrenous.base.copies import Copy
from entrenous.base.errors import note_error_file_index
from entrenous.base.identifiers import MessageId
from entrenous.base.picture import MediaKind, OnlyPicturesHaveASize
from entrenous.device.device import Device
from entrenous.device.sent_messages import SentClip, SentPicture, SentSound
from entrenous.media.file_kind import media_kind_of
from entrenous.send.letter.letter_nouns import FileRole
from entrenous.send.message.transfer_progress import ByteCounter, ProgressCallback

if TYPE_CHECKING:
    from entrenous.send.copies.picture_copies import MarkedCopy


@dataclass(frozen=True, slots=True)
class CopyFormat:
    """The media type and role that all copies of one file share."""

    media_type: str
    role: FileRole


@dataclass(frozen=True, slots=True)
class LedgerEntries:
    """The ledger entries for one or more files of a message."""

    pictures: tuple[SentPicture, ...] = ()
    clips: tuple[SentClip, ...] = ()
    sounds: tuple[SentSound, ...] = ()


class FilesCopiedTogether(Protocol):
    """The files of a message that are copied together: all its pictures, or one clip, or one sound.
    ``places`` are their positions among the message's files, from 0; ``copy_formats`` have the same
    order.
    """

    @property
    def places(self) -> tuple[int, ...]: ...

    @property
    def copy_formats(self) -> tuple[CopyFormat, ...]: ...

    def make_copies(
        self, people: int, device: Device, marking: ByteCounter
    ) -> Generator[tuple["MarkedCopy", ...], None, None]:
        """For each of ``people`` recipients in turn, yield one copy of each file; a few copies are
        made ahead. If a message is sent through relays, each device counts as a recipient.
        ``marking`` counts each file's bytes once per recipient.
        """
        ...

    def keep_originals(self, copies: Sequence[tuple[Copy, ...]], device: Device) -> LedgerEntries:
        """Keep the originals, and return the ledger entries; ``copies`` are the copies made of each
        file.
        """
        ...

    def store_features(self, message: MessageId, device: Device) -> None:
        """Store the fingerprints of a recorded message's pictures."""
        ...


EntryT = TypeVar("EntryT")


@dataclass(frozen=True, slots=True)
class PreparedFiles:
    """The files of a message, prepared once for all recipients and grouped by kind."""

    parts: tuple[FilesCopiedTogether, ...]

    @property
    def copy_formats(self) -> tuple[CopyFormat, ...]:
        """The format of each file's copies, in the message's order."""
        return self._in_message_order([part.copy_formats for part in self.parts])

    def make_copies(
        self, people: int, device: Device, marking: ByteCounter
    ) -> Generator[tuple["MarkedCopy", ...], None, None]:
        """For each recipient in turn, yield a copy of every file, in the message's order. The
        copies of each group of files are made ahead independently, and kept until they are needed.
        """
        with ExitStack() as stack:
            making = [
                stack.enter_context(closing(part.make_copies(people, device, marking)))
                for part in self.parts
            ]
            for _ in range(people):
                yield self._in_message_order(list(map(_next_copies, self.parts, making)))

    def keep_originals(self, by_file: Sequence[tuple[Copy, ...]], device: Device) -> LedgerEntries:
        """Keep all originals, and return the ledger entries; ``by_file`` are the copies of each
        file, in the message's order.
        """
        kept = [
            part.keep_originals([by_file[place] for place in part.places], device)
            for part in self.parts
        ]
        return LedgerEntries(
            tuple(one for each in kept for one in each.pictures),
            tuple(one for each in kept for one in each.clips),
            tuple(one for each in kept for one in each.sounds),
        )

    def store_features(self, message: MessageId, device: Device) -> None:
        for part in self.parts:
            part.store_features(message, device)

    def _in_message_order(self, by_part: Sequence[tuple[EntryT, ...]]) -> tuple[EntryT, ...]:
        placed = {
            place: one
            for part, several in zip(self.parts, by_part, strict=True)
            for place, one in zip(part.places, several, strict=True)
        }
        return tuple(placed[place] for place in sorted(placed))


def prepare_files(
    files: Sequence[bytes], size_px: int | None, device: Device, preparing: ByteCounter
) -> PreparedFiles:
    """Prepare each file of a message according to its kind; ``preparing`` counts their bytes.

    Raises:
        OnlyPicturesHaveASize: a size was given, but there is no picture.
        The errors of ``prepare_message_pictures``, ``prepare_message_clip`` and
            ``prepare_message_sound``.
    """
    by_kind: dict[MediaKind, list[tuple[int, bytes]]] = {medium: [] for medium in MediaKind}
    for place, data in enumerate(files):
        by_kind[media_kind_of(data)].append((place, data))
    pictures = by_kind[MediaKind.PICTURE]
    if size_px is not None and not pictures:
        raise OnlyPicturesHaveASize
    parts: list[FilesCopiedTogether] = []
    if pictures:
        prepare = _lazy_import("entrenous.send.copies.picture_copies:prepare_message_pictures")
        parts.append(prepare(pictures, size_px, device, preparing))
    for place, data in by_kind[MediaKind.CLIP]:
        parts.append(
            _prepare_clip_or_sound(place, data, device, preparing.counting_callback(len(data)))
        )
    for place, data in by_kind[MediaKind.SOUND]:
        parts.append(_prepare_sound(place, data, device, preparing.counting_callback(len(data))))
    return PreparedFiles(tuple(parts))


def _next_copies(part: FilesCopiedTogether, copies: Iterator[EntryT]) -> EntryT:
    """Return the next copies of a group of files. If that fails for a group of one file, for
    example because a clip cannot be read again, the error says which file it was.
    """
    with note_error_file_index(part.places[0]) if len(part.places) == 1 else nullcontext():
        return next(copies)


def _prepare_clip_or_sound(
    place: int, untrusted_data: bytes, device: Device, reached: ProgressCallback
) -> FilesCopiedTogether:
    """Prepare a clip, or a file without frames as a sound."""
    try:
        with note_error_file_index(place):
            return _lazy_import("entrenous.send.copies.mark_clip:prepare_message_clip")(
                place, untrusted_data, device, reached
            )
    except UnsupportedVideoCodec:  # the file has frames, so it must not be sent as sound alone
        raise
    except NoVideoFound:
        return _prepare_sound(place, untrusted_data, device, reached)


def _prepare_sound(
    place: int, untrusted_data: bytes, device: Device, reached: ProgressCallback
) -> FilesCopiedTogether:
    with note_error_file_index(place):
        return _lazy_import("entrenous.send.copies.sound_copies:prepare_message_sound")(
            place, untrusted_data, device, reached
        )


def _lazy_import(qualified_name: str) -> Callable[..., FilesCopiedTogether]:
    """Import a function on demand: a text needs no code for marking, and a picture needs no video
    library.
    """
    module, _, name = qualified_name.partition(":")
    function: Callable[..., FilesCopiedTogether] = getattr(import_module(module), name)
    return function
