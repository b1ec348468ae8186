"""Write a marked clip: H.264 and AAC in MP4, with the frames, the sound and nothing else.

Everybody can play that. Times stay as they were, frame by frame; turning is baked into the frames;
neither names, dates nor the encoder's settings travel along. docs/spec/clip.md, section 5.
"""

import io
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final, NamedTuple

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.codec.context import Flags
from av.video.frame import PictureType
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from entrenous.craft.media.clip.whole import without_user_data
from entrenous.model.clip import Coded, Shown
from entrenous.model.sound import Timing

SUFFIX: Final = ".mp4"
MEDIA_TYPE: Final = "video/mp4"
_TICKS: Final = 90_000  # per second
_PRESET: Final = "veryfast"  # half the time of the next slower one, for a tenth more bytes
# Bits go where the errors are, not where an eye would see them first: at this fineness it sees none
# anywhere, and the same PSNR takes up to a third fewer bytes. In R, G and B an error of chroma
# counts as much as one of luma, and costs less to avoid.
_TUNED: Final = "aq-mode=0:chroma-qp-offset=-6"
_BOTH_WAYS_MAX: Final = 8  # in a row: what encoders of phones and of the web make at most
_KINDS: Final = {
    Coded.WHOLE: PictureType.I,
    Coded.FORWARD: PictureType.P,
    Coded.BOTH_WAYS: PictureType.B,
}
_NO_NAMES: Final = {"fflags": "+bitexact", "empty_hdlr_name": "1"}
_NO_SETTINGS: Final = "filter_units=remove_types=6"  # x264 writes its settings into every file
_SOUND_BPS_PER_CHANNEL: Final = 80_000
_SOUND_PART: Final = 1024

Planes = NDArray[np.uint8]
Samples = NDArray[np.float32]


class Track(NamedTuple):
    """What is heard in a clip: float32 (samples, channels), how many a second has, and how they lie
    beside its frames.
    """

    samples: Samples
    rate_hz: int
    timing: Timing = Timing()


class ClipWriter:
    """One copy in the making. Frames go in by the order of time; :meth:`finish` gives the file.

    Args:
        shown: what the frames have in common.
        crf: x264's constant rate factor; lower is finer.
        sound: what is heard; None for a silent clip.
        threads: of the encoder; one costs least, when several copies are written at a time.
    """

    def __init__(
        self,
        shown: Shown,
        crf: float,
        sound: Track | None = None,
        threads: int = 1,
    ) -> None:
        self._file = io.BytesIO()
        self._shown = shown
        self._container = av.open(self._file, "w", format="mp4", options=dict(_NO_NAMES))
        self._stream = _video(self._container, shown, crf, threads)
        self._filter = BitStreamFilterContext(_NO_SETTINGS, self._stream)
        self._sound = None if sound is None else _SoundTrack(self._container, sound)
        self._later_s = 0.0 if sound is None else sound.timing.ahead / sound.rate_hz

    def add(self, luma: Planes, chroma: Planes, at_s: float, coded: Coded = Coded.UNKNOWN) -> None:
        """One frame: (H, W) luma, and the bytes of both chroma planes one after the other; it is
        shown ``at_s`` after the picture began, which a sound may be ahead of.

        It is coded as it was in its source (docs/spec/clip.md, section 5), where that is known.
        """
        planes = np.concatenate([luma.reshape(-1), chroma.reshape(-1)])
        frame = av.VideoFrame.from_ndarray(planes.reshape(-1, self._shown.width_px), "yuv420p")
        shown_s = self._later_s + at_s
        frame.pts, frame.time_base = round(shown_s * _TICKS), Fraction(1, _TICKS)
        if coded in _KINDS:
            frame.pict_type = _KINDS[coded]
        self._mux_sound(shown_s)
        self._mux(self._stream.encode(frame))

    def finish(self) -> bytes:
        """The whole file."""
        self._mux_sound(None)
        self._mux(self._stream.encode())
        for packet in self._filter.filter(None):
            self._container.mux(packet)
        self._container.close()
        return without_user_data(self._file.getvalue())

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            for clean in self._filter.filter(packet):
                self._container.mux(clean)

    def _mux_sound(self, until_s: float | None) -> None:
        if self._sound is not None:
            for packet in self._sound.packets(until_s):
                self._container.mux(packet)


def _video(container: Any, shown: Shown, crf: float, threads: int) -> Any:
    stream = container.add_stream("libx264", rate=shown.rate)
    stream.width, stream.height, stream.pix_fmt = shown.width_px, shown.height_px, "yuv420p"
    stream.options = {
        "crf": f"{crf:g}",
        "preset": _PRESET,
        "bf": f"{_BOTH_WAYS_MAX}",
        "x264-params": _TUNED,
    }
    stream.time_base = Fraction(1, _TICKS)
    context = stream.codec_context
    context.thread_count = threads
    context.time_base = Fraction(1, _TICKS)
    context.framerate = shown.rate
    context.color_range = ColorRange.MPEG
    context.colorspace = shown.colours.matrix
    context.color_primaries = shown.colours.primaries
    context.color_trc = shown.colours.transfer
    context.sample_aspect_ratio = shown.pixel_aspect
    context.flags |= Flags.bitexact
    return stream


class _SoundTrack:
    """Samples on their way into a file, a part at a time, so that they lie beside their frames."""

    def __init__(self, container: Any, track: Track) -> None:
        channels = track.samples.shape[1]
        self._parts, self._rate_hz, self._at = _parts(track), track.rate_hz, 0
        self._layout = "mono" if channels == 1 else "stereo"
        self._stream = container.add_stream("aac", rate=track.rate_hz, layout=self._layout)
        self._stream.bit_rate = _SOUND_BPS_PER_CHANNEL * channels
        self._stream.codec_context.flags |= Flags.bitexact

    def packets(self, until_s: float | None) -> Iterator[Any]:
        """What is to be heard before ``until_s``, or all of the rest."""
        stop = math.inf if until_s is None else until_s * self._rate_hz
        while self._at < stop and (part := next(self._parts, None)) is not None:
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(part.T), format="fltp", layout=self._layout
            )
            frame.rate, frame.pts = self._rate_hz, self._at
            frame.time_base = Fraction(1, self._rate_hz)
            self._at += len(part)
            yield from self._stream.encode(frame)
        if until_s is None:
            yield from self._stream.encode()


def _parts(track: Track) -> Iterator[Samples]:
    """The samples and the silences between them; however long one is, it takes no memory."""
    nothing = np.zeros((_SOUND_PART, track.samples.shape[1]), np.float32)
    at = 0
    for silence in track.timing.silences:
        yield from _cut(track.samples[at : silence.before])
        at = silence.before
        for done in range(0, silence.length, _SOUND_PART):
            yield nothing[: silence.length - done]
    yield from _cut(track.samples[at:])


def _cut(samples: Samples) -> Iterator[Samples]:
    for start in range(0, len(samples), _SOUND_PART):
        yield samples[start : start + _SOUND_PART]
