"""Marked copies of the pictures in a message.

`file_plan` imports this module on demand, since a text needs no marking code.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from entrenous.base.copies import Copy
from entrenous.base.errors import about_file
from entrenous.base.identifiers import MessageId
from entrenous.device.device import Device
from entrenous.send.copies.picture_copies import (
    MadeCopy,
    PictureOriginal,
    new_mark_seed,
    picture_ledger_entry,
    prepare_original,
    store_picture_features,
    write_copies_per_recipient,
)
from entrenous.send.letter.letter_nouns import FileRole
from entrenous.send.message.file_plan import CopyShape, LedgerEntries
from entrenous.send.message.transfer_progress import ByteCounter


@dataclass(frozen=True, slots=True)
class PicturePart:
    places: tuple[int, ...]
    originals: tuple[PictureOriginal, ...]

    @property
    def copy_shapes(self) -> tuple[CopyShape, ...]:
        formats = (original.picture.encoding.format for original in self.originals)
        return tuple(CopyShape(one.written.media_type, FileRole.PICTURE) for one in formats)

    def copies(
        self, people: int, device: Device, marking: ByteCounter
    ) -> Generator[tuple[MadeCopy, ...], None, None]:
        marking.add(0)  # shows the progress bar before the first is done
        seeds = [tuple(new_mark_seed(device) for _ in self.originals) for _ in range(people)]
        return write_copies_per_recipient(
            self.originals, seeds, lambda one: marking.add(len(one.source))
        )

    def keep_originals(self, copies: Sequence[tuple[Copy, ...]], device: Device) -> LedgerEntries:
        kept = [device.vault.keep_file(original.source) for original in self.originals]
        by_part = map(picture_ledger_entry, self.originals, kept, copies)
        numbered = zip(by_part, self.places, strict=True)
        return LedgerEntries(tuple(replace(one, place=place + 1) for one, place in numbered))

    def store_picture_features(self, message: MessageId, device: Device) -> None:
        store_picture_features(message, self.originals, device)


def prepare_picture_part(
    files: Sequence[tuple[int, bytes]], size_px: int | None, device: Device, preparing: ByteCounter
) -> PicturePart:
    """Prepare pictures by their places in the message; ``preparing`` counts their bytes.

    Raises:
        NotAPicture, IncompletePicture, TooManyPixels, PictureDecodingFailed, TooSmallToMark.
    """
    places = tuple(place for place, _ in files)
    return PicturePart(
        places, tuple(_prepare_picture(*file, size_px, device, preparing) for file in files)
    )


def _prepare_picture(
    place: int, untrusted_data: bytes, size_px: int | None, device: Device, preparing: ByteCounter
) -> PictureOriginal:
    reached = preparing.counting_callback(len(untrusted_data))
    with about_file(place):
        original = prepare_original(untrusted_data, size_px, device, sparing=True)
    reached(1.0)
    return original
