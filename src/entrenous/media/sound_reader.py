"""Read a sound as floating-point samples, without metadata, and where a clip's sound starts."""

import io
from collections.abc import Iterable, Iterator
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from entrenous.base.audio_video import (
    FramesUnknown,
    NoFrames,
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
from entrenous.base.errors import EntrenousError
from entrenous.base.limits import SOUND_LENGTH_S_MAX, SOUND_RATE_HZ_MAX
from entrenous.media.clip_reader import pictures_of
from entrenous.media.sandbox.decoder_messages import sound_container_of

_FORMATS: Final = {
    "opus": SoundFormat.OPUS,
    "libopus": SoundFormat.OPUS,
    "vorbis": SoundFormat.OPUS,
    "speex": SoundFormat.OPUS,
    "aac": SoundFormat.AAC,
    "aac_latm": SoundFormat.AAC,
    "amrwb": SoundFormat.AAC,  # nobody may encode it freely
    "libopencore_amrwb": SoundFormat.AAC,
    "mp3": SoundFormat.MP3,
    "mp3float": SoundFormat.MP3,
    "amrnb": SoundFormat.AMR,
    "libopencore_amrnb": SoundFormat.AMR,
    "flac": SoundFormat.FLAC,
    "alac": SoundFormat.FLAC,
}
# sample format: its zero and its full scale (FFmpeg, libavutil/samplefmt.h)
_SCALES: Final = {"u8": (128.0, 128.0), "s16": (0.0, 2.0**15), "s32": (0.0, 2.0**31)}


def read_sound(untrusted_data: bytes, mono_hz: int = 0) -> Sound:
    """The first sound track of a file: at most two channels, at its own rate, and how it lies
    beside its pictures; with ``mono_hz`` one channel, the mean of all, at so many samples per
    second, which takes little memory.

    Raises:
        NotASound: it holds no sound.
        SoundUnknown: it holds some, and none that we read.
        SoundTooLong: more than ``SOUND_LENGTH_S_MAX`` seconds.
        SoundBroken: nothing of it could be decoded, or it is an Ogg file with moving pictures.
    """
    kind = sound_container_of(untrusted_data)
    try:
        container = av.open(io.BytesIO(untrusted_data), format=kind, metadata_errors="ignore")
    except Exception as error:
        raise SoundBroken from error
    with container:
        if kind == "ogg":
            _require_no_frames(container)
        stream = _stream_of(container)
        rate = int(stream.codec_context.sample_rate)
        timeline = Timeline(rate)
        decoded = (_in_scale(part) for part in _decoded(container, stream, timeline))
        parts = list(_mono(decoded, rate, mono_hz) if mono_hz else decoded)
        if not parts:
            raise SoundBroken
        samples = np.concatenate(parts)
        encoding = _encoding(container, stream)
        timing = Timing() if mono_hz else _timing(container, timeline)
        return Sound(mono_hz or rate, samples.shape[1], samples.tobytes(), encoding, timing)


class Timeline:
    """Follows the times of a sound's parts, of ``rate_hz`` samples a second.

    No more silences are noted once they are together as long as the longest sound: whoever sends
    such a sound refuses it, and times that lie make no long list.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._most = round(SOUND_LENGTH_S_MAX * rate_hz)
        self._start_s: float | None = None
        self._heard = 0
        self._silent = 0
        self._silences: list[Silence] = []

    def note(self, at_s: float | None, samples: int) -> None:
        """So many samples come next; their file has them heard at ``at_s`` (None: it is silent on
        that).
        """
        if at_s is not None:
            if self._start_s is None or self._heard < _STARTING_S * self._rate_hz:
                self._start_s = at_s - self._heard / self._rate_hz
            self._keep_up(at_s - self._start_s)
        self._heard += samples

    def beside(self, picture_s: float) -> Timing:
        """The same beside a picture that begins at ``picture_s`` on the clock of the parts."""
        late_s = 0.0 if self._start_s is None else self._start_s - picture_s
        late = min(round(abs(late_s) * self._rate_hz), self._most)
        silences = tuple(self._silences)
        if abs(late_s) <= _STARTS_APART_S:
            return Timing(0, silences)
        if late_s > 0.0:
            return Timing(0, (Silence(0, late), *silences))
        return Timing(min(late, self._heard + self._silent), silences)

    def _keep_up(self, at_s: float) -> None:
        behind = round(at_s * self._rate_hz) - self._heard - self._silent
        if behind > _BEHIND_S * self._rate_hz and self._silent < self._most:
            self._silences.append(Silence(self._heard, min(behind, self._most)))
            self._silent += self._silences[-1].length


def _timing(container: Any, timeline: Timeline) -> Timing:
    picture_s = picture_start_s(container)
    return Timing() if picture_s is None else timeline.beside(picture_s)


def _require_no_frames(container: Any) -> None:
    """An Ogg file is opened as a sound: nobody would look at the pictures (Theora) in it."""
    for stream in container.streams.video:
        if not int(stream.disposition) & int(type(stream.disposition).attached_pic):
            raise SoundBroken


def _stream_of(container: Any) -> Any:
    for stream in container.streams.audio:
        context = stream.codec_context
        if context is None or not (context.name in _FORMATS or context.name.startswith("pcm_")):
            continue
        if not 4000 <= context.sample_rate <= SOUND_RATE_HZ_MAX:
            continue
        context.thread_count = 1  # no thread can be started behind the walls
        return stream
    raise SoundUnknown if container.streams.audio else NotASound


def _decoded(container: Any, stream: Any, timeline: Timeline) -> Iterator[NDArray[Any]]:
    """(samples, channels) parts; a packet that cannot be decoded is left out, as players do."""
    rate = stream.codec_context.sample_rate
    room = int(SOUND_LENGTH_S_MAX * rate)
    channels = 0
    for frame in _frames(container, stream):
        part = _samples(frame)
        channels = channels or part.shape[1]
        if frame.sample_rate != rate or part.shape[1] != channels:
            continue  # a file that changes its shape under way
        room -= len(part)
        if room < 0:
            raise SoundTooLong(limit_minutes=round(SOUND_LENGTH_S_MAX / 60))
        timeline.note(frame.time, len(part))
        yield part


def _in_scale(part: NDArray[Any]) -> NDArray[np.float32]:
    return np.nan_to_num(np.clip(part.astype(np.float32, copy=False), -1.0, 1.0))


def _mono(
    parts: Iterable[NDArray[np.float32]], rate_hz: int, mono_hz: int
) -> Iterator[NDArray[Any]]:
    """(samples, 1) parts at another rate, no longer than a sound may be; of the shortest sound a
    sample of silence.
    """
    resampler = av.AudioResampler(format="flt", layout="mono", rate=mono_hz)
    room = most = int(SOUND_LENGTH_S_MAX * mono_hz)
    for frame in _with_end(parts, rate_hz):
        for one in resampler.resample(frame):
            if one is not None:  # the end of a sound that has the rate already
                part = one.to_ndarray().reshape(-1, 1)[:room]
                room -= len(part)
                yield part
        if frame is None and room == most:
            yield np.zeros((1, 1), dtype=np.float32)


def _with_end(parts: Iterable[NDArray[np.float32]], rate_hz: int) -> Iterator[Any]:
    """The mean of all channels as frames, then None, at which a resampler gives the rest."""
    some = False
    for part in parts:
        if len(part):
            mean = np.ascontiguousarray(part.mean(axis=1, dtype=np.float32)[None])
            frame = av.AudioFrame.from_ndarray(mean, format="flt", layout="mono")
            frame.sample_rate = rate_hz
            yield frame
            some = True
    if some:
        yield None


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    try:
        for packet in container.demux(stream):
            try:
                frames = stream.decode(packet)
            except av.error.InvalidDataError:
                continue
            yield from frames
    except EntrenousError:
        raise
    except Exception as error:  # libraries raise all kinds; the person needs one answer
        raise SoundBroken from error


def _samples(frame: Any) -> NDArray[Any]:
    raw = frame.to_ndarray()
    channels = len(frame.layout.channels)
    plane = raw.T if frame.format.is_planar else raw.reshape(-1, channels)
    zero, scale = _SCALES.get(frame.format.name.removesuffix("p"), (0.0, 1.0))
    scaled: NDArray[np.float32] = (plane.astype(np.float32) - np.float32(zero)) / np.float32(scale)
    if channels <= 2:
        return scaled
    middle = scaled[:, 2:].mean(1, keepdims=True)  # centre, bass and rear channels to both sides
    folded: NDArray[Any] = scaled[:, :2] * 0.7 + middle * 0.3
    return folded


def _encoding(container: Any, stream: Any) -> SoundEncoding:
    context = stream.codec_context
    kind = _FORMATS.get(context.name, SoundFormat.WAV)
    depth = str(context.format.name) if context.format is not None else "s16"
    deep = depth.removesuffix("p") in ("s32", "flt", "dbl")
    if kind in (SoundFormat.WAV, SoundFormat.FLAC):
        return SoundEncoding(kind, 0, deep)
    alone = len(container.streams) == 1
    rate = stream.bit_rate or context.bit_rate or (container.bit_rate if alone else 0) or 0
    return SoundEncoding(kind, max(0, min(int(rate), 1_000_000)))


_STARTS_APART_S: Final = 0.025  # less is no more than a frame of AAC at 44.1 kHz
_STARTING_S: Final = 0.1  # priming, where a container does not skip it, has times of its own
_BEHIND_S: Final = 0.060  # less is the jitter of recorders


def picture_start_s(container: Any) -> float | None:
    """Where the moving pictures of an open file begin, as whoever reads their frames counts it;
    None: there are none.
    """
    try:
        stream = pictures_of(container)
    except (NoFrames, FramesUnknown):
        return None
    return float((stream.start_time or 0) * stream.time_base)
