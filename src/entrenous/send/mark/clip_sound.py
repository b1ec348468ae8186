"""The sound track of a clip: carried over into every copy, and marked where it can be."""

from dataclasses import dataclass

import numpy as np

from entrenous.craft.crypto.derive import stream
from entrenous.craft.media.clip.write import Track
from entrenous.craft.sound.contour import contour
from entrenous.craft.sound.embed import embed
from entrenous.craft.sound.layout import stream_bytes
from entrenous.craft.sound.prepare import PreparedSound, prepare
from entrenous.model.clip import ClipTooLongWithSound
from entrenous.model.secret import Secret
from entrenous.model.sound import (
    NotASound,
    Sound,
    SoundTooLong,
    SoundTooShortToMark,
    SoundUnknown,
    TooQuietToMark,
)
from entrenous.ports import Device
from entrenous.spec import CLIP_LENGTH_S_MAX, SOUND_CONTEXT, SOUND_LENGTH_S_MAX


@dataclass(frozen=True, slots=True, eq=False)
class ClipSound:
    """What is heard in a clip; ``prepared`` is None when it is too short or too quiet for a mark,
    and then ``contour`` is empty.
    """

    sound: Sound
    prepared: PreparedSound | None
    contour: bytes

    def track(self, seed: Secret) -> Track:
        """What is heard in one copy, as it lay beside the original's frames."""
        sound = self.sound
        if self.prepared is None:
            return Track(np.asarray(sound), sound.rate_hz, sound.timing)
        size = stream_bytes(len(sound), sound.rate_hz)
        samples = embed(self.prepared, stream(seed, SOUND_CONTEXT, size))
        return Track(np.asarray(samples, np.float32), sound.rate_hz, sound.timing)


def clip_sound(untrusted_data: bytes, device: Device) -> ClipSound | None:
    """What is heard in a clip; None when it is silent.

    Raises:
        SoundUnknown: it has sound, which is not read; a copy would be silent without a word.
        ClipTooLongWithSound: also with the silences that it needs beside its picture.
        SoundBroken.
    """
    try:
        sound = device.read_sound(untrusted_data)
        _refuse_too_long(sound)
    except SoundUnknown:
        raise
    except NotASound:
        return None
    except SoundTooLong as error:
        limits = {**error.facts, "silent_minutes": round(CLIP_LENGTH_S_MAX / 60)}
        raise ClipTooLongWithSound(**limits) from None
    try:
        prepared = prepare(np.asarray(sound), sound.rate_hz)
    except (SoundTooShortToMark, TooQuietToMark):
        return ClipSound(sound, None, b"")
    return ClipSound(sound, prepared, contour(prepared.mono))


def _refuse_too_long(sound: Sound) -> None:
    """A copy holds the silences too, and has to be read when it is found."""
    if len(sound) + sound.timing.silent > SOUND_LENGTH_S_MAX * sound.rate_hz:
        raise SoundTooLong(limit_minutes=round(SOUND_LENGTH_S_MAX / 60))
