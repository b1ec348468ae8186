"""Moving pictures: a clip that is read frame by frame, and what the ledger keeps of a sent one."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import Any, Final

from entrenous.model.errors import Malformed, Refused

_EARLY_S: Final = 1e-6  # times in files are rounded to their ticks


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

    def pace(self, length_s: float) -> "Pace":
        """For a clip that announces so many seconds (0: it does not say)."""
        return Pace(max(self.apart_s, length_s / self.frames_max if self.frames_max else 0.0))


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
class Clip:
    """An open clip. ``frames`` run in the order of time, can be walked once, and are decoded as
    they are asked for.
    """

    shown: Shown
    frames: Iterator[Frame]


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
    the camera has gone (:class:`entrenous.craft.align.timeline.Follower`). ``thumbs`` are the luma
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
