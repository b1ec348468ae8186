"""Clips and sounds: decoded frames and samples, and how the file was encoded.

Also what the ledger keeps of a sent clip. No metadata, by construction. The protocols of
decoders are here because the simulated world of the tests passes decoders
that start no process; the defaults refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from fractions import Fraction
from itertools import pairwise
from typing import Any, BinaryIO, Final, Protocol

from entrenous.base.errors import Malformed, Refused
from entrenous.base.picture import DecoderDidNotStart


@dataclass(frozen=True, slots=True)
class Cut:
    """Which frames of a clip are wanted: from ``start_s`` on, before ``stop_s``, every ``each``th
    of them, reduced until no side is longer than ``side_px`` (0: not reduced).

    Of these the first of each stretch of ``apart_s`` seconds (0: all); stretches are longer where
    there would be more than ``frames_max`` (0: any number) in the length that the file announces.
    """

    start_s: float = 0.0
    stop_s: float = 1e9
    each: int = 1
    side_px: int = 0
    apart_s: float = 0.0
    frames_max: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.start_s <= self.stop_s <= 1e9 or self.each < 1 or self.side_px < 0:
            raise ValueError("a cut starts before it stops and takes every frame, or fewer")
        if not 0.0 <= self.apart_s <= 1e9 or self.frames_max < 0:
            raise ValueError("frames are some seconds apart, and at most some")

    def pace(self, length_s: float) -> Pace:
        """For a clip that announces so many seconds (0: it does not say)."""
        return Pace(max(self.apart_s, length_s / self.frames_max if self.frames_max else 0.0))


@dataclass(frozen=True, slots=True)
class Colours:
    """How a clip's numbers become light: the code points of ITU-T H.273, 2 where unknown."""

    matrix: int = 2
    primaries: int = 2
    transfer: int = 2

    def __post_init__(self) -> None:
        if not all(0 <= code <= 255 for code in (self.matrix, self.primaries, self.transfer)):
            raise ValueError("a code point of H.273 is one byte")


@dataclass(frozen=True, slots=True)
class Shown:
    """What all frames of a clip have in common.

    Sides are even. ``rate`` is the average of frames per second, ``length_s`` what the file
    announces (0 when it does not), ``pixel_aspect`` the width of a pixel over its height.
    """

    width_px: int
    height_px: int
    rate: Fraction
    length_s: float
    colours: Colours = Colours()
    pixel_aspect: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        if min(self.width_px, self.height_px) < 2 or self.width_px % 2 or self.height_px % 2:
            raise ValueError("a frame has even sides")
        if self.rate <= 0 or self.pixel_aspect <= 0 or not 0.0 <= self.length_s < 1e9:
            raise ValueError("a clip has a rate, a pixel aspect and a length")

    @property
    def frame_bytes(self) -> int:
        """Size of one frame's planes."""
        return self.width_px * self.height_px * 3 // 2


class Coded(IntEnum):
    """From what a clip's encoder foretold a frame: nothing, the past, or both past and future."""

    UNKNOWN = 0
    WHOLE = 1
    FORWARD = 2
    BOTH_WAYS = 3


@dataclass(frozen=True, slots=True)
class Frame:
    """One upright frame, ``at_s`` seconds after the first of its clip.

    ``planes`` are 8-bit Y, Cb, Cr (4:2:0, the narrow range of ITU-R BT.601), one after the other.
    ``numpy.asarray(frame)`` is a read-only (H, W) uint8 view of the luma, without a copy.
    """

    at_s: float
    width_px: int
    height_px: int
    planes: bytes
    coded: Coded = Coded.UNKNOWN

    def __post_init__(self) -> None:
        if len(self.planes) != self.width_px * self.height_px * 3 // 2:
            raise ValueError("a frame has one and a half bytes per pixel")

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """NumPy's array interface, version 3, of the luma."""
        return {
            "version": 3,
            "shape": (self.height_px, self.width_px),
            "typestr": "|u1",
            "data": self.planes,
        }


@dataclass(frozen=True, slots=True)
class Clip:
    """An open clip. ``frames`` run in the order of time, can be walked once, and are decoded as
    they are asked for.
    """

    shown: Shown
    frames: Iterator[Frame]


def no_clips(_untrusted_data: bytes, _cut: Cut) -> AbstractContextManager[Clip]:
    """Of a device that was given no way to open clips."""
    raise DecoderDidNotStart


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


class ReadSound(Protocol):
    """Decodes a sound at its own rate; with ``mono_hz`` one channel at that rate, for fingerprints:
    a long sound then takes little memory.
    """

    def __call__(self, untrusted_data: bytes, mono_hz: int = 0, /) -> Sound:
        """Raises NotASound, SoundUnknown, SoundBroken, SoundTooLong, DecoderDidNotStart."""


def no_sounds(_untrusted_data: bytes, _mono_hz: int = 0) -> Sound:
    """Of a device that was given no way to open sounds."""
    raise DecoderDidNotStart


class CheckCopy(Protocol):
    """Checks a received file, which ``fill`` writes, before it is given to anything else."""

    def __call__(self, media_type: str, size: int, fill: Callable[[BinaryIO], None], /) -> None:
        """Raises NotACopy, DecoderDidNotStart; what ``fill`` raises."""


def no_checks(_media_type: str, _size: int, _fill: Callable[[BinaryIO], None]) -> None:
    """Of a device that was given no way to check files."""
    raise DecoderDidNotStart


_EARLY_S: Final = 1e-6  # times in files are rounded to their ticks


@dataclass(slots=True)
class Pace:
    """Takes the first frame of each stretch of ``apart_s`` seconds (0: every frame), by the time at
    which it is shown; times rise. A frame that stays for longer is taken once.
    """

    apart_s: float
    due_s: float = 0.0

    def takes(self, at_s: float) -> bool:
        """Whether the frame that is shown then is taken."""
        if at_s < self.due_s - _EARLY_S:
            return False
        if self.apart_s > 0.0:
            self.due_s = ((at_s + _EARLY_S) // self.apart_s + 1) * self.apart_s
        return True


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """What one frame of a sent clip looks like, to find it again: ``points`` are float32 x and y,
    ``looks`` 128 bytes for each point; of a frame of ``width_px`` x ``height_px`` pixels.
    """

    at_s: float
    width_px: int
    height_px: int
    points: bytes
    looks: bytes

    def __post_init__(self) -> None:
        if len(self.points) // 8 != len(self.looks) // 128:
            raise ValueError("every point has a look")


@dataclass(frozen=True, slots=True)
class Survey:
    """What is measured of a clip once, for marking and for tracing.

    ``times`` are float64 seconds, one per frame; ``motions`` four float64 numbers per frame: where
    the camera has gone (:class:`entrenous.watermark.alignment.clip_timing.Follower`). ``thumbs`` are the luma
    of small frames of ``thumb_px`` (width, height), one after the other, at ``thumb_times``.
    """

    times: bytes
    motions: bytes
    keys: tuple[KeyFrame, ...]
    thumbs: bytes
    thumb_times: bytes
    thumb_px: tuple[int, int]

    def __post_init__(self) -> None:
        if not self.times or len(self.motions) != 4 * len(self.times):
            raise ValueError("every frame has a time and a motion")
        width, height = self.thumb_px
        if len(self.thumbs) != len(self.thumb_times) // 8 * width * height:
            raise ValueError("every small frame has a time")


class NoFrames(Malformed):
    """
    There are no moving pictures in this file that Entrenous can read. It reads MP4, MOV, WebM and
    AVI with H.264, HEVC, VP8, VP9, AV1 or MPEG-4 inside. Nothing was changed or sent. If it plays
    in another program, save it from there as MP4 and try again.
    """


class FramesUnknown(NoFrames):
    """
    The moving pictures in this file are in a coding that Entrenous does not read. It reads H.264,
    HEVC, VP8, VP9, AV1 and MPEG-4. Nothing was changed or sent. If it plays in another program,
    save it from there as MP4 and try again.
    """


class ClipCutShort(Malformed):
    """
    This clip ends before it should: the file was cut short, perhaps by a broken download. Get the
    whole file again; nothing was changed or sent.
    """


class ClipTooLong(Malformed):
    """
    This clip is longer than the {limit_minutes} minutes that Entrenous works on. Nothing was
    changed or sent. Cut it into parts and give it those.
    """


class ClipTooLongWithSound(ClipTooLong):
    """
    This clip is longer than the {limit_minutes} minutes that Entrenous works on where a clip has
    sound. Nothing was changed or sent. Cut it into parts and give it those. Without its sound it
    may be as long as {silent_minutes} minutes.
    """


class FramesTooLarge(Malformed):
    """
    This clip's frames claim {width_px} x {height_px} pixels, more than the {limit_mp} megapixels
    that Entrenous opens. Nothing was changed or sent. Make it smaller in another program first.
    """


class ClipBroken(Malformed):
    """
    The part of Entrenous that opens clips from strangers stopped on this one (time or memory ran
    out, or the file is broken), and nothing else was harmed. Save it anew from another program.
    """


class ClipTooSmallToMark(Refused):
    """
    The frames of this clip are {width_px} x {height_px} pixels: too small to carry a hidden mark.
    Nothing was sent. Use a version with at least {limit_px} pixels on its shorter side.
    """


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
