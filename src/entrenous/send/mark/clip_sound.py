"""The sound track of a clip: carried over into every copy, and marked where it can be."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.crypto.derive import stream
from entrenous.craft.sound.contour import contour
from entrenous.craft.sound.embed import embed
from entrenous.craft.sound.layout import stream_bytes
from entrenous.craft.sound.prepare import PreparedSound, prepare
from entrenous.model.secret import Secret
from entrenous.model.sound import (
    NotASound,
    Sound,
    SoundTooShortToMark,
    SoundUnknown,
    TooQuietToMark,
)
from entrenous.ports import Device
from entrenous.spec import SOUND_CONTEXT

Track = tuple[NDArray[np.float32], int]
"""Samples (samples, channels), and how many a second has."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipSound:
    """What is heard in a clip; ``prepared`` is None when it is too short or too quiet for a mark,
    and then ``contour`` is empty.
    """

    sound: Sound
    prepared: PreparedSound | None
    contour: bytes

    def track(self, seed: Secret) -> Track:
        """One copy's samples."""
        if self.prepared is None:
            return np.asarray(self.sound), self.sound.rate_hz
        size = stream_bytes(len(self.sound), self.sound.rate_hz)
        samples = embed(self.prepared, stream(seed, SOUND_CONTEXT, size))
        return np.asarray(samples, np.float32), self.sound.rate_hz


def clip_sound(untrusted_data: bytes, device: Device) -> ClipSound | None:
    """The sound of a clip; None when it is silent.

    Raises:
        SoundUnknown: it has some, which is not read; a copy would be silent without a word.
        SoundTooLong, SoundBroken.
    """
    try:
        sound = device.read_sound(untrusted_data)
    except SoundUnknown:
        raise
    except NotASound:
        return None
    try:
        prepared = prepare(np.asarray(sound), sound.rate_hz)
    except (SoundTooShortToMark, TooQuietToMark):
        return ClipSound(sound, None, b"")
    return ClipSound(sound, prepared, contour(prepared.mono))
