"""Read a sound as float samples without metadata, and its timing against a clip's frames."""

import io
from collections.abc import Iterable, Iterator
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from entrenous.base.audio_video import (
    DamagedSound,
    NoSoundFound,
    NoVideoFound,
    Silence,
    Sound,
    SoundEncoding,
    SoundFormat,
    SoundTiming,
    SoundTooLong,
    UnsupportedSoundCodec,
    UnsupportedVideoCodec,
)
from entrenous.base.errors import EntrenousError
from entrenous.base.limits import SOUND_LENGTH_S_MAX, SOUND_RATE_HZ_MAX
from entrenous.media.clip_reader import video_stream_of
from entrenous.media.sandbox.decoder_messages import sound_container_of

_FORMAT_BY_CODEC: Final = {
    "opus": SoundFormat.OPUS,
    "libopus": SoundFormat.OPUS,
    "vorbis": SoundFormat.OPUS,
    "speex": SoundFormat.OPUS,
    "aac": SoundFormat.AAC,
    "aac_latm": SoundFormat.AAC,
    "amrwb": SoundFormat.AAC,  # these codecs have no free encoder
    "libopencore_amrwb": SoundFormat.AAC,
    "mp3": SoundFormat.MP3,
    "mp3float": SoundFormat.MP3,
    "amrnb": SoundFormat.AMR,
    "libopencore_amrnb": SoundFormat.AMR,
    "flac": SoundFormat.FLAC,
    "alac": SoundFormat.FLAC,
}
# for each sample format: the value of silence, and the full scale (FFmpeg, libavutil/samplefmt.h)
_ZERO_AND_SCALE_BY_FORMAT: Final = {
    "u8": (128.0, 128.0),
    "s16": (0.0, 2.0**15),
    "s32": (0.0, 2.0**31),
}


def read_sound(untrusted_data: bytes, mono_hz: int = 0) -> Sound:
    """Return the first sound track of a file: at most two channels, its own rate, its timing.

    With ``mono_hz``, the result is one channel, the mean of all channels, at that rate.
    This needs little memory.

    Raises:
        NoSoundFound: the file has no sound.
        UnsupportedSoundCodec: the file has sound, but in no supported codec.
        SoundTooLong: the sound has more than ``SOUND_LENGTH_S_MAX`` seconds.
        DamagedSound: nothing could be decoded, or the file is an Ogg file with video.
    """
    kind = sound_container_of(untrusted_data)
    try:
        container = av.open(io.BytesIO(untrusted_data), format=kind, metadata_errors="ignore")
    except Exception as error:
        raise DamagedSound from error
    with container:
        if kind == "ogg":
            _refuse_ogg_with_video(container)
        stream = _audio_stream_of(container)
        rate = int(stream.codec_context.sample_rate)
        timeline = SoundTimeline(rate)
        decoded = (
            _limit_to_full_scale(part) for part in _decode_parts(container, stream, timeline)
        )
        parts = list(_resample_to_mono(decoded, rate, mono_hz) if mono_hz else decoded)
        if not parts:
            raise DamagedSound
        samples = np.concatenate(parts)
        encoding = _encoding_of_stream(container, stream)
        timing = SoundTiming() if mono_hz else _timing_of(container, timeline)
        return Sound(mono_hz or rate, samples.shape[1], samples.tobytes(), encoding, timing)


class SoundTimeline:
    """Tracks the times of a sound's parts, at ``rate_hz`` samples per second.

    Once the silences together are as long as the longest allowed sound, no more silences are
    recorded. Senders refuse such a sound, and wrong times must not cause a long list.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._samples_max = round(SOUND_LENGTH_S_MAX * rate_hz)
        self._start_s: float | None = None
        self._sample_count = 0
        self._silence_count = 0
        self._silences: list[Silence] = []

    def add(self, at_s: float | None, sample_count: int) -> None:
        """Add samples that the file places at ``at_s``; None means that it states no time."""
        if at_s is not None:
            if self._start_s is None or self._sample_count < _PRIMING_S * self._rate_hz:
                self._start_s = at_s - self._sample_count / self._rate_hz
            self._record_gap(at_s - self._start_s)
        self._sample_count += sample_count

    def timing_against_video(self, video_s: float) -> SoundTiming:
        """Return the timing relative to frames that begin at ``video_s`` on the same clock."""
        offset_s = 0.0 if self._start_s is None else self._start_s - video_s
        offset = min(round(abs(offset_s) * self._rate_hz), self._samples_max)
        silences = tuple(self._silences)
        if abs(offset_s) <= _START_DIFFERENCE_S_MIN:
            return SoundTiming(0, silences)
        if offset_s > 0.0:
            return SoundTiming(0, (Silence(0, offset), *silences))
        return SoundTiming(min(offset, self._sample_count + self._silence_count), silences)

    def _record_gap(self, at_s: float) -> None:
        gap = round(at_s * self._rate_hz) - self._sample_count - self._silence_count
        if gap > _GAP_S_MIN * self._rate_hz and self._silence_count < self._samples_max:
            self._silences.append(Silence(self._sample_count, min(gap, self._samples_max)))
            self._silence_count += self._silences[-1].length


def _timing_of(container: Any, timeline: SoundTimeline) -> SoundTiming:
    video_s = video_start_s(container)
    return SoundTiming() if video_s is None else timeline.timing_against_video(video_s)


def _refuse_ogg_with_video(container: Any) -> None:
    """Refuse an Ogg file with video (Theora), since Ogg files are opened only as sounds."""
    for stream in container.streams.video:
        if not int(stream.disposition) & int(type(stream.disposition).attached_pic):
            raise DamagedSound


def _audio_stream_of(container: Any) -> Any:
    for stream in container.streams.audio:
        context = stream.codec_context
        if context is None or not (
            context.name in _FORMAT_BY_CODEC or context.name.startswith("pcm_")
        ):
            continue
        if not 4000 <= context.sample_rate <= SOUND_RATE_HZ_MAX:
            continue
        context.thread_count = 1  # the sandbox forbids threads
        return stream
    raise UnsupportedSoundCodec if container.streams.audio else NoSoundFound


def _decode_parts(container: Any, stream: Any, timeline: SoundTimeline) -> Iterator[NDArray[Any]]:
    """Yield the sound in parts (samples, channels).

    Packets that cannot be decoded are skipped, as players do.
    """
    rate = stream.codec_context.sample_rate
    remaining = int(SOUND_LENGTH_S_MAX * rate)
    channels = 0
    for frame in _frames(container, stream):
        part = _samples_of_frame(frame)
        channels = channels or part.shape[1]
        if frame.sample_rate != rate or part.shape[1] != channels:
            continue  # the format changes within the file
        remaining -= len(part)
        if remaining < 0:
            raise SoundTooLong(limit_minutes=round(SOUND_LENGTH_S_MAX / 60))
        timeline.add(frame.time, len(part))
        yield part


def _limit_to_full_scale(part: NDArray[Any]) -> NDArray[np.float32]:
    return np.nan_to_num(np.clip(part.astype(np.float32, copy=False), -1.0, 1.0))


def _resample_to_mono(
    parts: Iterable[NDArray[np.float32]], rate_hz: int, mono_hz: int
) -> Iterator[NDArray[Any]]:
    """Yield parts (samples, 1) at another rate.

    Together they are at most as long as the longest allowed sound. A sound that is too short for
    the resampler becomes one silent sample.
    """
    resampler = av.AudioResampler(format="flt", layout="mono", rate=mono_hz)
    remaining = most = int(SOUND_LENGTH_S_MAX * mono_hz)
    for frame in _mean_frames_then_none(parts, rate_hz):
        for one in resampler.resample(frame):
            if one is not None:  # nothing is left to flush if the sound already has this rate
                part = one.to_ndarray().reshape(-1, 1)[:remaining]
                remaining -= len(part)
                yield part
        if frame is None and remaining == most:
            yield np.zeros((1, 1), dtype=np.float32)


def _mean_frames_then_none(parts: Iterable[NDArray[np.float32]], rate_hz: int) -> Iterator[Any]:
    """Yield the mean of all channels as frames, then None, which flushes a resampler."""
    any_sent = False
    for part in parts:
        if len(part):
            mean = np.ascontiguousarray(part.mean(axis=1, dtype=np.float32)[None])
            frame = av.AudioFrame.from_ndarray(mean, format="flt", layout="mono")
            frame.sample_rate = rate_hz
            yield frame
            any_sent = True
    if any_sent:
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
    # libraries raise many types of errors, but the person needs one message
    except Exception as error:
        raise DamagedSound from error


def _samples_of_frame(frame: Any) -> NDArray[Any]:
    raw = frame.to_ndarray()
    channels = len(frame.layout.channels)
    plane = raw.T if frame.format.is_planar else raw.reshape(-1, channels)
    zero, scale = _ZERO_AND_SCALE_BY_FORMAT.get(frame.format.name.removesuffix("p"), (0.0, 1.0))
    scaled: NDArray[np.float32] = (plane.astype(np.float32) - np.float32(zero)) / np.float32(scale)
    if channels <= 2:
        return scaled
    # the centre, bass and rear channels go to both sides
    middle = scaled[:, 2:].mean(1, keepdims=True)
    folded: NDArray[Any] = scaled[:, :2] * 0.7 + middle * 0.3
    return folded


def _encoding_of_stream(container: Any, stream: Any) -> SoundEncoding:
    context = stream.codec_context
    kind = _FORMAT_BY_CODEC.get(context.name, SoundFormat.WAV)
    depth = str(context.format.name) if context.format is not None else "s16"
    deep = depth.removesuffix("p") in ("s32", "flt", "dbl")
    if kind in (SoundFormat.WAV, SoundFormat.FLAC):
        return SoundEncoding(kind, 0, deep)
    alone = len(container.streams) == 1
    rate = stream.bit_rate or context.bit_rate or (container.bit_rate if alone else 0) or 0
    return SoundEncoding(kind, max(0, min(int(rate), 1_000_000)))


# a smaller difference between the starts of sound and video is within one frame of AAC at 44.1 kHz
_START_DIFFERENCE_S_MIN: Final = 0.025
# before this time, gaps are ignored: encoder priming that was not skipped has odd times
_PRIMING_S: Final = 0.1
_GAP_S_MIN: Final = 0.060  # shorter gaps are not silences, but inaccurate times of recorders


def video_start_s(container: Any) -> float | None:
    """Return when the video of an open file starts; None if it has no video.

    The result is in seconds on the clock of the video's frames.
    """
    try:
        stream = video_stream_of(container)
    except (NoVideoFound, UnsupportedVideoCodec):
        return None
    return float((stream.start_time or 0) * stream.time_base)
