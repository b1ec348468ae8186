"""Where each small block of a found picture would have to move to fit the sent one.

Lucas and Kanade (1981) by blocks. Every block gives two linear equations for its displacement, and
how much they are worth; a homography's eight numbers or a bend's lattice is then fitted to all of
them at once. Local contrast is regressed away, and what does not fit (stickers, captions, noise)
weighs little, since each pixel counts by the inverse of the rest around it.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.geometry import Size
from entrenous.craft.align.sharpen.misfit import Grey

BLOCK_PX: Final = 8
_FINE_SIGMA: Final = 1.0  # detail between these two is compared
_COARSE_SIGMA: Final = 3.0
_WINDOW_PX: Final = 31
_FLOOR: Final = 0.3  # squared grey levels: rounding and the like, even where all seems to fit
_CONTRAST_PRIOR: Final = 1.0  # squared grey levels
_GAIN_MAX: Final = 3.0
_FRAME_PX: Final = 6
_NEIGHBOURS: Final = 12.0  # pixels that the finer blur makes one


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """The sent picture's detail, its gradient, and its power around each pixel."""

    detail: Grey
    along_x: Grey
    along_y: Grey
    power: Grey


@dataclass(frozen=True, slots=True, eq=False)
class Equations:
    """One 2 x 2 system per block: information (xx, xy, yy) x displacement = pull (x, y).

    ``centres`` is N x 2 in pixels; information is in 1 / px^2, the inverse of the displacement's
    variance.
    """

    centres: NDArray[np.float64]
    information: NDArray[np.float64]
    pull: NDArray[np.float64]


def template(sent: Grey) -> Template:
    """Prepare the sent picture, as large as the found one will be laid."""
    detail = detail_of(sent)
    slope = (
        cv2.Scharr(detail, cv2.CV_32F, 1, 0, scale=1 / 32),
        cv2.Scharr(detail, cv2.CV_32F, 0, 1, scale=1 / 32),
    )
    return Template(detail, np.asarray(slope[0]), np.asarray(slope[1]), _mean(detail * detail))


def detail_of(grey: Grey) -> Grey:
    """The band of detail in which displacements are measured."""
    fine = cv2.GaussianBlur(grey, (0, 0), _FINE_SIGMA)
    return np.asarray(fine - cv2.GaussianBlur(grey, (0, 0), _COARSE_SIGMA), np.float32)


def equations(sent: Template, laid: Grey, inside: Grey) -> Equations:
    """How the laid picture's detail should move, block by block.

    Args:
        sent: the sent picture.
        laid: the found picture's detail, laid over it.
        inside: 1 where that shows something, else 0.
    """
    gain = _mean(laid * sent.detail) / (sent.power + _CONTRAST_PRIOR)
    gain = np.clip(gain, -_GAIN_MAX, _GAIN_MAX).astype(np.float32)
    rest = (laid - gain * sent.detail).astype(np.float32)
    inside = _framed(inside)
    spread = np.maximum(_mean(rest * rest * inside), 0.0)
    weight = (inside / (spread + _FLOOR)).astype(np.float32)
    across, down = gain * sent.along_x, gain * sent.along_y
    sums = [weight * across * across, weight * across * down, weight * down * down]
    pulls = [-weight * across * rest, -weight * down * rest]
    blocks = [_summed(np.asarray(plane, np.float32)) for plane in (*sums, *pulls)]
    return Equations(
        _centres(laid.shape, blocks[0].shape),
        np.stack(blocks[:3], axis=-1).reshape(-1, 3) / _NEIGHBOURS,
        np.stack(blocks[3:], axis=-1).reshape(-1, 2) / _NEIGHBOURS,
    )


def merged(levels: list[tuple[Equations, Size]]) -> Equations:
    """The equations of several benches of the same pictures as one, in pixels of the first."""
    top = levels[0][1]
    parts = []
    for flow, size in levels:
        ratio = max(size) / max(top)
        centres = (flow.centres + 0.5) * (np.array(top) / np.array(size)) - 0.5
        parts.append((centres, flow.information * ratio**2, flow.pull * ratio))
    return Equations(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _framed(inside: Grey) -> Grey:
    """Without the outermost pixels: into them is blurred what only one of the pictures shows."""
    framed = np.zeros_like(inside)
    inner = slice(_FRAME_PX, -_FRAME_PX)
    framed[inner, inner] = inside[inner, inner]
    kernel = np.ones((2 * _FRAME_PX + 1, 2 * _FRAME_PX + 1), np.uint8)
    return np.asarray(cv2.erode(framed, kernel), np.float32)


def _summed(plane: Grey) -> NDArray[np.float64]:
    rows, columns = (max(1, round(side / BLOCK_PX)) for side in plane.shape)
    mean = cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA)
    scaled = np.asarray(mean, np.float64) * (plane.size / (rows * columns))
    return np.asarray(scaled, np.float64)


def _centres(shape: tuple[int, ...], blocks: tuple[int, ...]) -> NDArray[np.float64]:
    y = (np.arange(blocks[0]) + 0.5) * shape[0] / blocks[0] - 0.5
    x = (np.arange(blocks[1]) + 0.5) * shape[1] / blocks[1] - 0.5
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def _mean(plane: Grey) -> Grey:
    return np.asarray(cv2.blur(plane, (_WINDOW_PX, _WINDOW_PX)), np.float32)
