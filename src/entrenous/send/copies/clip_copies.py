"""Make marked copies of a clip: the clip is decoded once per batch of copies, marked frame by
frame, and encoded for each copy.

A first pass measures the clip: frame times, camera motion, key frames. Each pass reports progress.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Generic, Self, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.base.audio_video import (
    ClipFormat,
    ClipMeasurements,
    ClipTooSmallToMark,
    Frame,
    FrameKeypoints,
    FrameSelection,
    NoVideoFound,
)
from entrenous.base.limits import (
    CLIP_MARK_KEY_CONTEXT,
    DITHER_KEY_CONTEXT,
    MARK_SEED_BYTES,
    PILOT_KEY_CONTEXT,
)
from entrenous.base.picture import TooSmallToMark
from entrenous.base.secret import Secret
from entrenous.crypto.key_derivation import derive_key_stream
from entrenous.device.device import Device
from entrenous.media.clip_writer import (
    TRIED_CRFS,
    ClipSoundTrack,
    ClipWriter,
    choose_rate_factor,
    mean_squared_copy_error,
)
from entrenous.send.copies.worker_pool import pool_size
from entrenous.send.message.transfer_progress import (
    ProgressCallback,
    fraction_done,
    ignore_progress,
    progress_range,
    split_progress,
)
from entrenous.watermark.alignment.clip_timing import (
    AffineMatrix,
    CameraMotion,
    CameraMotionRow,
    CameraTracker,
    shrink_for_timing,
)
from entrenous.watermark.alignment.features import extract_features
from entrenous.watermark.clip_mark import (
    WORKING_SIDE_PX_MAX,
    ClipLayout,
    lay_out_clip,
    mark_luma,
    node_key_stream_bytes,
    nodes_at,
    pattern_amplitude,
    warp_pattern,
    working_luma,
)
from entrenous.watermark.pyramid import Plane

_ALL_FRAMES: Final = FrameSelection()
_TRIAL_COPY_SEED: Final = Secret(
    bytes(MARK_SEED_BYTES)
)  # the seed of trial copies; nobody receives a trial copy
_TRIAL_FRAMES_MAX: Final = 360
_FRAMES_PER_STEP: Final = 8  # frames given to each copy's encoder at a time
# the survey's share of the time for preparing a clip, measured on 3 s of 720p
_SURVEY_SHARE_OF_PREPARING_TIME: Final = 0.2
# encoding's share of the time for trying two qualities; comparing the trial copies with the
# original takes the rest
_ENCODING_SHARE_OF_TRIAL_TIME: Final = 0.8
# seconds for which a mark's strength is reused; each pixel's strength is that of the smoothest
# place around it, so a little motion does no harm
_MARK_STRENGTH_REUSE_S: Final = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class ClipOriginal:
    """A clip to be sent, and the data that all of its copies share."""

    source: bytes
    shown: ClipFormat
    survey: ClipMeasurements
    dither: Secret
    layout: ClipLayout
    camera: CameraMotion
    noise: NDArray[np.int16]
    crf: float = TRIED_CRFS[0]


@dataclass(frozen=True, slots=True, eq=False)
class _FrameForAllCopies:
    """A frame, and the data that all copies of it share.

    A node is a point in time that has its own pattern of the mark. A frame blends the patterns of
    the two nodes around it. The shared data are the local strength of the mark and, for each of the
    two nodes, its number, its weight and the camera's motion from the node to the frame.
    """

    frame: Frame
    strength: Plane
    nodes: tuple[tuple[int, float, AffineMatrix], ...]


@dataclass(frozen=True, slots=True, eq=False)
class ClipCopySpec:
    """The data of one copy to be written: the seed of its mark, its sound track, and its rate
    factor.
    """

    seed: Secret
    sound: ClipSoundTrack | None
    crf: float


@dataclass(slots=True, eq=False)
class _CopyInProgress:
    """One recipient's copy while it is written; ``patterns`` are the mark's patterns at the two
    nodes around the present frame.
    """

    seed: Secret
    writer: ClipWriter
    patterns: dict[int, Plane]


def prepare_clip(
    untrusted_data: bytes,
    shown: ClipFormat,
    device: Device,
    reached: ProgressCallback = ignore_progress,
) -> ClipOriginal:
    """Survey a clip, lay out its marks, and measure the quality that its copies need.

    ``shown`` comes from :func:`read_clip_format`; ``reached`` is called with the progress, from 0
    to 1.

    Raises:
        NoVideoFound, IncompleteClip, FramesTooLarge, ClipTooLong, DamagedClip, ClipTooSmallToMark.
    """
    surveyed = survey_clip(
        untrusted_data, device, progress_range(reached, 0.0, _SURVEY_SHARE_OF_PREPARING_TIME)
    )
    dither = Secret(device.random_source.token(MARK_SEED_BYTES))
    sides = (shown.height_px, shown.width_px)
    noise = np.frombuffer(
        derive_key_stream(dither, DITHER_KEY_CONTEXT, sides[0] * sides[1]), np.uint8
    )
    original = ClipOriginal(
        untrusted_data,
        shown,
        surveyed,
        dither,
        _lay_out_marks(shown),
        CameraMotion.of(surveyed),
        noise.reshape(sides).astype(np.int16),
    )
    return _choose_rate_factor(
        original, device, progress_range(reached, _SURVEY_SHARE_OF_PREPARING_TIME, 1.0)
    )


def write_clip_copies(
    original: ClipOriginal,
    copies: Sequence[ClipCopySpec],
    device: Device,
    cut: FrameSelection = _ALL_FRAMES,
    reached: ProgressCallback = ignore_progress,
) -> list[bytes]:
    """Write one file per copy, all in one pass through the original.

    ``reached`` is called, in this thread, with the share of the work that is done.
    """
    report = frame_time_reporter(cut, original.camera, reached)
    workers = pool_size(original.shown.width_px * original.shown.height_px)
    threads = max(1, workers // len(copies))
    made = [
        _CopyInProgress(one.seed, ClipWriter(original.shown, one.crf, one.sound, threads), {})
        for one in copies
    ]
    with ThreadPoolExecutor(workers) as crew, device.read_clip(original.source, cut) as clip:
        shots = _frames_for_all_copies(clip.frames, original)
        work: list[Future[None]] = []
        while few := tuple(islice(shots, _FRAMES_PER_STEP)):
            _wait_for_all(work)  # limits the frames in memory
            report(few[0].frame.at_s)
            work = [crew.submit(_encode_frames_for_copy, original, copy, few) for copy in made]
        _wait_for_all(work)
        files = list(crew.map(lambda copy: copy.writer.finish(), made))
    reached(1.0)
    return files


def _encode_frames_for_copy(
    original: ClipOriginal, copy: _CopyInProgress, shots: Sequence[_FrameForAllCopies]
) -> None:
    for shot in shots:
        luma, frame = _mark_frame(original, copy.seed, copy.patterns, shot), shot.frame
        chroma = np.frombuffer(frame.planes, np.uint8)[frame.width_px * frame.height_px :]
        copy.writer.add(luma, chroma, frame.at_s, frame.coded)


def _wait_for_all(work: Iterable[Future[None]]) -> None:
    for each in work:
        each.result()


def _frames_for_all_copies(
    frames: Iterable[Frame], original: ClipOriginal
) -> Iterator[_FrameForAllCopies]:
    on, camera = original.layout, original.camera
    made: tuple[float, Plane] | None = None
    for frame in frames:
        if made is None or not 0.0 <= frame.at_s - made[0] < _MARK_STRENGTH_REUSE_S:
            made = frame.at_s, pattern_amplitude(working_luma(np.asarray(frame), on), on)
        nodes = tuple(
            (node, share, camera.motion_between(node, frame.at_s, on.working_size))
            for node, share in nodes_at(frame.at_s)
        )
        yield _FrameForAllCopies(frame, made[1], nodes)


def _lay_out_marks(shown: ClipFormat) -> ClipLayout:
    try:
        return lay_out_clip(shown.width_px, shown.height_px)
    except TooSmallToMark as error:
        raise ClipTooSmallToMark(**error.facts) from None


def _mark_frame(
    original: ClipOriginal,
    seed: Secret,
    patterns: dict[int, Plane],
    shot: _FrameForAllCopies,
) -> NDArray[np.uint8]:
    _update_patterns(original, seed, patterns, [node for node, _, _ in shot.nodes])
    shown = [(warp_pattern(patterns[node], way), share) for node, share, way in shot.nodes]
    return mark_luma(np.asarray(shot.frame), shot.strength, shown, original.noise)


def _update_patterns(
    original: ClipOriginal, seed: Secret, patterns: dict[int, Plane], nodes: Sequence[int]
) -> None:
    """Make the mark's patterns for these nodes, and discard the patterns of all other nodes."""
    size = node_key_stream_bytes(original.layout)
    for node in nodes:
        if node not in patterns:
            number = node.to_bytes(4, "big")
            own = derive_key_stream(seed, CLIP_MARK_KEY_CONTEXT + number, size)
            pilot = derive_key_stream(original.dither, PILOT_KEY_CONTEXT + number, size)
            patterns[node] = original.layout.pattern(own, pilot)
    for node in set(patterns).difference(nodes):
        del patterns[node]


def _choose_rate_factor(
    original: ClipOriginal, device: Device, reached: ProgressCallback
) -> ClipOriginal:
    """Choose the rate factor of the encoder from two trial copies, one coarser than the other."""
    wanted = [ClipCopySpec(_TRIAL_COPY_SEED, None, crf) for crf in TRIED_CRFS]
    cuts = _frame_ranges_for_trial_copies([float(at_s) for at_s in original.camera.times])
    errors = [
        _measure_trial_errors(original, wanted, cut, device, report_progress)
        for cut, report_progress in zip(cuts, split_progress(reached, len(cuts)), strict=True)
    ]
    coarse, fine = np.mean(errors, axis=0)
    return replace(original, crf=choose_rate_factor((float(coarse), float(fine))))


def _measure_trial_errors(
    original: ClipOriginal,
    trial_orders: Sequence[ClipCopySpec],
    cut: FrameSelection,
    device: Device,
    reached: ProgressCallback,
) -> list[float]:
    trials = write_clip_copies(
        original,
        trial_orders,
        device,
        cut,
        progress_range(reached, 0.0, _ENCODING_SHARE_OF_TRIAL_TIME),
    )
    errors = []
    for trial, report_progress in zip(
        trials,
        split_progress(progress_range(reached, _ENCODING_SHARE_OF_TRIAL_TIME, 1.0), len(trials)),
        strict=True,
    ):
        with device.read_clip(original.source, cut) as clip:
            frames = report_frame_times(
                clip.frames, frame_time_reporter(cut, original.camera, report_progress)
            )
            errors.append(mean_squared_copy_error(trial, frames))
    return errors


def _frame_ranges_for_trial_copies(frame_times: Sequence[float]) -> list[FrameSelection]:
    """Select all of a short clip, or two parts of a longer one: its start and its middle."""
    if len(frame_times) <= _TRIAL_FRAMES_MAX:
        return [FrameSelection()]
    half, middle = _TRIAL_FRAMES_MAX // 2, len(frame_times) // 2
    return [
        FrameSelection(0.0, frame_times[half]),
        FrameSelection(frame_times[middle], frame_times[middle + half - 1]),
    ]


_KEY_FRAME_INTERVAL_S: Final = 1.0
_THUMBNAIL_INTERVAL_S: Final = 0.12
_THUMBNAIL_SIDE_PX: Final = 96
_KEY_FRAMES_MAX: Final = 240
_THUMBNAILS_MAX: Final = 2000
_KEY_FRAME_SIDE_PX: Final = 640
_KEYPOINTS_PER_KEY_FRAME_MAX: Final = 500
# scales descriptors to bytes, since most of their entries are below a half
_DESCRIPTOR_SCALE: Final = 512.0


SampleT = TypeVar("SampleT")


@dataclass(slots=True)
class _SpacedSamples(Generic[SampleT]):
    """Samples of a clip that are at least ``interval_s`` apart, with their times.

    If there are more than ``limit``, as in a clip that is longer than it says, every second one is
    dropped, and the interval is doubled.
    """

    interval_s: float
    limit: int
    times: list[float] = field(default_factory=list)
    samples: list[SampleT] = field(default_factory=list)

    def is_due(self, at_s: float) -> bool:
        return not self.times or at_s - self.times[-1] >= self.interval_s

    def add(self, at_s: float, sample: SampleT) -> None:
        self.times.append(at_s)
        self.samples.append(sample)
        if len(self.times) > self.limit:
            self.times, self.samples = self.times[::2], self.samples[::2]
            self.interval_s *= 2.0


@dataclass(slots=True)
class _UnpackedMeasurements:
    keys: _SpacedSamples[Future[FrameKeypoints]]
    thumbs: _SpacedSamples[NDArray[np.uint8]]
    times: list[float] = field(default_factory=list)
    motions: list[CameraMotionRow] = field(default_factory=list)

    @classmethod
    def for_length(cls, length_s: float) -> Self:
        """Prepare for a clip of this length, which is 0 if the file does not state it."""
        longer = max(1.0, length_s / _KEY_FRAMES_MAX)
        return cls(
            _SpacedSamples(longer * _KEY_FRAME_INTERVAL_S, _KEY_FRAMES_MAX),
            _SpacedSamples(longer * _THUMBNAIL_INTERVAL_S, _THUMBNAILS_MAX),
        )

    def pack(self) -> ClipMeasurements:
        rows, columns = self.thumbs.samples[0].shape
        return ClipMeasurements(
            np.array(self.times, np.float64).tobytes(),
            np.array(self.motions, np.float64).tobytes(),
            tuple(key.result() for key in self.keys.samples),
            np.stack(self.thumbs.samples).tobytes(),
            np.array(self.thumbs.times, np.float64).tobytes(),
            (columns, rows),
        )


def read_clip_format(untrusted_data: bytes, device: Device) -> ClipFormat:
    """Return the full frame size and the other properties that all frames share, without decoding a
    frame.

    Raises:
        NoVideoFound, IncompleteClip, FramesTooLarge, ClipTooLong, DamagedClip.
    """
    with device.read_clip(untrusted_data, FrameSelection(stop_s=0.0)) as clip:
        return clip.shown


def survey_clip(
    untrusted_data: bytes, device: Device, reached: ProgressCallback = ignore_progress
) -> ClipMeasurements:
    """Decode the whole clip once, and measure it; ``reached`` is called with the progress, 0 to 1.

    Raises:
        NoVideoFound, IncompleteClip, FramesTooLarge, ClipTooLong, DamagedClip.
    """
    follower = CameraTracker()
    cut = FrameSelection(side_px=WORKING_SIDE_PX_MAX)
    with ThreadPoolExecutor(1) as crew, device.read_clip(untrusted_data, cut) as clip:
        seen = _UnpackedMeasurements.for_length(clip.shown.length_s)
        for frame in clip.frames:
            reached(fraction_done(frame.at_s, clip.shown.length_s))
            luma: NDArray[np.uint8] = np.asarray(frame)
            seen.times.append(frame.at_s)
            seen.motions.append(follower.add_frame(luma))
            if seen.keys.is_due(frame.at_s):
                seen.keys.add(frame.at_s, crew.submit(_make_key_frame, frame))
            if seen.thumbs.is_due(frame.at_s):
                seen.thumbs.add(frame.at_s, shrink_for_timing(luma, _THUMBNAIL_SIDE_PX))
    if not seen.times:
        raise NoVideoFound
    return seen.pack()


def _make_key_frame(frame: Frame) -> FrameKeypoints:
    luma: NDArray[np.uint8] = np.asarray(frame)
    seen = extract_features(
        np.asarray(cv2.merge([luma] * 3)),
        side_px=_KEY_FRAME_SIDE_PX,
        limit=_KEYPOINTS_PER_KEY_FRAME_MAX,
    )
    looks = np.clip(np.rint(seen.descriptors * _DESCRIPTOR_SCALE), 0, 255).astype(np.uint8)
    points = seen.points.astype(np.float32)
    return FrameKeypoints(
        frame.at_s, frame.width_px, frame.height_px, points.tobytes(), looks.tobytes()
    )


def frame_time_reporter(
    cut: FrameSelection, camera: CameraMotion, reached: ProgressCallback
) -> Callable[[float], None]:
    """Return a function that takes the next frame's time in seconds, and reports the progress."""
    start_s = max(cut.start_s, float(camera.times[0]))
    length_s = min(cut.stop_s, start_s + camera.length_s) - start_s
    return lambda at_s: reached(fraction_done(at_s - start_s, length_s))


def report_frame_times(frames: Iterable[Frame], report: Callable[[float], None]) -> Iterator[Frame]:
    """Yield the frames, reporting the time of each."""
    for frame in frames:
        report(frame.at_s)
        yield frame
