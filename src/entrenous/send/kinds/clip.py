"""A clip in a message, with what is heard in it."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

from entrenous.craft.media.clip.write import MEDIA_TYPE
from entrenous.craft.wire.record import pack
from entrenous.model.ids import BlobId, MessageId
from entrenous.model.letter import FileRole
from entrenous.model.message import Copy, SentSound
from entrenous.ports import Device
from entrenous.send.kinds.part import Remembered, Shape
from entrenous.send.mark.clip import clip_copies, prepare_with_sound, sent_clip
from entrenous.send.mark.clip_copies import ClipOriginal
from entrenous.send.mark.clip_sound import ClipSound
from entrenous.send.mark.copies import MadeCopy
from entrenous.send.message.watch import Counted, Reached

_ROOM_BYTES: Final = 64 * 1024 * 1024  # for copies that are made in one walk and wait to be sealed


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip of a message; ``sound`` is None when it is silent."""

    places: tuple[int]
    original: ClipOriginal
    sound: ClipSound | None

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """What it is written as."""
        return (Shape(MEDIA_TYPE, FileRole.CLIP),)

    def copies(
        self, people: int, device: Device, marking: Counted
    ) -> Generator[tuple[MadeCopy, ...], None, None]:
        """One recipient's copy after the other; those of several are made in one walk."""
        size = len(self.original.source)
        making = clip_copies(
            self.original,
            self.sound,
            people,
            device,
            _ROOM_BYTES,
            lambda several: marking.piece(several * size),
        )
        with closing(making) as copies:
            for made in copies:
                yield (made,)

    def remember(self, copies: Sequence[tuple[Copy, ...]], device: Device) -> Remembered:
        """Keep the original, and what finds it again where no picture is left."""
        (made,) = copies
        kept = device.vault.keep(self.original.source)
        surveyed = device.vault.keep(pack(self.original.survey))
        clip = replace(
            sent_clip(self.original),
            original=kept,
            survey=surveyed,
            copies=made,
            place=self.places[0] + 1,
        )
        return Remembered(clips=(clip,), sounds=self._heard(kept, made, device))

    def keep_looks(self, message: MessageId, device: Device) -> None:
        """Its survey is its look."""

    def _heard(self, kept: BlobId, made: tuple[Copy, ...], device: Device) -> tuple[SentSound, ...]:
        if self.sound is None or not self.sound.contour:
            return ()
        contour = device.vault.keep(self.sound.contour)
        length_s, place = self.sound.sound.length_s, self.places[0] + 1
        return (SentSound(kept, contour, length_s, made, place),)


def clip_of(place: int, untrusted_data: bytes, device: Device, reached: Reached) -> Clip:
    """Prepare a clip; ``reached`` is told how far that is.

    Raises:
        NoFrames, ClipCutShort, FramesTooLarge, ClipTooLong, ClipTooLongWithSound, ClipBroken,
        ClipTooSmallToMark, SoundUnknown, SoundBroken.
    """
    original, sound = prepare_with_sound(untrusted_data, device, reached)
    reached(1.0)
    return Clip((place,), original, sound)
