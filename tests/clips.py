"""Small clips for tests: hand-held frames, and functions that encode, merge and decode clips."""

import io
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import skimage.data
from av.subtitles.subtitle import SubtitleSet
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]

_X26X = {"crf": "18", "preset": "ultrafast"}
_VPX = {"crf": "18", "deadline": "realtime", "cpu-used": "8"}
_FAST_OPTIONS = {
    "libx264": _X26X,
    "libx265": {**_X26X, "x265-params": "log-level=none:pools=none"},
    "libvpx": _VPX,
    "libvpx-vp9": _VPX,
    "libsvtav1": {"crf": "25", "preset": "12"},
}

_MILLISECOND = Fraction(1, 1000)
# The header that FFmpeg's subtitle encoders require
_SUBTITLE_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: D,Arial,16

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def hand_held_frames(
    name: str = "astronaut",
    *,
    size: tuple[int, int] = (320, 240),
    seconds: float = 4.0,
    fps: int = 12,
) -> list[Rgb]:
    """Return RGB frames like those of a hand-held camera that films a photograph.

    A small inverted square crosses the frames, and each frame has some noise.
    """
    photo = np.asarray(getattr(skimage.data, name)())
    rng = np.random.default_rng(5)
    frames = []
    for number in range(round(seconds * fps)):
        t = number / fps
        zoom = 1.25 * size[0] / photo.shape[1] * (1.0 + 0.05 * np.sin(1.3 * t))
        middle = np.array([0.5 + 0.06 * np.sin(0.9 * t), 0.5 + 0.05 * np.cos(1.7 * t + 0.5)])
        shift = np.array(size) / 2 - zoom * middle * photo.shape[1::-1]
        transform = np.array([[zoom, 0.0, shift[0]], [0.0, zoom, shift[1]]])
        frame = cv2.warpAffine(
            photo, transform, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT
        )
        x = int(size[0] * (0.1 + 0.2 * t) % (size[0] - 30))
        frame[40:60, x : x + 20] = 255 - frame[40:60, x : x + 20]
        noisy = frame + rng.normal(0.0, 1.0, frame.shape[:2])[:, :, None]
        frames.append(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
    return frames


def encode_clip(
    frames: Iterable[NDArray[Any]],
    *,
    fps: int = 12,
    codec: str = "libx264",
    container: str = "mp4",
    times: Sequence[float] | None = None,
    **options: str,
) -> bytes:
    """Encode RGB frames as a clip; ``times`` are the frames' times in seconds, if they vary."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=fps)
        stream.options = {**_FAST_OPTIONS.get(codec, {}), **options}
        stream.bit_rate = 2_000_000 if codec == "mpeg4" else 0
        stream.pix_fmt = "yuv420p"
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, pixels in enumerate(frames):
            if number == 0:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(times[number] * 1000), Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return file.getvalue()


def sound_only_clip(*, container: str = "mp4") -> bytes:
    """Return a file with a sound track of about one second (a tone) and no video."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream("aac", rate=48_000, layout="mono")
        tone = np.sin(np.arange(48_000) * 0.05).astype(np.float32)[None]
        for start in range(0, 48_000 - 1023, 1024):
            part = np.ascontiguousarray(tone[:, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            frame.rate, frame.pts = 48_000, start
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return file.getvalue()


def merge_streams(clip: bytes, *others: bytes, container: str = "mp4") -> bytes:
    """Return one file with the streams of all these files, without encoding them again."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out, ExitStack() as stack:
        inputs = [stack.enter_context(av.open(io.BytesIO(one), "r")) for one in (clip, *others)]
        for old, streams in [(old, _add_streams_like(old, out)) for old in inputs]:
            _copy_packets(old, streams, out)
    return file.getvalue()


def _add_streams_like(old: Any, out: Any) -> dict[int, Any]:
    return {one.index: out.add_stream_from_template(one) for one in old.streams}


def _copy_packets(old: Any, streams: dict[int, Any], out: Any) -> None:
    for packet in old.demux():
        if packet.dts is not None:
            packet.stream = streams[packet.stream_index]
            out.mux(packet)


def add_subtitles(data: bytes, *, container: str = "mp4", codec: str = "mov_text") -> bytes:
    """Return a file with the streams of ``data`` and a subtitle track."""
    file = io.BytesIO()
    with av.open(io.BytesIO(data), "r") as old, av.open(file, "w", format=container) as out:
        streams = _add_streams_like(old, out)
        text: Any = out.add_stream(codec)
        text.codec_context.subtitle_header = _SUBTITLE_HEADER
        text.codec_context.time_base = text.time_base = _MILLISECOND
        _copy_packets(old, streams, out)
        line = text.codec_context.encode_subtitle(
            SubtitleSet.create(b"0,0,D,,0,0,0,,hello", 0, 900)
        )
        line.stream, line.pts, line.dts, line.duration, line.time_base = (
            text,
            0,
            0,
            900,
            _MILLISECOND,
        )
        out.mux(line)
    return file.getvalue()


def decode_frames(data: bytes) -> list[Rgb]:
    """Return all RGB frames, decoded in this process: only for files that a test created."""
    with av.open(io.BytesIO(data), "r") as clip:
        return [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
