"""The words of a sound that its owner registers."""

import numpy as np

from entrenous.craft.fingerprint.sound.chroma import Samples, chroma, to_rate
from entrenous.craft.fingerprint.sound.index import as_words, lively
from entrenous.craft.fingerprint.sound.words import words_of
from entrenous.model.print import SOUND_S_MIN, SOUND_WORDS_MAX, SoundPrint, SoundTooQuiet


def sound_print(samples: Samples, rate_hz: int) -> SoundPrint:
    """What is registered of (N,) or (N, channels) samples, full scale 1: at most 20 minutes.

    Raises:
        SoundTooQuiet: there are not five seconds that could be told apart.
    """
    words = words_of(chroma(to_rate(samples, rate_hz)))[:SOUND_WORDS_MAX]
    if not lively(words).any():
        raise SoundTooQuiet(needed_s=SOUND_S_MIN)
    return SoundPrint(np.asarray(words, dtype=">u4").tobytes())


def is_too_quiet(sound: SoundPrint) -> bool:
    """Whether there are no five seconds in it that could be told apart."""
    return not lively(as_words(sound)).any()


def refuse_too_quiet(sound: SoundPrint) -> None:
    """What a platform asks of a sound that somebody else's program registers; raises SoundTooQuiet
    unless there are five seconds in it that could be told apart.
    """
    if is_too_quiet(sound):
        raise SoundTooQuiet(needed_s=SOUND_S_MIN)
