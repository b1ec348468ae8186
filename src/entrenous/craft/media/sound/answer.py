"""What the child that decodes sounds answers, as bytes, and the strict reading of it.

A child that a sound has taken over is a stranger too: every number is checked, and how many samples
there are is known before they are read. docs/spec/sound.md, section 1.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Final

from entrenous.model.errors import EntrenousError
from entrenous.model.sound import (
    NotASound,
    Silence,
    Sound,
    SoundBroken,
    SoundEncoding,
    SoundFormat,
    SoundTooLong,
    SoundUnknown,
    Timing,
)
from entrenous.spec import SOUND_LENGTH_S_MAX, SOUND_RATE_HZ_MAX

QUESTION: Final = struct.Struct(">QI")  # length of the file that follows; see read_sound's mono_hz
_SOUND: Final = struct.Struct(">IBBIBQ")
_TIMING: Final = struct.Struct(">QI")
_SILENCE: Final = struct.Struct(">QQ")
_SILENCES_MAX: Final = 1 << 15  # more than there is room for in the longest sound
_FORMATS: Final = tuple(SoundFormat)
_BITS_MAX: Final = 1_000_000

Read = Callable[[int], bytes]
"""Gives exactly that many bytes, or raises."""


def write_answer(sound: Sound) -> Iterator[bytes]:
    """The sound in parts, so that its samples are not copied once more."""
    encoding = sound.encoding
    yield b"S" + _SOUND.pack(
        sound.rate_hz,
        sound.channels,
        _FORMATS.index(encoding.format),
        encoding.bit_rate,
        encoding.deep,
        len(sound),
    )
    yield _written(sound.timing)
    yield sound.samples


def _written(timing: Timing) -> bytes:
    silences = (_SILENCE.pack(one.before, one.length) for one in timing.silences)
    return _TIMING.pack(timing.ahead, len(timing.silences)) + b"".join(silences)


def write_failure(failure: EntrenousError) -> bytes:
    """One letter for what went wrong."""
    if isinstance(failure, SoundUnknown):  # before the family that it belongs to
        return b"U"
    if isinstance(failure, NotASound):
        return b"N"
    return b"L" if isinstance(failure, SoundTooLong) else b"G"


def read_answer(read: Read, mono_hz: int = 0) -> Sound:
    """The sound in an answer; with ``mono_hz`` it must be one channel of that rate.

    Raises:
        NotASound, SoundUnknown, SoundTooLong, SoundBroken: what the child reported.
        ValueError: the answer itself is not sound, so neither is the child.
    """
    word = read(1)
    if word != b"S":
        raise _failure(word)
    rate, channels, which, bits, deep, count = _SOUND.unpack(read(_SOUND.size))
    if not 4000 <= rate <= SOUND_RATE_HZ_MAX or not 0 < count <= SOUND_LENGTH_S_MAX * rate:
        raise ValueError("a sound of impossible rate or length")
    if channels not in (1, 2) or which >= len(_FORMATS) or bits > _BITS_MAX or deep > 1:
        raise ValueError("a number out of range")
    if mono_hz and (rate, channels) != (mono_hz, 1):
        raise ValueError("more than was asked for")
    timing = _timing(read, count, round(SOUND_LENGTH_S_MAX * rate))
    if mono_hz and timing != Timing():
        raise ValueError("more than was asked for")
    samples = read(4 * count * channels)
    import numpy as np  # noqa: PLC0415 - a command that reads no sound does not wait for it

    if not np.isfinite(np.frombuffer(samples, np.float32)).all():
        raise ValueError("a sample that is no number")
    encoding = SoundEncoding(_FORMATS[which], bits, bool(deep))
    return Sound(rate, channels, samples, encoding, timing)


def _timing(read: Read, count: int, most: int) -> Timing:
    """Of a sound of ``count`` samples; no silence is longer than ``most``.

    Raises ValueError.
    """
    ahead, several = _TIMING.unpack(read(_TIMING.size))
    if several > _SILENCES_MAX:
        raise ValueError("more silences than there is room for")
    silences = tuple(Silence(*_SILENCE.unpack(read(_SILENCE.size))) for _ in range(several))
    timing = Timing(ahead, silences)
    if ahead > count + timing.silent:
        raise ValueError("a picture that begins after its sound")
    if any(one.before >= count or one.length > most for one in silences):
        raise ValueError("a silence out of range")
    return timing


def _failure(word: bytes) -> EntrenousError:
    if word == b"N":
        return NotASound()
    if word == b"U":
        return SoundUnknown()
    if word == b"L":
        return SoundTooLong(limit_minutes=round(SOUND_LENGTH_S_MAX / 60))
    if word == b"G":
        return SoundBroken()
    raise ValueError("the child said something else")
