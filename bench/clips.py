# ruff: noqa: T201 - this program prints its results
"""Measure how well marks in clips survive attacks.

    python -m bench.clips [--quick] [--out DIR] [FILE ...]

Clips are made from photographs (a hand-held camera, a moving object, sensor noise), or given as
files. Each is marked for two people. Five seconds of the first copy are attacked by the ``ffmpeg``
program and traced, then single frames are traced. ``z`` is the right copy's score in standard
deviations of an innocent copy's score. Times are processor seconds of this process. The last line
is JSON; the exit status is 1 if an innocent person was named.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import av
import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from bench.clip_quality import compare_copy, unmarked
from bench.report.media import clip_page, write_document
from bench.tracing.memory_sender import sender
from entrenous.base.identifiers import RecipientId
from entrenous.device.device import Device
from entrenous.media.clip_reader import read_clip
from entrenous.media.picture_reader import read_picture
from entrenous.media.sound_reader import read_sound
from entrenous.send.copies.clip_copies import prepare_clip, read_clip_format
from entrenous.send.copies.mark_clip import mark_clip_copies
from entrenous.trace.clip import trace_clip
from entrenous.trace.clip_frame import trace_frame
from entrenous.watermark.verdict import Trace

_PEOPLE: Final = (RecipientId("ben"), RecipientId("caro"))
_PHOTOS: Final = Path("/usr/share/backgrounds/budgie")
_NAMES: Final = ("oakland-zoo-otters", "casa-mila", "tea-gardens")
_SIZE: Final = (1280, 720)
_ATTACKS: Final = MappingProxyType(
    {
        "crf 28": "-c:v libx264 -crf 28",
        "480 lines crf 30": "-vf scale=-2:480 -c:v libx264 -crf 30",
        "480 crf 30, crop 10 %, 25 fps": "-vf crop=iw*0.95:ih*0.95:iw*0.02:ih*0.04,"
        "scale=-2:480,fps=25 -c:v libx264 -crf 30",
        "360 lines crf 32": "-vf scale=-2:360 -c:v libx264 -crf 32",
        "15 fps crf 28": "-vf fps=15 -c:v libx264 -crf 28",
        "speed 1.1": "-vf setpts=PTS/1.1,scale=-2:480 -c:v libx264 -crf 28",
        "speed 0.9": "-vf setpts=PTS/0.9,scale=-2:480 -c:v libx264 -crf 28",
        "screen recording": "-vf scale=1000:-2,pad=1280:800:140:90:color=0x303030,fps=24"
        " -c:v libx264 -crf 26",
        "mirrored": "-vf hflip,scale=-2:480 -c:v libx264 -crf 26",
        "vp9 400k": "-vf scale=-2:480 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 400k",
    }
)
_QUICK: Final = ("480 crf 30, crop 10 %, 25 fps", "screen recording")


@dataclass(frozen=True, slots=True)
class Result:
    """The trace of one leak.

    ``z`` is the score of the right copy, ``innocent`` that of the other one.
    """

    clip: str
    attack: str
    z: float
    innocent: float
    named: tuple[str, ...]
    seconds: float


def main() -> int:
    """Measure, print a table and a line of JSON, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, help="folder to keep clips.json and clips.md in")
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    clips = {path.name: path.read_bytes() for path in options.files} or dict(
        make_clips(seconds=8.0 if options.quick else 30.0, few=options.quick)
    )
    marked: dict[str, dict[str, float]] = {}
    results: list[Result] = []
    for name, data in clips.items():
        device = replace(sender("clips"), read_clip=read_clip, read_sound=read_sound)
        copy, marked[name] = _marked(data, device)
        print(name, *(f"{key} {value:.3f}" for key, value in marked[name].items()), flush=True)
        for result in trace_attacks(name, copy, device, quick=options.quick):
            results.append(result)
            print(
                f"{name:22} {result.attack:32} z {result.z:6.1f}  {result.seconds:5.1f} s",
                flush=True,
            )
    document = _document(marked, results)
    if options.out is not None:
        write_document(options.out, "clips", document, clip_page(document))
    parts = ("clips", "leaks")
    print(json.dumps({name: value for name, value in document.items() if name not in parts}))
    return int(document["named_wrong"] > 0)


def _document(marked: dict[str, dict[str, float]], results: list[Result]) -> dict[str, Any]:
    right = sum(result.named == (_PEOPLE[0],) for result in results)
    wrong = sum(_PEOPLE[1] in result.named for result in results)
    return {
        "schema": "entrenous/bench-clips/1",
        "named_right": right,
        "named_wrong": wrong,
        "nobody": len(results) - right - wrong,
        "z_min": round(min(result.z for result in results), 1),
        "psnr_yuv_db_min": round(min(one["psnr_yuv_db"] for one in marked.values()), 2),
        "psnr_rgb_db_min": round(min(one["psnr_rgb_db"] for one in marked.values()), 2),
        "clips": marked,
        "leaks": [asdict(result) for result in results],
    }


def _marked(data: bytes, device: Device) -> tuple[bytes, dict[str, float]]:
    """Return the first copy, with its bit rate, its errors, and the processor time it took."""
    start = time.process_time()
    original = prepare_clip(data, read_clip_format(data, device), device)
    shared_s = time.process_time() - start
    start = time.process_time()
    copies = [copy.data for _, copy in mark_clip_copies(data, _PEOPLE, device)]
    cost_s = (time.process_time() - start - shared_s) / len(copies)
    errors = compare_copy(copies[0], data)
    mbit = 8e-6 / original.camera.length_s
    return copies[0], {
        "source_mbit": len(data) * mbit,
        "copy_mbit": len(copies[0]) * mbit,
        "crf": original.crf,
        **asdict(errors),
        "slow_codec": compare_copy(unmarked(data, original.crf), data).slow,
        "shared_cpu_s": shared_s,
        "cpu_s": cost_s,
    }


def trace_attacks(name: str, copy: bytes, device: Device, *, quick: bool) -> Iterator[Result]:
    """Yield the trace of each attack on a copy, then of single frames as screenshots."""
    for attack, options in _ATTACKS.items():
        if not quick or attack in _QUICK:
            yield _traced(name, attack, convert_with_ffmpeg(copy, options), device)
    for at_s in (0.5, 2.5) if quick else (0.5, 2.5, 4.7, 7.2):
        yield _traced_shot(name, copy, at_s, device)


def convert_with_ffmpeg(copy: bytes, options: str) -> bytes:
    """Return five seconds of a copy, from 1.3 s on, converted by ``ffmpeg`` with these options."""
    with tempfile.TemporaryDirectory() as folder:
        source, leak = Path(folder) / "copy.mp4", Path(folder) / "leak.mkv"
        source.write_bytes(copy)
        command = ["ffmpeg", "-v", "error", "-ss", "1.3", "-t", "5", "-i", str(source)]
        subprocess.run([*command, *options.split(), "-an", str(leak)], check=True)  # noqa: S603
        return leak.read_bytes()


def make_clips(*, seconds: float, few: bool) -> Iterator[tuple[str, bytes]]:
    """Yield names and clips; without the wallpapers, a photograph of scikit-image is used."""
    for name in _NAMES[: 1 if few else None]:
        path = _PHOTOS / f"{name}.jpg"
        photo = np.asarray(Image.open(path) if path.exists() else skimage.data.astronaut())
        yield name, _encoded(_handheld_frames(photo, seconds))


def _handheld_frames(photo: NDArray[np.uint8], seconds: float) -> Iterator[NDArray[np.uint8]]:
    rng = np.random.default_rng(4)
    rows, columns = photo.shape[:2]
    sprite = cv2.resize(photo[: rows // 3, : rows // 3], (160, 160), interpolation=cv2.INTER_AREA)
    for t in np.arange(0.0, seconds, 1 / 30):
        zoom = _SIZE[0] / columns * (1.7 + 0.3 * np.sin(0.7 * t) + 0.04 * np.sin(4.1 * t))
        x = columns * (0.5 + 0.12 * np.sin(0.5 * t) + 0.01 * np.sin(3.3 * t + 1))
        y = rows * (0.5 + 0.1 * np.cos(0.37 * t) + 0.01 * np.sin(5.2 * t))
        way = np.array([[zoom, 0, _SIZE[0] / 2 - zoom * x], [0, zoom, _SIZE[1] / 2 - zoom * y]])
        frame = cv2.warpAffine(photo, way, _SIZE, borderMode=cv2.BORDER_REFLECT)
        left, top = int(560 + 500 * np.sin(1.4 * t)), int(280 + 240 * np.cos(1.9 * t))
        frame[top : top + 160, left : left + 160] = sprite
        noisy = frame + rng.normal(0.0, 1.0, (_SIZE[1], _SIZE[0], 1)).astype(np.float32)
        yield np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def _encoded(frames: Iterator[NDArray[np.uint8]]) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = *_SIZE, "yuv420p"
        stream.options = {"crf": "20", "preset": "veryfast"}
        for pixels in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        out.mux(stream.encode())
    return file.getvalue()


def _traced(name: str, attack: str, leak: bytes, device: Device) -> Result:
    start = time.process_time()
    return _result(name, attack, trace_clip(leak, device), time.process_time() - start)


def _traced_shot(name: str, copy: bytes, at_s: float, device: Device) -> Result:
    with av.open(io.BytesIO(copy)) as clip:
        shots = (frame for frame in clip.decode(video=0) if frame.time >= at_s)
        pixels = next(shots).to_ndarray(format="rgb24")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=80)
    start = time.process_time()
    trace = trace_frame(read_picture(file.getvalue()), file.getvalue(), device)
    return _result(name, f"screenshot at {at_s} s", trace, time.process_time() - start)


def _result(name: str, attack: str, trace: Trace | None, seconds: float) -> Result:
    if trace is None or not trace.verdict.score:
        return Result(name, attack, 0.0, 0.0, (), seconds)
    score = trace.verdict.score
    named = tuple(trace.verdict.named)
    return Result(name, attack, score[_PEOPLE[0]], score[_PEOPLE[1]], named, seconds)


if __name__ == "__main__":
    sys.exit(main())
