"""Read a clip frame by frame: upright, 8-bit 4:2:0, without metadata."""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Interpolation
from numpy.typing import NDArray

from entrenous.base.audio_video import (
    Clip,
    ClipFormat,
    ClipTooLong,
    ColourSpace,
    DamagedClip,
    Frame,
    FramePrediction,
    FrameSelection,
    FramesTooLarge,
    NoVideoFound,
    UnsupportedVideoCodec,
)
from entrenous.base.errors import EntrenousError
from entrenous.base.limits import CLIP_FRAME_PIXELS_MAX, CLIP_LENGTH_S_MAX
from entrenous.media.completeness import clip_container_of

VIDEO_CODECS: Final = frozenset(
    ("h264", "hevc", "vp8", "vp9", "libdav1d", "av1", "mpeg4", "h263", "mjpeg", "prores", "theora")
)
# In these codecs every frame is shown, and is an I, P or B frame. Other codecs have hidden frames,
# or no B frames.
_CODECS_WITH_KNOWN_FRAME_TYPES: Final = frozenset(("h264", "hevc", "mpeg4", "h263"))
_PREDICTION_BY_PICTURE_TYPE: Final = {
    PictureType.I: FramePrediction.WHOLE,
    PictureType.P: FramePrediction.FORWARD,
    PictureType.B: FramePrediction.BOTH_WAYS,
}
_DEFAULT_FRAME_RATE: Final = Fraction(30)  # frames per second, assumed if a file states no rate
_FRAME_RATE_RANGE: Final = (Fraction(1, 10), Fraction(1000))
_ALL_FRAMES: Final = FrameSelection()
_DECODER_OPTIONS: Final = {"err_detect": "careful"}


@contextmanager
def read_clip(untrusted_data: bytes, selection: FrameSelection = _ALL_FRAMES) -> Iterator[Clip]:
    """Open a clip; its frames are decoded while the caller iterates.

    Raises:
        NoVideoFound: the file has no video.
        UnsupportedVideoCodec: the file has video, but not in a supported codec, or without frames.
        IncompleteClip: the file ends too early.
        FramesTooLarge, ClipTooLong: a frame has more than ``CLIP_FRAME_PIXELS_MAX`` pixels, or the
            clip is longer than ``CLIP_LENGTH_S_MAX``.
        DamagedClip: the data is damaged. This and ClipTooLong may be raised during iteration.
    """
    kind = clip_container_of(untrusted_data)
    try:
        container = av.open(io.BytesIO(untrusted_data), format=kind, metadata_errors="ignore")
    except Exception as error:
        raise DamagedClip from error
    with container:
        stream = video_stream_of(container)
        shown = _clip_format(container, stream, selection)
        yield Clip(shown, _frames(container, stream, shown, selection))


def video_stream_of(container: Any) -> Any:
    """Return the first video stream in a supported codec, ignoring cover images.

    Raises:
        NoVideoFound, UnsupportedVideoCodec.
    """
    unknown = False
    for stream in container.streams.video:
        context = stream.codec_context
        is_cover = bool(int(stream.disposition) & int(type(stream.disposition).attached_pic))
        if context is None or is_cover or context.name not in VIDEO_CODECS:
            unknown |= not is_cover
            continue
        context.thread_count = 1  # the sandbox forbids threads
        context.options = dict(_DECODER_OPTIONS)
        return stream
    raise UnsupportedVideoCodec if unknown else NoVideoFound


def _clip_format(container: Any, stream: Any, selection: FrameSelection) -> ClipFormat:
    """Return the properties of the video.

    This decodes the first frame, because only frames state the rotation.
    """
    context = stream.codec_context
    _check_size(context.width, context.height)
    first = next(_decode_frames(container, stream), None)
    if first is None:
        raise UnsupportedVideoCodec
    _check_size(first.width, first.height)
    container.seek(stream.start_time or 0, stream=stream)
    width, height = _reduced_size(first.width, first.height, selection.side_px)
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if _quarter_turns(first) % 2:
        width, height, aspect = height, width, 1 / aspect
    colours = ColourSpace(
        _colour_code_or_unknown(first.colorspace),
        _colour_code_or_unknown(first.color_primaries),
        _colour_code_or_unknown(first.color_trc),
    )
    return ClipFormat(
        width, height, _frame_rate(stream), _announced_length(container, stream), colours, aspect
    )


def _frames(
    container: Any, stream: Any, clip_format: ClipFormat, selection: FrameSelection
) -> Iterator[Frame]:
    base = stream.time_base
    kinds = (
        _PREDICTION_BY_PICTURE_TYPE
        if stream.codec_context.name in _CODECS_WITH_KNOWN_FRAME_TYPES
        else {}
    )
    start = (stream.start_time or 0) * base
    if selection.start_s > 0.0:
        container.seek(
            int((start + Fraction(selection.start_s)) / base), stream=stream, backward=True
        )
    pace, before = selection.sampler_for_length(clip_format.length_s), -math.inf
    for number, raw in enumerate(_decode_frames(container, stream)):
        at = float(number / clip_format.rate if raw.pts is None else raw.pts * base - start)
        if at > CLIP_LENGTH_S_MAX:
            raise ClipTooLong(limit_minutes=round(CLIP_LENGTH_S_MAX / 60))
        if selection.apart_s > 0.0:
            before = _require_increasing_time(max(at, 0.0), before)
        if at >= selection.stop_s:
            return
        if at < selection.start_s - 1e-6 or round(at * float(clip_format.rate)) % selection.each:
            continue
        if not pace.select_if_due(max(at, 0.0)):
            continue
        coded = kinds.get(raw.pict_type, FramePrediction.UNKNOWN)
        yield Frame(
            max(at, 0.0),
            clip_format.width_px,
            clip_format.height_px,
            _upright_planes(raw, clip_format),
            coded,
        )


def _decode_frames(container: Any, stream: Any) -> Iterator[Any]:
    try:
        yield from container.decode(stream)
    except EntrenousError:
        raise
    # libraries raise many types of errors, but the person needs one message
    except Exception as error:
        raise DamagedClip from error


def _require_increasing_time(at_s: float, before_s: float) -> float:
    """Check that the times of frames increase, even those of skipped frames.

    Raises:
        DamagedClip: the times do not increase.
    """
    if at_s > before_s or at_s == before_s == 0.0:
        return at_s
    raise DamagedClip


def _upright_planes(raw: Any, clip_format: ClipFormat) -> bytes:
    turns = _quarter_turns(raw)
    width, height = clip_format.width_px, clip_format.height_px
    if turns % 2:
        width, height = height, width
    full_range = raw.color_range == ColorRange.JPEG or str(raw.format.name).startswith("yuvj")
    plain = raw.reformat(
        width=width,
        height=height,
        format="yuv420p",
        interpolation=Interpolation.AREA,
        src_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
        dst_color_range=ColorRange.MPEG,
        threads=1,
    )
    planes = plain.to_ndarray().reshape(-1)
    return _rotate_planes(planes, width, height, turns) if turns else planes.tobytes()


def _rotate_planes(planes: NDArray[np.uint8], width: int, height: int, turns: int) -> bytes:
    luma = planes[: width * height].reshape(height, width)
    chroma = planes[width * height :].reshape(2, height // 2, width // 2)
    parts = (luma, chroma[0], chroma[1])
    return b"".join(np.ascontiguousarray(np.rot90(part, turns)).tobytes() for part in parts)


def _quarter_turns(raw: Any) -> int:
    """Return how many counter-clockwise quarter turns make the frame upright."""
    return int(round(raw.rotation / 90) % 4)


def _reduced_size(width: int, height: int, side_px: int) -> tuple[int, int]:
    factor = min(1.0, side_px / max(width, height)) if side_px else 1.0
    return max(2, round(width * factor) & ~1), max(2, round(height * factor) & ~1)


def _check_size(width: int, height: int) -> None:
    if width * height > CLIP_FRAME_PIXELS_MAX:
        limit_mp = round(CLIP_FRAME_PIXELS_MAX / 1e6)
        raise FramesTooLarge(width_px=width, height_px=height, limit_mp=limit_mp)


def _frame_rate(stream: Any) -> Fraction:
    rate = Fraction(stream.average_rate or stream.guessed_rate or _DEFAULT_FRAME_RATE)
    return min(max(rate, _FRAME_RATE_RANGE[0]), _FRAME_RATE_RANGE[1]).limit_denominator(100_000)


def _announced_length(container: Any, stream: Any) -> float:
    if stream.duration is not None:
        length = float(stream.duration * stream.time_base)
    else:
        length = (container.duration or 0) / 1e6
    if length > CLIP_LENGTH_S_MAX:
        raise ClipTooLong(limit_minutes=round(CLIP_LENGTH_S_MAX / 60))
    return length if math.isfinite(length) and length > 0.0 else 0.0


def _colour_code_or_unknown(value: Any) -> int:
    return int(value) if 0 <= int(value) <= 22 else 2
