"""Marks in clips: patterns that follow the camera and change smoothly.

Each second of a clip begins with a node, and each node has a different pattern. In between, the
patterns of two nodes are blended. The pilot is the part of a pattern that all copies of a message
share.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.watermark.chip_layout import ChipLayout, chips_of_stream, lay_out_chips
from entrenous.watermark.embed import enlarge_mark, mark_pattern, trial_chips
from entrenous.watermark.pyramid import Pixels, Plane, shape_of
from entrenous.watermark.visibility import band_masks

NODE_INTERVAL_S: Final = 1.0
WORKING_SIDE_PX_MAX: Final = 960  # finer detail would not survive the encoder of a messenger
# Finest band first. Coarse bands have higher gains than in pictures, since video encoders keep
# coarse detail.
_BAND_GAINS: Final = (1.0, 1.0, 1.0, 0.7, 0.4, 0.25)
_CHIPS_PER_PILOT_CHIP: Final = 8  # one chip in this many belongs to the pilot
_PSNR_DB_MIN: Final = 47.0
_LIMITED_RANGE_SHARE: Final = np.float32(219.0 / 255.0)  # ITU-R BT.601: luma ranges from 16 to 235
# a mark in grey levels from 0 to 255 is multiplied by this, to get 256ths of a limited-range level
_DITHER_STEPS_PER_LEVEL: Final = float(256.0 * _LIMITED_RANGE_SHARE)
_BLACK_LUMA: Final = np.float32(16.0)
_NO_MOTION: Final = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
_MOTION_SPREAD_MAX: Final = (
    8  # in multiples of a frame's side; evidence from farther away is cut off
)
# mean squared error, in squared grey levels, that dithering adds to a small mark
_DITHER_ERROR: Final = 1.0 / 6.0
Motion = NDArray[np.float64]  # 2 x 3


@dataclass(frozen=True, slots=True, eq=False)
class ClipLayout:
    """The layout of marks that all frames and copies of one clip share.

    ``plan`` is for the *working size*, to which frames are scaled down. ``masks`` has each band's
    gain as a plane. ``power`` is the mean square of a node's pattern.
    """

    plan: ChipLayout
    masks: tuple[Plane, ...]
    power: float

    @property
    def working_size(self) -> tuple[int, int]:
        """The working size as (width, height)."""
        rows, columns = self.plan.working_size
        return columns, rows

    @property
    def copy_chip_mask(self) -> NDArray[np.bool_]:
        """The mask of the chips that differ between copies; the others belong to the pilot."""
        own = np.ones(self.plan.chip_count, np.bool_)
        own[::_CHIPS_PER_PILOT_CHIP] = False
        return own

    def pattern(self, copy_stream: bytes, pilot_stream: bytes) -> Plane:
        """Return one node's pattern at the working size, before it is scaled for a frame.

        Args:
            copy_stream: ``node_key_stream_bytes`` uniform bytes, unique to this copy and node.
            pilot_stream: as many bytes, which are used for the pilot's chips. The pilot's score
                shows which bands have survived, without the key of any copy.
        """
        signs = chips_of_stream(copy_stream, self.plan.chip_count)
        signs[::_CHIPS_PER_PILOT_CHIP] = chips_of_stream(pilot_stream, self.plan.chip_count)[
            ::_CHIPS_PER_PILOT_CHIP
        ]
        return mark_pattern(signs, self.plan, self.masks)


def lay_out_clip(width_px: int, height_px: int) -> ClipLayout:
    """Lay out the marks of a clip.

    Raises:
        TooSmallToMark: the shorter side is below ``MARKED_PICTURE_SIDE_PX_MIN``.
    """
    factor = min(1.0, WORKING_SIDE_PX_MAX / max(width_px, height_px))
    plan = lay_out_chips(round(width_px * factor), round(height_px * factor))
    gains = _BAND_GAINS + _BAND_GAINS[-1:] * len(plan.bands)
    planes = tuple(
        np.full(band.pixels, gain, np.float32)
        for band, gain in zip(plan.bands, gains, strict=False)
    )
    trial = mark_pattern(trial_chips(plan), plan, planes)
    return ClipLayout(plan, planes, float(np.mean(trial * trial)))


def node_key_stream_bytes(clip: ClipLayout) -> int:
    """Return the length of one node's key stream in bytes."""
    return -(-clip.plan.chip_count // 8)


def nodes_at(at_s: float) -> tuple[tuple[int, float], tuple[int, float]]:
    """Return the two nodes whose patterns a frame blends, with their shares.

    The squares of the shares add up to 1.
    """
    first = math.floor(at_s / NODE_INTERVAL_S)
    phase = 0.5 * math.pi * (at_s / NODE_INTERVAL_S - first)
    return (first, math.cos(phase)), (first + 1, math.sin(phase))


def working_luma(luma: Pixels, clip: ClipLayout) -> Plane:
    """Convert a frame's limited-range luma (H, W) to grey levels from 0 to 255, at the working
    size.
    """
    small = luma
    if (luma.shape[1], luma.shape[0]) != clip.working_size:
        small = np.asarray(
            cv2.resize(luma, clip.working_size, interpolation=cv2.INTER_AREA), np.uint8
        )
    return np.asarray((small - _BLACK_LUMA) * (np.float32(1.0) / _LIMITED_RANGE_SHARE), np.float32)


def pattern_amplitude(working: Plane, clip: ClipLayout) -> Plane:
    """Return the factor of the nodes' patterns at each place of a frame.

    The factor is computed as in pictures, except that there is one plane for all bands: the
    geometric mean of the masks of the two finest octaves. So a copy costs only one product per
    frame. The factor is lowered if the expected PSNR would be below 47 dB.
    """
    fine, coarse = band_masks(working, 2)
    wide = cv2.resize(coarse, (fine.shape[1], fine.shape[0]), interpolation=cv2.INTER_LINEAR)
    hidden = np.sqrt(fine * np.float32(1.0 / 1.3) * wide)
    allowed = 255.0**2 / 10.0 ** (_PSNR_DB_MIN / 10.0) - _DITHER_ERROR
    power = float(np.mean(hidden * hidden)) * clip.power
    return np.asarray(hidden * np.float32(min(1.0, math.sqrt(allowed / power))), np.float32)


def warp_pattern(node_pattern: Plane, motion: Motion) -> Plane:
    """Warp a node's pattern to a frame; ``motion``, 2 x 3, maps the node's pixels to the frame's.

    The pattern repeats beyond its borders, so the camera may move anywhere.
    """
    if np.array_equal(motion, _NO_MOTION):
        return node_pattern
    size = (node_pattern.shape[1], node_pattern.shape[0])
    warped = cv2.warpAffine(
        node_pattern, motion, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )
    return np.asarray(warped, np.float32)


def warp_pattern_adjoint(evidence: Plane, motion: Motion) -> Plane:
    """Apply the adjoint of :func:`warp_pattern`, up to a factor.

    Return a frame's evidence on the node's grid. Where the pattern repeats, the evidence is added
    up.
    """
    if np.array_equal(motion, _NO_MOTION):
        return evidence
    rows, columns = evidence.shape
    inverse = np.asarray(cv2.invertAffineTransform(motion), np.float64)
    corners = np.array([[0, 0, 1], [columns, 0, 1], [0, rows, 1], [columns, rows, 1]]) @ inverse.T
    left, top = np.floor(corners.min(axis=0)).astype(int)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    inverse[:, 2] -= (left, top)
    size = (
        min(right - left, _MOTION_SPREAD_MAX * columns),
        min(bottom - top, _MOTION_SPREAD_MAX * rows),
    )
    spread = cv2.warpAffine(evidence, inverse, (int(size[0]), int(size[1])), flags=cv2.INTER_LINEAR)
    tall = _fold_rows(np.asarray(spread, np.float32), int(top), rows)
    return np.ascontiguousarray(_fold_rows(tall.T, int(left), columns).T)


def mark_luma(
    luma: Pixels, strength: Plane, shown: Sequence[tuple[Plane, float]], dither: NDArray[np.int16]
) -> Pixels:
    """Return the luma of a frame with one copy's mark, (H, W) uint8.

    Args:
        luma: (H, W), limited range.
        strength: :func:`pattern_amplitude` of this frame.
        shown: both nodes' patterns with their shares.
        dither: (H, W), 0 to 255, the same for all frames and copies of a message.
    """
    (one, share), (other, rest) = shown
    blend = cv2.addWeighted(one, share, other, rest, 0.0)
    mark = cv2.multiply(blend, strength, scale=_DITHER_STEPS_PER_LEVEL)
    large = enlarge_mark(np.asarray(mark, np.float32), shape_of(luma))
    # adding the dither before the shift rounds the sum randomly
    steps = np.asarray(cv2.add(large, dither, dtype=cv2.CV_16S), np.int16)
    steps >>= 8  # an arithmetic shift rounds down even for negative numbers
    return np.asarray(cv2.add(luma, steps, dtype=cv2.CV_8U), np.uint8)


def _fold_rows(plane: Plane, first: int, period: int) -> Plane:
    """Add up the rows that are a whole number of periods apart; row 0 is at ``first``."""
    total = np.zeros((period, plane.shape[1]), np.float32)
    at = 0
    while at < len(plane):
        place = (first + at) % period
        count = min(len(plane) - at, period - place)
        total[place : place + count] += plane[at : at + count]
        at += count
    return total
