"""A clip as PDQ hashes of selected frames, with and without edges.

A registered clip is hashed as it is. An upload is hashed in eight orientations, with and without
bars.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice, product
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.base.audio_video import Frame, FrameSampler, FrameSelection
from entrenous.base.limits import PDQ_BYTES, PDQ_QUALITY_MIN
from entrenous.fingerprint.borders import THUMBNAIL_SIDE_PX as BORDERS_SIDE_PX
from entrenous.fingerprint.nouns import (
    HALF_SECOND_MS,
    REGISTERED_FRAMES_MAX,
    UPLOAD_FRAMES_MAX,
    FramePrint,
    TrimmedView,
    VideoPrint,
    VideoTooFlat,
    VideoView,
    VideoViews,
)
from entrenous.fingerprint.pdq import (
    BLOCKS_PER_SIDE,
    FREQUENCIES_PER_AXIS,
    UNCHANGED_ORIENTATION_NAME,
    Floats,
    cosine_transform_rows,
    downsampling_matrix,
    hash_spectra,
    low_frequencies,
    orientation_spectra,
    quality,
)
from entrenous.fingerprint.pdq import SIDE_PX_MIN as PDQ_SIDE_PX_MIN

DECODED_SIDE_PX_MAX: Final = 1024
REGISTERED_FRAME_SELECTION: Final = FrameSelection(
    side_px=DECODED_SIDE_PX_MAX, apart_s=0.125, frames_max=REGISTERED_FRAMES_MAX
)
UPLOAD_FRAME_SELECTION: Final = FrameSelection(
    side_px=DECODED_SIDE_PX_MAX, apart_s=0.25, frames_max=UPLOAD_FRAMES_MAX
)


def frames_to_register(frames: Iterable[Frame], length_s: float) -> Iterator[Frame]:
    """Return the frames to register: eight per second, or fewer if the clip exceeds 150 seconds.

    ``length_s`` is the length that the file announces. If it is 0, the first 150 seconds are used.
    """
    return select_frames(
        frames, REGISTERED_FRAME_SELECTION.sampler_for_length(length_s), REGISTERED_FRAMES_MAX
    )


def frames_to_scan(frames: Iterable[Frame], length_s: float) -> Iterator[Frame]:
    """Return an upload's frames to hash: four per second, or fewer if it exceeds 10 minutes."""
    return select_frames(
        frames, UPLOAD_FRAME_SELECTION.sampler_for_length(length_s), UPLOAD_FRAMES_MAX
    )


def select_frames(frames: Iterable[Frame], pace: FrameSampler, limit: int) -> Iterator[Frame]:
    """Return at most ``limit`` of the frames, chosen by ``pace``; they must be in time order."""
    return islice((frame for frame in frames if pace.select_if_due(frame.at_s)), limit)


Luma = NDArray[np.uint8]
_BLACK_LUMA: Final = 16.0  # black in the limited range of ITU-R BT.601
_RANGE_STRETCH: Final = 255.0 / 219.0


def blocks_of_luma(luma: Luma) -> Floats:
    """Return PDQ's 64 x 64 blocks, 0 to 255, of the (H, W) limited-range luma of a frame."""
    height_px, width_px = luma.shape
    if min(height_px, width_px) < PDQ_SIDE_PX_MIN:
        return np.zeros((BLOCKS_PER_SIDE, BLOCKS_PER_SIDE), dtype=np.float32)
    rows = np.matmul(_cached_downsampling_matrix(height_px), luma.astype(np.float32))
    blocks = np.matmul(rows, _cached_downsampling_matrix(width_px).T)
    return np.asarray(
        np.clip((blocks - _BLACK_LUMA) * _RANGE_STRETCH, 0.0, 255.0), dtype=np.float32
    )


@lru_cache(maxsize=8)
def _cached_downsampling_matrix(length_px: int) -> Floats:
    """Return the matrix of an axis; it is cached, because all frames of a video have one size."""
    axis = downsampling_matrix(length_px)
    axis.flags.writeable = False
    return axis


# at each edge of a registered frame, this share of the side is cut off
REGISTERED_EDGE_CUT_SHARE: Final = 0.04
# at an edge of an uploaded frame, one of these shares of the side is cut off
TRIED_EDGE_CUT_SHARES: Final = (0.007, 0.02, 0.033)
TRIMMED_TIMES_MAX: Final = 8  # half seconds of an upload in which a frame is hashed without edges
# minimum side of a frame; with a smaller side, one per cent is hardly a pixel
TRIMMED_FRAME_SIDE_PX_MIN: Final = 32
EDGES_CUT_VIEW_NAME: Final = "edges cut"
EdgeCuts = tuple[float, float]
_EDGE_CUTS: Final = tuple(product(TRIED_EDGE_CUT_SHARES, TRIED_EDGE_CUT_SHARES))
_BALANCED_EDGE_CUT_INDICES: Final = tuple(
    (down, across)
    for down, across in product(range(len(_EDGE_CUTS)), repeat=2)
    if abs(sum(_EDGE_CUTS[down]) - sum(_EDGE_CUTS[across])) < 1e-6
)


def hash_without_edges(luma: Luma) -> bytes | None:
    """Return the hash of an (H, W) frame without its edges; None for a tiny frame."""
    if min(luma.shape) < TRIMMED_FRAME_SIDE_PX_MIN:
        return None
    return hash_spectra(
        _spectra_with_edges_cut(luma, ((REGISTERED_EDGE_CUT_SHARE, REGISTERED_EDGE_CUT_SHARE),))[
            0, 0
        ]
    )


@dataclass(slots=True)
class TrimmedViewCollector:
    """Collects an upload's trimmed views at no more than ``TRIMMED_TIMES_MAX`` points in time.

    These are ``apart_ms`` milliseconds apart.
    """

    apart_ms: int
    views: list[TrimmedView] = field(default_factory=list)
    _moments: set[int] = field(default_factory=set)

    @classmethod
    def for_length(cls, length_s: float) -> Self:
        """Return a collector for an upload of this length.

        If the length is unknown, consecutive half seconds from the beginning are used.
        """
        return cls(max(HALF_SECOND_MS, round(1000 * length_s / TRIMMED_TIMES_MAX)))

    def add_frame_if_due(self, luma: Luma, at_ms: int) -> None:
        """Hash this frame if it is at one of the collector's times."""
        moment = at_ms // HALF_SECOND_MS
        if at_ms % self.apart_ms >= HALF_SECOND_MS or min(luma.shape) < TRIMMED_FRAME_SIDE_PX_MIN:
            return
        if len(self._moments | {moment}) > TRIMMED_TIMES_MAX:
            return
        self._moments.add(moment)
        down, across = zip(*_BALANCED_EDGE_CUT_INDICES, strict=True)
        spectra = _spectra_with_edges_cut(luma, _EDGE_CUTS)[list(down), list(across)]
        for how, turned in orientation_spectra(spectra).items():
            done = (
                EDGES_CUT_VIEW_NAME
                if how == UNCHANGED_ORIENTATION_NAME
                else f"{how}, {EDGES_CUT_VIEW_NAME}"
            )
            hashes = hash_spectra(turned)
            self.views += [
                TrimmedView(at_ms, done, hashes[at : at + PDQ_BYTES])
                for at in range(0, len(hashes), PDQ_BYTES)
            ]


def _spectra_with_edges_cut(luma: Luma, edges: tuple[EdgeCuts, ...]) -> Floats:
    """Return (K, K, 16, 16): spectra with one of K cuts at top and bottom, and one at the sides.

    The scale and offset of limited-range luma change no bit of a hash.
    """
    down, across = _cut_cosine_basis(luma.shape[0], edges), _cut_cosine_basis(luma.shape[1], edges)
    spectra = np.matmul(np.matmul(down, luma.astype(np.float32)), across.T)
    count = len(edges)
    windows = spectra.reshape(count, FREQUENCIES_PER_AXIS, count, FREQUENCIES_PER_AXIS).transpose(
        0, 2, 1, 3
    )
    return np.asarray(windows, dtype=np.float32)


@lru_cache(maxsize=8)
def _cut_cosine_basis(length_px: int, edges: tuple[EdgeCuts, ...]) -> Floats:
    """Return (K * 16, length_px), which maps an axis's pixels to 16 frequencies of each window."""
    waves = []
    for first, last in edges:
        start, stop = round(first * length_px), round((1 - last) * length_px)
        axis = np.zeros((BLOCKS_PER_SIDE, length_px), dtype=np.float32)
        axis[:, start:stop] = downsampling_matrix(stop - start)
        waves.append(cosine_transform_rows() @ axis)
    return np.concatenate(waves)


# a frame that differs from the last one in at most this many bits shows the same scene
SAME_SCENE_BITS_MAX: Final = 10


def make_video_fingerprint(
    frames: Iterable[Frame], length_s: float = 0.0, *, parts: bool = False
) -> VideoPrint:
    """Return the fingerprint to register for a video: up to 1,200 frames, 1 or 2 hashes each.

    Frames are sampled eight times per second. Flat frames are left out, because they resemble all
    flat frames. Frames that differ from the last one kept in at most 10 bits are left out too.

    Args:
        frames: upright, in time order; iterated once.
        length_s: the length that the file announces (``ClipFormat.length_s``).
        parts: whether the owner agrees to send a second hash of each frame, without its edges.

    Raises:
        VideoTooFlat: no frame has enough detail.
    """
    kept = tuple(
        drop_repeated(
            _detailed_frame_fingerprints(frames_to_register(frames, length_s), parts=parts)
        )
    )
    if not kept:
        raise VideoTooFlat
    return VideoPrint(kept)


def drop_repeated(prints: Iterable[FramePrint]) -> Iterator[FramePrint]:
    """Yield the frames that differ in more than 10 bits from the last one yielded."""
    before: FramePrint | None = None
    for one in prints:
        if before is None or differing_bits(one.bits, before.bits) > SAME_SCENE_BITS_MAX:
            before = one
            yield one


def differing_bits(one: bytes, other: bytes) -> int:
    """Return how many of 256 bits differ."""
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


def _detailed_frame_fingerprints(frames: Iterable[Frame], *, parts: bool) -> Iterator[FramePrint]:
    for frame in frames:
        luma = np.asarray(frame)
        blocks = blocks_of_luma(luma)
        detail = quality(blocks)
        if detail >= PDQ_QUALITY_MIN:
            bits, inner = (
                hash_spectra(low_frequencies(blocks)),
                hash_without_edges(luma) if parts else None,
            )
            yield FramePrint(round(1000 * frame.at_s), bits, detail, inner)


BAR_SPREAD_LEVELS_MAX: Final = 16  # brightness levels, as in borders.py
# if less than this share of a side is inside the bars, they are part of the picture
REMAINING_SHARE_MIN: Final = 0.3


@dataclass(slots=True)
class BarDetector:
    """Detects bars from the ``darkest`` and ``brightest`` values of each pixel so far."""

    darkest: Luma | None = None
    brightest: Luma | None = None

    def update_and_remove_bars(self, luma: Luma) -> Luma | None:
        """Update with this frame, and return the luma (H, W) inside the bars; None without bars.

        All frames must have the same size.
        """
        small = _shrink_luma(luma)
        self.darkest = small if self.darkest is None else np.minimum(self.darkest, small)
        self.brightest = small if self.brightest is None else np.maximum(self.brightest, small)
        top, bottom, left, right = box_inside_bars(self.darkest, self.brightest)
        if (bottom - top, right - left) == small.shape:
            return None
        down, across = luma.shape[0] / small.shape[0], luma.shape[1] / small.shape[1]
        rows = slice(round(top * down), round(bottom * down))
        return luma[rows, round(left * across) : round(right * across)]


def box_inside_bars(darkest: Luma, brightest: Luma) -> tuple[int, int, int, int]:
    """Return the part inside the bars: first and last row, first and last column.

    The last row and the last column are exclusive bounds. The result is the whole frame if there
    are no bars, or if too little would be left. All pixels of a bar have the brightness of its
    outer edge, within 16 levels.
    """
    height, width = darkest.shape
    top, bottom = _between_plain_ends(darkest.min(axis=1), brightest.max(axis=1))
    rows = slice(top, bottom)
    left, right = _between_plain_ends(darkest[rows].min(axis=0), brightest[rows].max(axis=0))
    if bottom - top < REMAINING_SHARE_MIN * height or right - left < REMAINING_SHARE_MIN * width:
        return 0, height, 0, width
    return top, bottom, left, right


def _between_plain_ends(low: Luma, high: Luma) -> tuple[int, int]:
    """Return the range of lines between the plain lines at both ends; all if all are plain."""
    first, last = (
        _initial_plain_run_length(low, high),
        len(low) - _initial_plain_run_length(low[::-1], high[::-1]),
    )
    return (first, last) if first < last else (0, len(low))


def _initial_plain_run_length(low: Luma, high: Luma) -> int:
    """Return the number of initial lines that are plain and as bright as the first one."""
    darkest, brightest = np.minimum.accumulate(low), np.maximum.accumulate(high)
    plain: NDArray[np.bool_] = brightest.astype(np.int16) - darkest <= BAR_SPREAD_LEVELS_MAX
    return len(plain) if bool(plain.all()) else int(np.argmin(plain))


def _shrink_luma(luma: Luma) -> Luma:
    height_px, width_px = luma.shape
    shrinking = min(1.0, BORDERS_SIDE_PX / max(height_px, width_px))
    size = (max(1, round(width_px * shrinking)), max(1, round(height_px * shrinking)))
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


BARS_REMOVED_VIEW_NAME: Final = "bars removed"
SAME_FRAME_BITS_MAX: Final = 4  # in a still scene, coding alone may change this many bits


@dataclass(frozen=True, slots=True)
class _HashedFrame:
    """A hashed frame; ``whole`` and ``inner`` are 16 x 16 spectra."""

    at_ms: int
    bits: bytes
    whole: Floats
    inner: Floats


def video_views(frames: Iterable[Frame], length_s: float = 0.0) -> VideoViews:
    """Return all views of an uploaded video; if it has no detail, the views have no frames.

    Frames are sampled four times per second. Frames with little detail are left out. Frames that
    differ from the last one kept in at most SAME_FRAME_BITS_MAX bits are left out too. In a video
    with bars, detail and differences are measured inside the bars.

    Args:
        frames: upright, in time order; iterated once.
        length_s: the length that the file announces (``ClipFormat.length_s``).
    """
    bars, kept, trims = (
        BarDetector(),
        list[_HashedFrame](),
        TrimmedViewCollector.for_length(length_s),
    )
    has_bars = False
    for frame in frames_to_scan(frames, length_s):
        luma = np.asarray(frame)
        blocks = blocks_of_luma(luma)
        cut = bars.update_and_remove_bars(luma)
        inner = blocks if cut is None else blocks_of_luma(cut)
        has_bars |= cut is not None
        if quality(inner) < PDQ_QUALITY_MIN:
            continue
        trims.add_frame_if_due(luma if cut is None else cut, round(1000 * frame.at_s))
        spectrum = low_frequencies(inner)
        bits = hash_spectra(spectrum)
        if not kept or differing_bits(bits, kept[-1].bits) > SAME_FRAME_BITS_MAX:
            whole = spectrum if cut is None else low_frequencies(blocks)
            kept.append(_HashedFrame(round(1000 * frame.at_s), bits, whole, spectrum))
    views = _orientation_views([one.whole for one in kept], "")
    if has_bars:
        views += _orientation_views([one.inner for one in kept], BARS_REMOVED_VIEW_NAME)
    times = tuple(one.at_ms for one in kept)
    return VideoViews(times, tuple(views), tuple(trims.views))


def _orientation_views(spectra: list[Floats], transformation: str) -> list[VideoView]:
    """Return the eight orientations of all frames; the result is empty without frames."""
    if not spectra:
        return []
    views = []
    for how, turned in orientation_spectra(np.stack(spectra)).items():
        hashes = hash_spectra(turned)
        cut = tuple(hashes[at : at + PDQ_BYTES] for at in range(0, len(hashes), PDQ_BYTES))
        views.append(VideoView(_view_name(how, transformation), cut))
    return views


def _view_name(turned: str, transformation: str) -> str:
    """Return a name like "mirror, bars removed", or "as it is" if nothing was done."""
    return (
        ", ".join(
            one
            for one in (turned if turned != UNCHANGED_ORIENTATION_NAME else "", transformation)
            if one
        )
        or UNCHANGED_ORIENTATION_NAME
    )
