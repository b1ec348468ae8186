"""Clips and sounds: decoded frames and samples, how the file was encoded, and what the ledger
stores about a sent clip.

None of these types has a field for metadata. The protocols of the decoders are here as well,
because simulated tests pass decoders that start no process. The default decoders refuse every file.
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
class FrameSelection:
    """Selects which frames of a clip are decoded.

    Every ``each``-th frame from ``start_s`` up to, but not at, ``stop_s`` is considered. Of these,
    the first in each interval of ``apart_s`` seconds is selected (0: all). If this would select
    more than ``frames_max`` frames (0: no limit) of a file of the announced length, the intervals
    become longer. Frames are scaled down to at most ``side_px`` on the longest side (0: not
    scaled).
    """

    start_s: float = 0.0
    stop_s: float = 1e9
    each: int = 1
    side_px: int = 0
    apart_s: float = 0.0
    frames_max: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.start_s <= self.stop_s <= 1e9 or self.each < 1 or self.side_px < 0:
            raise ValueError("a frame selection starts before it stops, with a step of at least 1")
        if not 0.0 <= self.apart_s <= 1e9 or self.frames_max < 0:
            raise ValueError("the distance and number of frames are not negative")

    def sampler_for_length(self, length_s: float) -> FrameSampler:
        """Return the sampler for a clip of this announced length in seconds (0: unknown)."""
        return FrameSampler(
            max(self.apart_s, length_s / self.frames_max if self.frames_max else 0.0)
        )


@dataclass(frozen=True, slots=True)
class ColourSpace:
    """A clip's colour space, as code points of ITU-T H.273; 2 means unknown."""

    matrix: int = 2
    primaries: int = 2
    transfer: int = 2

    def __post_init__(self) -> None:
        if not all(0 <= code <= 255 for code in (self.matrix, self.primaries, self.transfer)):
            raise ValueError("a code point of H.273 is one byte")


@dataclass(frozen=True, slots=True)
class ClipFormat:
    """The properties that all frames of a clip share.

    Width and height are even. ``rate`` is the average number of frames per second. ``length_s`` is
    the length that the file announces (0 if it announces none). ``pixel_aspect`` is a pixel's width
    divided by its height.
    """

    width_px: int
    height_px: int
    rate: Fraction
    length_s: float
    colours: ColourSpace = ColourSpace()
    pixel_aspect: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        if min(self.width_px, self.height_px) < 2 or self.width_px % 2 or self.height_px % 2:
            raise ValueError("a frame has even sides")
        if self.rate <= 0 or self.pixel_aspect <= 0 or not 0.0 <= self.length_s < 1e9:
            raise ValueError("a clip has a positive rate and pixel aspect, and a length")

    @property
    def frame_bytes(self) -> int:
        return self.width_px * self.height_px * 3 // 2


class FramePrediction(IntEnum):
    """How a frame was predicted: not at all, from earlier frames, or from later ones too."""

    UNKNOWN = 0
    WHOLE = 1
    FORWARD = 2
    BOTH_WAYS = 3


@dataclass(frozen=True, slots=True)
class Frame:
    """One upright frame, shown ``at_s`` seconds after the first frame of its clip.

    ``planes`` are the planes Y, Cb and Cr one after another, with 8 bits per sample (4:2:0, the
    limited range of ITU-R BT.601). ``numpy.asarray(frame)`` is a read-only (H, W) uint8 view of the
    luma, without a copy.
    """

    at_s: float
    width_px: int
    height_px: int
    planes: bytes
    coded: FramePrediction = FramePrediction.UNKNOWN

    def __post_init__(self) -> None:
        if len(self.planes) != self.width_px * self.height_px * 3 // 2:
            raise ValueError("a frame has one and a half bytes per pixel")

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """Return the luma in NumPy's array interface, version 3."""
        return {
            "version": 3,
            "shape": (self.height_px, self.width_px),
            "typestr": "|u1",
            "data": self.planes,
        }


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip that is open for reading.

    ``frames`` are decoded on demand, in the order of their times, and can be iterated once.
    """

    shown: ClipFormat
    frames: Iterator[Frame]


def refuse_clip(_untrusted_data: bytes, _selection: FrameSelection) -> AbstractContextManager[Clip]:
    """Refuse to open any clip: this device has no decoder for clips."""
    raise DecoderDidNotStart


class SoundFormat(StrEnum):
    """The codecs in which a copy of a sound can be written.

    A sound in any other readable codec is written in the most similar of these.
    """

    OPUS = "opus"
    AAC = "aac"
    MP3 = "mp3"
    AMR = "amr"  # the narrow-band variant, at 8 kHz
    WAV = "wav"
    FLAC = "flac"

    @property
    def suffix(self) -> str:
        """Return the file name suffix with its dot, such as ``.m4a``."""
        return {SoundFormat.OPUS: ".ogg", SoundFormat.AAC: ".m4a"}.get(self, f".{self.value}")

    @property
    def media_type(self) -> str:
        """Return the media type named in messages, such as ``audio/mp4``."""
        odd = {SoundFormat.OPUS: "ogg", SoundFormat.AAC: "mp4", SoundFormat.MP3: "mpeg"}
        return f"audio/{odd.get(self, self.value)}"


@dataclass(frozen=True, slots=True)
class SoundEncoding:
    """How a sound was encoded, so that a copy can be encoded in the same way.

    ``bit_rate`` is in bits per second, 0 if unknown or lossless. ``deep`` means that the samples
    have more than 16 bits.
    """

    format: SoundFormat
    bit_rate: int = 0
    deep: bool = False

    def __post_init__(self) -> None:
        if self.bit_rate < 0:
            raise ValueError("a bit rate is not negative")


@dataclass(frozen=True, slots=True)
class Silence:
    """``length`` samples of silence, in each channel, before the sample ``before``."""

    before: int
    length: int

    def __post_init__(self) -> None:
        if self.before < 0 or self.length < 1:
            raise ValueError("a silence has a place and a length")


@dataclass(frozen=True, slots=True)
class SoundTiming:
    """How a clip's sound aligns with its picture, in samples (docs/spec/clip.md, section 5).

    ``ahead`` is the number of samples that are heard before the picture begins. ``silences`` are
    gaps in the sound, ordered by position. The sound's samples do not include them.
    """

    ahead: int = 0
    silences: tuple[Silence, ...] = ()

    def __post_init__(self) -> None:
        places = [silence.before for silence in self.silences]
        if self.ahead < 0 or any(one >= next_ for one, next_ in pairwise(places)):
            raise ValueError("silences are in order, and ahead is not negative")

    @property
    def silent_samples(self) -> int:
        """Return the total length of all silences, in samples."""
        return sum(silence.length for silence in self.silences)


@dataclass(frozen=True, slots=True)
class Sound:
    """Samples of one sound, mono or stereo.

    ``samples`` are 32-bit floats from -1 to 1 in this machine's byte order, channels interleaved.
    ``numpy.asarray(sound)`` is a read-only (samples, channels) float32 view, without a copy.
    """

    rate_hz: int
    channels: int
    samples: bytes
    encoding: SoundEncoding
    timing: SoundTiming = SoundTiming()

    def __post_init__(self) -> None:
        if not 4000 <= self.rate_hz <= 192_000 or self.channels not in (1, 2):
            raise ValueError("a sound has 4 to 192 kHz, and one or two channels")
        if not self.samples or len(self.samples) % (4 * self.channels):
            raise ValueError("a sound has samples, 4 bytes each, for every channel")

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """Return the samples in NumPy's array interface, version 3, without importing NumPy."""
        return {
            "version": 3,
            "shape": (len(self), self.channels),
            "typestr": "=f4",
            "data": self.samples,
        }

    def __len__(self) -> int:
        """Return the number of samples per channel."""
        return len(self.samples) // (4 * self.channels)

    @property
    def length_s(self) -> float:
        """Return the length in seconds, not counting silences."""
        return len(self) / self.rate_hz


class ReadSound(Protocol):
    """A function that decodes a sound, at the sound's own rate unless ``mono_hz`` is given.

    With ``mono_hz``, the result has one channel at that rate, so that the fingerprint of a long
    sound needs little memory. This is a protocol because ``Callable`` cannot express a default
    value. Outside of tests, a sandboxed process decodes.
    """

    def __call__(self, untrusted_data: bytes, mono_hz: int = 0, /) -> Sound:
        """Raises NoSoundFound, UnsupportedSoundCodec, DamagedSound, SoundTooLong,
        DecoderDidNotStart.
        """


def refuse_sound(_untrusted_data: bytes, _mono_hz: int = 0) -> Sound:
    """Refuse to open any sound: this device has no decoder for sounds."""
    raise DecoderDidNotStart


#: A function that checks a received file before anything else reads it. It gets the media type, the
#: size in bytes, and a function that writes the file. It raises NotACopy, DecoderDidNotStart, and
#: whatever the writing function raises.
CheckCopy = Callable[[str, int, Callable[[BinaryIO], None]], None]


def refuse_check(_media_type: str, _size: int, _fill: Callable[[BinaryIO], None]) -> None:
    """Refuse to check any file: this device has no checker."""
    raise DecoderDidNotStart


# a frame may be early by this many seconds, since files round times to ticks of a clock
_TIME_TOLERANCE_S: Final = 1e-6


@dataclass(slots=True)
class FrameSampler:
    """Selects the first frame in each interval of ``apart_s`` seconds (0: every frame).

    Frames must be given in the order of their times. A frame that lasts several intervals is
    selected once.
    """

    apart_s: float
    due_s: float = 0.0

    def select_if_due(self, at_s: float) -> bool:
        """Return whether to select the frame shown at that time."""
        if at_s < self.due_s - _TIME_TOLERANCE_S:
            return False
        if self.apart_s > 0.0:
            self.due_s = ((at_s + _TIME_TOLERANCE_S) // self.apart_s + 1) * self.apart_s
        return True


@dataclass(frozen=True, slots=True)
class FrameKeypoints:
    """The keypoints of one frame of a sent clip, for recognising the clip in a leak.

    ``points`` are float32 x and y in a frame of ``width_px`` x ``height_px`` pixels.
    ``descriptors`` are 128 bytes for each point.
    """

    at_s: float
    width_px: int
    height_px: int
    points: bytes
    descriptors: bytes

    def __post_init__(self) -> None:
        if len(self.points) // 8 != len(self.descriptors) // 128:
            raise ValueError("every point has a descriptor")


@dataclass(frozen=True, slots=True)
class ClipMeasurements:
    """Measurements of a clip, made once and used both for marking and for tracing.

    ``times`` has one float64 per frame, in seconds. ``motions`` has four float64 numbers per frame,
    the camera's position (:class:`entrenous.watermark.alignment.clip_timing.CameraTracker`).
    ``thumbs`` is the luma of thumbnails at the times ``thumb_times``, one after another;
    ``thumb_px`` is their width and height.
    """

    times: bytes
    motions: bytes
    keys: tuple[FrameKeypoints, ...]
    thumbs: bytes
    thumb_times: bytes
    thumb_px: tuple[int, int]

    def __post_init__(self) -> None:
        if not self.times or len(self.motions) != 4 * len(self.times):
            raise ValueError("every frame has a time and a motion")
        width, height = self.thumb_px
        if len(self.thumbs) != len(self.thumb_times) // 8 * width * height:
            raise ValueError("every small frame has a time")


class NoVideoFound(Malformed):
    """
    Entrenous found no video in this file that it can read. It reads MP4, MOV, WebM and AVI files
    with H.264, HEVC, VP8, VP9, AV1 or MPEG-4 video. Nothing was changed or sent. If the file plays
    in another program, save it from there as MP4 and try again.
    """


class UnsupportedVideoCodec(NoVideoFound):
    """
    Entrenous cannot read this video: its encoding is not supported, or none of its frames can be
    decoded. Entrenous supports H.264, HEVC, VP8, VP9, AV1 and MPEG-4. Nothing was changed or sent.
    If the file plays in another program, save it from there as MP4 and try again.
    """


class IncompleteClip(Malformed):
    """
    This clip is incomplete: its end is missing, perhaps because a download was interrupted. Nothing
    was changed or sent. Get the whole file and try again.
    """


class ClipTooLong(Malformed):
    """
    This clip is longer than {limit_minutes} minutes, the most that Entrenous accepts. Nothing was
    changed or sent. Cut it into shorter parts and use those.
    """


class ClipTooLongWithSound(ClipTooLong):
    """
    This clip has sound and is longer than {limit_minutes} minutes, the most that Entrenous accepts
    with sound. Nothing was changed or sent. Cut it into shorter parts, or remove its sound: without
    sound it may last {silent_minutes} minutes.
    """


class FramesTooLarge(Malformed):
    """
    The frames of this clip are {width_px} x {height_px} pixels, which is more than the {limit_mp}
    megapixels that Entrenous accepts. Nothing was changed or sent. Make the clip smaller in another
    program first.
    """


class DamagedClip(Malformed):
    """
    Entrenous could not read this clip: the file is broken, or reading it took too much time or
    memory. Nothing was changed or sent. Open the clip in another program, save it again and use the
    new file.
    """


class ClipTooSmallToMark(Refused):
    """
    The frames of this clip are {width_px} x {height_px} pixels, too small to carry a hidden mark.
    Nothing was sent. Use a version with at least {limit_px} pixels on its shorter side.
    """


class NoSoundFound(Malformed):
    """
    Entrenous found no sound in this file that it can read. It reads Opus, AAC, MP3, AMR, WAV, FLAC
    and Vorbis, and the sound of MP4, MOV and WebM. Nothing was changed or sent. If the file plays
    in another program, save it from there as M4A or WAV and try again.
    """


class UnsupportedSoundCodec(NoSoundFound):
    """
    Entrenous cannot read the encoding of this sound. It reads AAC, Opus, Vorbis, MP3, AMR, FLAC and
    WAV, at 4 to 96 kHz. Nothing was changed or sent. If the file plays in another program, save it
    again from there and use the new file: for a clip, save as MP4 with AAC; for a sound, as M4A.
    """


class DamagedSound(Malformed):
    """
    Entrenous could not read this sound: the file is broken, or contains a video as well, or reading
    it took too much time or memory. Nothing was changed or sent. Open the file in another program,
    save it as M4A, or as MP4 if it has a video, and use the new file.
    """


class SoundTooLong(Malformed):
    """
    This sound is longer than {limit_minutes} minutes, the most that Entrenous accepts. Nothing was
    changed or sent. Cut it into shorter parts and use those.
    """


class SoundTooShortToMark(Refused):
    """
    This sound lasts {length_s} seconds, too short to carry a hidden mark. Nothing was sent. Use a
    recording of at least {limit_s} seconds.
    """


class TooQuietToMark(Refused):
    """
    This sound is silent, so no mark can be hidden in it. Nothing was sent. Check that it is the
    right file.
    """
