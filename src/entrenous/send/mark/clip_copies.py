"""Marked copies of a clip: decoded once per batch, marked frame by frame, encoded one by one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.timeline import Camera
from entrenous.craft.crypto.derive import stream
from entrenous.craft.mark.luma import Plane
from entrenous.craft.mark.reel.motion import (
    Stage,
    amplitude,
    laid_on,
    marked,
    nodes_at,
    stage,
    stream_bytes,
    working_luma,
)
from entrenous.craft.media.clip.quality import Sample, rate_factor
from entrenous.craft.media.clip.write import ClipWriter
from entrenous.model.clip import ClipTooSmallToMark, Cut, Frame, Shown, Survey
from entrenous.model.picture import TooSmallToMark
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.mark.clip_survey import survey
from entrenous.spec import CLIP_CONTEXT, DITHER_CONTEXT, PILOT_CONTEXT, SEED_BYTES

_TRIAL: Final = Secret(bytes(SEED_BYTES))  # of the copy that nobody gets
_SAMPLES_AT: Final = (0.1, 0.5, 0.9)  # of a clip's length
_SAMPLES_EACH: Final = 12


@dataclass(frozen=True, slots=True, eq=False)
class ClipOriginal:
    """A clip about to be sent, and what all of its copies share."""

    source: bytes
    shown: Shown
    survey: Survey
    dither: Secret
    stage: Stage
    camera: Camera
    noise: NDArray[np.int16]
    crf: float = 18.0


@dataclass(slots=True, eq=False)
class _Copy:
    """One recipient's copy in the making; ``patterns`` are those of the nodes in sight."""

    seed: Secret
    writer: ClipWriter
    patterns: dict[int, Plane]


def prepare_clip(untrusted_data: bytes, device: Device) -> ClipOriginal:
    """Look through a clip, lay out its marks, and measure how finely its copies must be written.

    Raises:
        NoFrames, ClipCutShort, FramesTooLarge, ClipTooLong, ClipBroken, ClipTooSmallToMark.
    """
    shown, surveyed = survey(untrusted_data, device)
    dither = Secret(device.dice.token(SEED_BYTES))
    sides = (shown.height_px, shown.width_px)
    noise = np.frombuffer(stream(dither, DITHER_CONTEXT, sides[0] * sides[1]), np.uint8)
    original = ClipOriginal(
        untrusted_data,
        shown,
        surveyed,
        dither,
        _stage(shown),
        Camera.of(surveyed),
        noise.reshape(sides).astype(np.int16),
    )
    return _with_quality(original, device)


def write_clips(
    original: ClipOriginal,
    seeds: Sequence[Secret],
    sound: Sequence[tuple[NDArray[np.float32], int] | None],
    device: Device,
) -> list[bytes]:
    """One file per seed, all made in one walk through the original."""
    copies = [
        _Copy(seed, ClipWriter(original.shown, original.crf, track), {})
        for seed, track in zip(seeds, sound, strict=True)
    ]
    with device.read_clip(original.source, Cut()) as clip:
        for frame in clip.frames:
            strength = amplitude(working_luma(np.asarray(frame), original.stage), original.stage)
            for copy in copies:
                luma = _marked(original, copy.seed, copy.patterns, frame, strength)
                copy.writer.add(luma, _chroma(frame), frame.at_s)
    return [copy.writer.finish() for copy in copies]


def _stage(shown: Shown) -> Stage:
    try:
        return stage(shown.width_px, shown.height_px)
    except TooSmallToMark as error:
        raise ClipTooSmallToMark(**error.facts) from None


def _marked(
    original: ClipOriginal,
    seed: Secret,
    patterns: dict[int, Plane],
    frame: Frame,
    strength: Plane,
) -> NDArray[np.uint8]:
    nodes = nodes_at(frame.at_s)
    _turn_over(original, seed, patterns, [node for node, _ in nodes])
    size = original.stage.size
    shown = [
        (laid_on(patterns[node], original.camera.way(node, frame.at_s, size)), share)
        for node, share in nodes
    ]
    return marked(np.asarray(frame), strength, shown, original.noise)


def _turn_over(
    original: ClipOriginal, seed: Secret, patterns: dict[int, Plane], nodes: Sequence[int]
) -> None:
    """Make the patterns of these nodes, forget all others."""
    size = stream_bytes(original.stage)
    for node in nodes:
        if node not in patterns:
            number = node.to_bytes(4, "big")
            own = stream(seed, CLIP_CONTEXT + number, size)
            pilot = stream(original.dither, PILOT_CONTEXT + number, size)
            patterns[node] = original.stage.pattern(own, pilot)
    for node in set(patterns).difference(nodes):
        del patterns[node]


def _chroma(frame: Frame) -> NDArray[np.uint8]:
    return np.frombuffer(frame.planes, np.uint8)[frame.width_px * frame.height_px :]


def _with_quality(original: ClipOriginal, device: Device) -> ClipOriginal:
    patterns: dict[int, Plane] = {}
    samples = []
    for frame in _spread(original, device):
        strength = amplitude(working_luma(np.asarray(frame), original.stage), original.stage)
        luma = _marked(original, _TRIAL, patterns, frame, strength)
        samples.append(Sample(np.asarray(frame), luma, _chroma(frame)))
    return replace(original, crf=rate_factor(original.shown, samples))


def _spread(original: ClipOriginal, device: Device) -> Iterator[Frame]:
    """A few frames in a row from the start, the middle and the end."""
    times = original.camera.times
    for share in _SAMPLES_AT:
        first = int(share * max(0, len(times) - _SAMPLES_EACH))
        last = min(first + _SAMPLES_EACH, len(times)) - 1
        cut = Cut(float(times[first]), float(times[last]) + 1e-3)
        with device.read_clip(original.source, cut) as clip:
            yield from clip.frames
