"""Write a marked clip: H.264 and AAC in MP4, with nothing but frames and sound.

This module also finds x264's rate factor at which copies look like their original.
"""

import io
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, Final, NamedTuple

import av
import cv2
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.codec.context import Flags
from av.video.frame import PictureType
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from entrenous.base.audio_video import ClipFormat, Frame, FramePrediction, SoundTiming
from entrenous.media.clip_reader import read_clip
from entrenous.media.completeness import without_mp4_user_data

SUFFIX: Final = ".mp4"
MEDIA_TYPE: Final = "video/mp4"
_TICKS_PER_S: Final = 90_000  # ticks of the file's clock in a second
# this preset needs half the time of the next slower one, and a tenth more bytes
_X264_PRESET: Final = "veryfast"
# These settings optimise PSNR instead of perceived quality, because no error is visible at this
# quality anyway. With them, the same PSNR needs up to a third fewer bytes. Measured in R, G and B,
# an error in chroma counts as much as an error in luma, and takes fewer bytes to avoid.
_X264_PARAMS: Final = "aq-mode=0:chroma-qp-offset=-6"
_B_FRAMES_MAX: Final = 8  # consecutive B frames; phones and web encoders write no more
_PICTURE_TYPE_BY_PREDICTION: Final = {
    FramePrediction.WHOLE: PictureType.I,
    FramePrediction.FORWARD: PictureType.P,
    FramePrediction.BOTH_WAYS: PictureType.B,
}
_NO_METADATA_MUXER_OPTIONS: Final = {"fflags": "+bitexact", "empty_hdlr_name": "1"}
# removes x264's settings, which x264 writes into every file
_REMOVE_ENCODER_SETTINGS: Final = "filter_units=remove_types=6"
_SOUND_BPS_PER_CHANNEL: Final = 80_000
_SOUND_PART_SAMPLES: Final = 1024
Planes = NDArray[np.uint8]
Samples = NDArray[np.float32]


class ClipSoundTrack(NamedTuple):
    """A clip's sound, float32 (samples, channels), and how it aligns with the frames."""

    samples: Samples
    rate_hz: int
    timing: SoundTiming = SoundTiming()


class ClipWriter:
    """Writes one copy. Add frames in time order, then call :meth:`finish`.

    Args:
        shown: the properties that all frames share.
        crf: x264's constant rate factor; lower is finer.
        sound: the sound track; None for a silent clip.
        threads: the number of the encoder's threads. One is most efficient if several copies are
            written at once.
    """

    def __init__(
        self, shown: ClipFormat, crf: float, sound: ClipSoundTrack | None = None, threads: int = 1
    ) -> None:
        self._file = io.BytesIO()
        self._shown = shown
        self._container = av.open(
            self._file, "w", format="mp4", options=dict(_NO_METADATA_MUXER_OPTIONS)
        )
        self._stream = _open_video_stream(self._container, shown, crf, threads)
        self._filter = BitStreamFilterContext(_REMOVE_ENCODER_SETTINGS, self._stream)
        self._sound = None if sound is None else _SoundTrackEncoder(self._container, sound)
        self._picture_delay_s = 0.0 if sound is None else sound.timing.ahead / sound.rate_hz

    def add(
        self,
        luma: Planes,
        chroma: Planes,
        at_s: float,
        coded: FramePrediction = FramePrediction.UNKNOWN,
    ) -> None:
        """Add one frame: luma (H, W), and both chroma planes in one array.

        ``at_s`` is counted from the first frame, which may be later than the start of the sound.
        The frame is coded with the frame type of its source if that is known (docs/spec/clip.md,
        section 5).
        """
        planes = np.concatenate([luma.reshape(-1), chroma.reshape(-1)])
        frame = av.VideoFrame.from_ndarray(planes.reshape(-1, self._shown.width_px), "yuv420p")
        shown_s = self._picture_delay_s + at_s
        frame.pts, frame.time_base = round(shown_s * _TICKS_PER_S), Fraction(1, _TICKS_PER_S)
        if coded in _PICTURE_TYPE_BY_PREDICTION:
            frame.pict_type = _PICTURE_TYPE_BY_PREDICTION[coded]
        self._mux_sound(shown_s)
        self._mux(self._stream.encode(frame))

    def finish(self) -> bytes:
        self._mux_sound(None)
        self._mux(self._stream.encode())
        for packet in self._filter.filter(None):
            self._container.mux(packet)
        self._container.close()
        return without_mp4_user_data(self._file.getvalue())

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            for clean in self._filter.filter(packet):
                self._container.mux(clean)

    def _mux_sound(self, until_s: float | None) -> None:
        if self._sound is not None:
            for packet in self._sound.packets(until_s):
                self._container.mux(packet)


def _open_video_stream(container: Any, clip_format: ClipFormat, crf: float, threads: int) -> Any:
    stream = container.add_stream("libx264", rate=clip_format.rate)
    stream.width, stream.height, stream.pix_fmt = (
        clip_format.width_px,
        clip_format.height_px,
        "yuv420p",
    )
    stream.options = {
        "crf": f"{crf:g}",
        "preset": _X264_PRESET,
        "bf": f"{_B_FRAMES_MAX}",
        "x264-params": _X264_PARAMS,
    }
    stream.time_base = Fraction(1, _TICKS_PER_S)
    context = stream.codec_context
    context.thread_count = threads
    context.time_base = Fraction(1, _TICKS_PER_S)
    context.framerate = clip_format.rate
    context.color_range = ColorRange.MPEG
    context.colorspace = clip_format.colours.matrix
    context.color_primaries = clip_format.colours.primaries
    context.color_trc = clip_format.colours.transfer
    context.sample_aspect_ratio = clip_format.pixel_aspect
    context.flags |= Flags.bitexact
    return stream


class _SoundTrackEncoder:
    """Encodes samples in parts, so that they can be interleaved with the frames."""

    def __init__(self, container: Any, track: ClipSoundTrack) -> None:
        channels = track.samples.shape[1]
        self._parts, self._rate_hz, self._at = _sound_parts(track), track.rate_hz, 0
        self._layout = "mono" if channels == 1 else "stereo"
        self._stream = container.add_stream("aac", rate=track.rate_hz, layout=self._layout)
        self._stream.bit_rate = _SOUND_BPS_PER_CHANNEL * channels
        self._stream.codec_context.flags |= Flags.bitexact

    def packets(self, until_s: float | None) -> Iterator[Any]:
        """Yield the sound's packets before ``until_s``, or all that remain if it is None."""
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


def _sound_parts(track: ClipSoundTrack) -> Iterator[Samples]:
    """Yield the samples and the silences between them, without holding long silences in memory."""
    zeros = np.zeros((_SOUND_PART_SAMPLES, track.samples.shape[1]), np.float32)
    at = 0
    for silence in track.timing.silences:
        yield from _cut_into_frames(track.samples[at : silence.before])
        at = silence.before
        for done in range(0, silence.length, _SOUND_PART_SAMPLES):
            yield zeros[: silence.length - done]
    yield from _cut_into_frames(track.samples[at:])


def _cut_into_frames(samples: Samples) -> Iterator[Samples]:
    for start in range(0, len(samples), _SOUND_PART_SAMPLES):
        yield samples[start : start + _SOUND_PART_SAMPLES]


TRIED_CRFS: Final = (19.0, 14.0)
# wanted PSNR of a copy relative to its original, over R, G and B, including the effect of the mark
_TARGET_PSNR_DB: Final = 42.3
_CRF_RANGE: Final = (10.0, 19.0)
# lowering x264's rate factor by 1 raises the PSNR by an amount in this range
_DB_PER_CRF_STEP_RANGE: Final = (0.3, 1.0)
# The mean squared error of R, G and B that an error of 1 in Y, Cb or Cr causes, and the error that
# two roundings to whole numbers cause. These are for ITU-R BT.709, limited range, which weights
# chroma slightly more than BT.601.
_RGB_ERROR_PER_Y: Final = 1.164**2
_RGB_ERROR_PER_CB: Final = (0.213**2 + 2.112**2) / 3.0
_RGB_ERROR_PER_CR: Final = (1.793**2 + 0.533**2) / 3.0
_ROUNDING_SQUARED_ERROR: Final = 2.0 / 12.0


def mean_squared_copy_error(copy: bytes, frames: Iterable[Frame]) -> float:
    """Return the mean squared error of R, G and B between our own copy and its original's frames.

    This is an estimate, which was within 0.15 dB of the true value on three clips. It assumes that
    the errors of Y, Cb and Cr are independent, and that chroma is not smoothed when it is enlarged.
    """
    with read_clip(copy) as clip:
        pairs = zip(clip.frames, frames, strict=True)
        luma, blue, red = np.mean(
            [_mean_squared_plane_errors(one, other) for one, other in pairs], axis=0
        )
    return float(
        _RGB_ERROR_PER_Y * luma
        + _RGB_ERROR_PER_CB * blue
        + _RGB_ERROR_PER_CR * red
        + _ROUNDING_SQUARED_ERROR
    )


def choose_rate_factor(errors: tuple[float, float]) -> float:
    """Return the constant rate factor for copies with a PSNR of 42.3 dB, including the mark.

    The factor is at least 10, since finer coding gains too little, and at most 19, since coarser
    coding could be visible.

    Args:
        errors: for each of ``TRIED_CRFS``, the :func:`mean_squared_copy_error` of a copy that was
            written with it.
    """
    coarse, fine = (10.0 * math.log10(255.0**2 / max(error, 1e-3)) for error in errors)
    step = (fine - coarse) / (TRIED_CRFS[0] - TRIED_CRFS[1])
    step = min(max(step, _DB_PER_CRF_STEP_RANGE[0]), _DB_PER_CRF_STEP_RANGE[1])
    crf = TRIED_CRFS[1] + (fine - _TARGET_PSNR_DB) / step
    return round(min(max(crf, _CRF_RANGE[0]), _CRF_RANGE[1]), 1)


def _mean_squared_plane_errors(one: Frame, other: Frame) -> tuple[float, float, float]:
    luma = one.width_px * one.height_px
    planes, others = (np.frombuffer(frame.planes, np.uint8) for frame in (one, other))
    parts = (slice(luma), slice(luma, luma + luma // 4), slice(luma + luma // 4, None))
    y, cb, cr = (
        cv2.norm(planes[part], others[part], cv2.NORM_L2SQR) / planes[part].size for part in parts
    )
    return y, cb, cr
