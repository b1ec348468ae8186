"""A voice note, or another sound, in a message."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from entrenous.craft.crypto.hashing import sha256
from entrenous.craft.media.sound.write import written_as
from entrenous.craft.sound.contour import contour
from entrenous.craft.sound.prepare import PreparedSound, prepare
from entrenous.model.ids import MessageId
from entrenous.model.letter import FileRole
from entrenous.model.message import Copy, SentSound
from entrenous.model.secret import Secret
from entrenous.model.sound import Sound
from entrenous.ports import Device
from entrenous.send.kinds.part import Remembered, Shape
from entrenous.send.mark.copies import MadeCopy, new_seed
from entrenous.send.mark.crew import in_order
from entrenous.send.mark.sound import sound_crew, write_copy
from entrenous.send.message.watch import Counted, Reached


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """One sound of a message."""

    places: tuple[int]
    source: bytes
    sound: Sound
    prepared: PreparedSound

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """What it is written as."""
        return (Shape(written_as(self.sound.encoding).media_type, FileRole.VOICE),)

    def copies(
        self, people: int, device: Device, marking: Counted
    ) -> Generator[tuple[MadeCopy, ...], None, None]:
        """One recipient's copy after the other."""

        def make(seed: Secret) -> tuple[MadeCopy, ...]:
            data = write_copy(self.sound, self.prepared, seed)
            return (MadeCopy(seed, data, sha256(data)),)

        seeds = (new_seed(device) for _ in range(people))
        marking.more(0)  # shown before the first is done
        with closing(in_order(make, seeds, sound_crew(self.sound))) as made:
            for one in made:
                marking.more(len(self.source))
                yield one

    def remember(self, copies: Sequence[tuple[Copy, ...]], device: Device) -> Remembered:
        """Keep the original, and what finds it again."""
        (made,) = copies
        kept = device.vault.keep(self.source)
        found_by = device.vault.keep(contour(self.prepared.mono))
        length_s, place = self.sound.length_s, self.places[0] + 1
        return Remembered(sounds=(SentSound(kept, found_by, length_s, made, place),))

    def keep_looks(self, message: MessageId, device: Device) -> None:
        """It has none."""


def voice_of(place: int, untrusted_data: bytes, device: Device, reached: Reached) -> Voice:
    """Prepare a sound; ``reached`` is told once it is.

    Raises:
        NotASound, SoundUnknown, SoundTooLong, SoundBroken, SoundTooShortToMark, TooQuietToMark.
    """
    sound = device.read_sound(untrusted_data)
    prepared = prepare(np.asarray(sound), sound.rate_hz)
    reached(1.0)
    return Voice((place,), untrusted_data, sound, prepared)
