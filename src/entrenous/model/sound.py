"""Sounds: decoded samples, and how they had been written. No metadata, by construction."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

from entrenous.model.errors import Malformed, Refused


class SoundFormat(StrEnum):
    """The codecs that a copy can be written in; others that we read are told as the nearest."""

    OPUS = "opus"
    AAC = "aac"
    MP3 = "mp3"
    AMR = "amr"  # narrow-band, 8 kHz
    WAV = "wav"
    FLAC = "flac"

    @property
    def suffix(self) -> str:
        """File name suffix with its dot, e.g. ``.m4a``."""
        return {SoundFormat.OPUS: ".ogg", SoundFormat.AAC: ".m4a"}.get(self, f".{self.value}")

    @property
    def media_type(self) -> str:
        """What a file of it is called in a message, e.g. ``audio/mp4``."""
        odd = {SoundFormat.OPUS: "ogg", SoundFormat.AAC: "mp4", SoundFormat.MP3: "mpeg"}
        return f"audio/{odd.get(self, self.value)}"


@dataclass(frozen=True, slots=True)
class SoundEncoding:
    """How a sound had been written, so that a copy of it can be written alike.

    ``bit_rate`` is in bits per second, 0 when unknown or without loss; ``deep`` means that its
    samples had more than 16 bits.
    """

    format: SoundFormat
    bit_rate: int = 0
    deep: bool = False

    def __post_init__(self) -> None:
        if self.bit_rate < 0:
            raise ValueError("a bit rate is not negative")


@dataclass(frozen=True, slots=True)
class Silence:
    """So many samples of silence, of each channel, that belong before the sample ``before``."""

    before: int
    length: int

    def __post_init__(self) -> None:
        if self.before < 0 or self.length < 1:
            raise ValueError("a silence has a place and a length")


@dataclass(frozen=True, slots=True)
class Timing:
    """How a clip's sound lies beside its picture, in samples (docs/spec/clip.md, section 5).

    ``ahead``: so many are heard before the picture begins. ``silences`` stand in the order of their
    places; they are no part of the sound's samples.
    """

    ahead: int = 0
    silences: tuple[Silence, ...] = ()

    def __post_init__(self) -> None:
        places = [silence.before for silence in self.silences]
        if self.ahead < 0 or any(one >= next_ for one, next_ in pairwise(places)):
            raise ValueError("silences stand in order, and nothing begins earlier than it begins")

    @property
    def silent(self) -> int:
        """Samples of all silences."""
        return sum(silence.length for silence in self.silences)


@dataclass(frozen=True, slots=True)
class Sound:
    """Samples of one sound, mono or stereo.

    ``samples`` are 32-bit floats in this machine's byte order, full scale 1, channels interleaved.
    ``numpy.asarray(sound)`` is a read-only (samples, channels) float32 view, without a copy.
    """

    rate_hz: int
    channels: int
    samples: bytes
    encoding: SoundEncoding
    timing: Timing = Timing()

    def __post_init__(self) -> None:
        if not 4000 <= self.rate_hz <= 192_000 or self.channels not in (1, 2):
            raise ValueError("a sound has a rate that ears can use, and one or two channels")
        if not self.samples or len(self.samples) % (4 * self.channels):
            raise ValueError("a sound has samples, 4 bytes each, for every channel")

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """NumPy's array interface, version 3: arrays see the samples, no NumPy is needed here."""
        return {
            "version": 3,
            "shape": (len(self), self.channels),
            "typestr": "=f4",
            "data": self.samples,
        }

    def __len__(self) -> int:
        """Samples of one channel."""
        return len(self.samples) // (4 * self.channels)

    @property
    def length_s(self) -> float:
        """How long it plays, without silences beside its picture."""
        return len(self) / self.rate_hz


class NotASound(Malformed):
    """
    There is no sound in this file that Entrenous can read. It reads Opus, AAC, MP3, AMR, WAV, FLAC
    and Vorbis, and the sound of MP4, MOV and WebM. Nothing was changed or sent. If it plays in
    another program, save it from there as M4A or WAV and try again.
    """


class SoundUnknown(NotASound):
    """
    The sound in this file is in a coding that Entrenous does not read. It reads AAC, Opus, Vorbis,
    MP3, AMR, FLAC and WAV, at 4 to 96 kHz. Nothing was changed or sent. If it plays in another
    program, save it from there anew, a clip as MP4 with AAC and a sound as M4A, and try again.
    """


class SoundBroken(Malformed):
    """
    The part of Entrenous that opens sounds from strangers stopped on this one (time or memory ran
    out, or the file is broken), and nothing else was harmed. Save it anew from another program.
    """


class SoundTooLong(Malformed):
    """
    This sound is longer than the {limit_minutes} minutes that Entrenous works on. Nothing was
    changed or sent. Cut it into parts and give it those.
    """


class SoundTooShortToMark(Refused):
    """
    This sound plays {length_s} seconds: too short to carry a hidden mark. Nothing was sent. A voice
    note needs at least {limit_s}.
    """


class TooQuietToMark(Refused):
    """
    There is nothing to hear in this sound, so no mark can hide in it. Nothing was sent. Check that
    it is the right file.
    """
