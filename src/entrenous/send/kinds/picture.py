"""The pictures of a message."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from entrenous.model.errors import of_file
from entrenous.model.ids import MessageId
from entrenous.model.letter import FileRole
from entrenous.model.message import Copy
from entrenous.ports import Device
from entrenous.send.kinds.part import Remembered, Shape
from entrenous.send.mark.copies import MadeCopy, Original, new_seed, prepare_original, write_each
from entrenous.send.mark.remember import keep_looks, remember
from entrenous.send.message.watch import Counted


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
