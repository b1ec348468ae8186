"""Marked copies of a clip: decoded once per batch, marked frame by frame, encoded one by one."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.timeline import Camera, Motion
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
from entrenous.craft.media.clip.quality import TRIED_CRFS, copy_error, rate_factor
from entrenous.craft.media.clip.write import ClipWriter, Track
from entrenous.model.clip import ClipTooSmallToMark, Cut, Frame, Shown, Survey
from entrenous.model.picture import TooSmallToMark
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.mark.clip_survey import survey
from entrenous.send.mark.crew import crew_size
from entrenous.send.mark.walk import seen, walked
from entrenous.send.message.watch import Reached, split, unseen, within
from entrenous.spec import CLIP_CONTEXT, DITHER_CONTEXT, PILOT_CONTEXT, SEED_BYTES

_EVERYTHING: Final = Cut()
_TRIAL: Final = Secret(bytes(SEED_BYTES))  # of the copies that nobody gets
_TRIED_FRAMES: Final = 360
_SHOTS: Final = 8  # frames that each copy is given at a time
_SURVEYED: Final = 0.2  # of what preparing a clip takes, measured on 3 s of 720p
_WRITTEN: Final = 0.8  # of what trying two qualities takes; the rest is to compare both
_SAME_S: Final = 0.05  # an amplitude serves so long: its minima bear what a camera does meanwhile


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
    crf: float = TRIED_CRFS[0]


@dataclass(frozen=True, slots=True, eq=False)
class _Shot:
    """A frame, and what all copies of it share: how strong the mark may be, and of both nodes in
    sight the share and the way from their grid to the frame's.
    """

    frame: Frame
    strength: Plane
    nodes: tuple[tuple[int, float, Motion], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """A copy to be written: whose seed marks it, what is heard in it, how finely."""

    seed: Secret
    sound: Track | None
    crf: float


@dataclass(slots=True, eq=False)
class _Copy:
    """One recipient's copy in the making; ``patterns`` are those of the nodes in sight."""

    seed: Secret
    writer: ClipWriter
    patterns: dict[int, Plane]


def prepare_clip(
    untrusted_data: bytes, shown: Shown, device: Device, reached: Reached = unseen
) -> ClipOriginal:
    """Look through a clip, lay out its marks, and measure how finely its copies must be written;
    ``shown`` is what :func:`.shown_in` says of it, ``reached`` is told how far that is.

    Raises:
        NoFrames, ClipCutShort, FramesTooLarge, ClipTooLong, ClipBroken, ClipTooSmallToMark.
    """
    surveyed = survey(untrusted_data, device, within(reached, 0.0, _SURVEYED))
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
    return _with_quality(original, device, within(reached, _SURVEYED, 1.0))


def write_clips(
    original: ClipOriginal,
    copies: Sequence[Wanted],
    device: Device,
    cut: Cut = _EVERYTHING,
    reached: Reached = unseen,
) -> list[bytes]:
    """One file for each, all made in one walk through the original; ``reached`` is told how far
    it is, in the thread that asked for them.
    """
    walk = walked(cut, original.camera, reached)
    workers = crew_size(original.shown.width_px * original.shown.height_px)
    threads = max(1, workers // len(copies))
    made = [
        _Copy(one.seed, ClipWriter(original.shown, one.crf, one.sound, threads), {})
        for one in copies
    ]
    with ThreadPoolExecutor(workers) as crew, device.read_clip(original.source, cut) as clip:
        shots = _shots(clip.frames, original)
        work: list[Future[None]] = []
        while few := tuple(islice(shots, _SHOTS)):
            _done(work)  # so that no more frames than these are waiting
            walk(few[0].frame.at_s)
            work = [crew.submit(_add, original, copy, few) for copy in made]
        _done(work)
        files = list(crew.map(lambda copy: copy.writer.finish(), made))
    reached(1.0)
    return files


def _add(original: ClipOriginal, copy: _Copy, shots: Sequence[_Shot]) -> None:
    for shot in shots:
        luma = _marked(original, copy.seed, copy.patterns, shot)
        frame = shot.frame
        copy.writer.add(luma, _chroma(frame), frame.at_s, frame.coded)


def _done(work: Iterable[Future[None]]) -> None:
    for each in work:
        each.result()


def _shots(frames: Iterable[Frame], original: ClipOriginal) -> Iterator[_Shot]:
    on, camera = original.stage, original.camera
    made: tuple[float, Plane] | None = None
    for frame in frames:
        if made is None or not 0.0 <= frame.at_s - made[0] < _SAME_S:
            made = frame.at_s, amplitude(working_luma(np.asarray(frame), on), on)
        nodes = tuple(
            (node, share, camera.way(node, frame.at_s, on.size))
            for node, share in nodes_at(frame.at_s)
        )
        yield _Shot(frame, made[1], nodes)


def _stage(shown: Shown) -> Stage:
    try:
        return stage(shown.width_px, shown.height_px)
    except TooSmallToMark as error:
        raise ClipTooSmallToMark(**error.facts) from None


def _marked(
    original: ClipOriginal,
    seed: Secret,
    patterns: dict[int, Plane],
    shot: _Shot,
) -> NDArray[np.uint8]:
    _turn_over(original, seed, patterns, [node for node, _, _ in shot.nodes])
    shown = [(laid_on(patterns[node], way), share) for node, share, way in shot.nodes]
    return marked(np.asarray(shot.frame), shot.strength, shown, original.noise)


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


def _with_quality(original: ClipOriginal, device: Device, reached: Reached) -> ClipOriginal:
    """As finely as two copies that nobody gets tell, one of them coarser than the other."""
    wanted = [Wanted(_TRIAL, None, crf) for crf in TRIED_CRFS]
    cuts = _tried(original.camera)
    errors = [
        _errors(original, wanted, cut, device, each)
        for cut, each in zip(cuts, split(reached, len(cuts)), strict=True)
    ]
    coarse, fine = np.mean(errors, axis=0)
    return replace(original, crf=rate_factor((float(coarse), float(fine))))


def _errors(
    original: ClipOriginal, wanted: Sequence[Wanted], cut: Cut, device: Device, reached: Reached
) -> list[float]:
    trials = write_clips(original, wanted, device, cut, within(reached, 0.0, _WRITTEN))
    errors = []
    for trial, each in zip(trials, split(within(reached, _WRITTEN, 1.0), len(trials)), strict=True):
        with device.read_clip(original.source, cut) as clip:
            frames = seen(clip.frames, walked(cut, original.camera, each))
            errors.append(copy_error(trial, frames))
    return errors


def _tried(camera: Camera) -> list[Cut]:
    """All of a short clip; of a longer one, a part from its start and one from its middle."""
    times = [float(at_s) for at_s in camera.times]
    if len(times) <= _TRIED_FRAMES:
        return [Cut()]
    half, middle = _TRIED_FRAMES // 2, len(times) // 2
    return [Cut(0.0, times[half]), Cut(times[middle], times[middle + half - 1])]
