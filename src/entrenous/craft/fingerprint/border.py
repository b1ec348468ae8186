"""Take away the frame that somebody put around a picture: bars, letterboxes, plain margins.

A row or a column belongs to the frame while it is of one brightness, and the same one as the
outermost. Sky at the top of a photograph looks like that too: so what is left is an additional view
of the upload, never a replacement.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.picture import Pixels
from entrenous.craft.fingerprint.spectrum import Floats
from entrenous.craft.fingerprint.thumbnail import thumbnail

SPREAD: Final = 16.0  # brightness levels; JPEG at quality 10 stays below on plain bars
LEFT_MIN: Final = 0.3  # of each side: a frame around less is a picture of its own
ROUNDS: Final = 3  # a letterbox inside a frame needs two


def without_border(pixels: Pixels) -> Pixels | None:
    """The part of (H, W, 3) pixels inside a plain frame; None when there is no frame."""
    grey = thumbnail(pixels)
    top, bottom, left, right = inside(grey)
    if (bottom - top, right - left) == grey.shape:
        return None
    down, across = pixels.shape[0] / grey.shape[0], pixels.shape[1] / grey.shape[1]
    rows = slice(int(top * down), int(np.ceil(bottom * down)))
    columns = slice(int(left * across), int(np.ceil(right * across)))
    return np.ascontiguousarray(pixels[rows, columns])


def inside(grey: Floats) -> tuple[int, int, int, int]:
    """First and last row, first and last column inside the frame of a grey picture, half open.

    The whole picture when there is no frame, or when too little would be left.
    """
    height, width = grey.shape
    top, bottom, left, right = 0, height, 0, width
    for _ in range(ROUNDS):
        above, below = _plain_ends(grey[top:bottom, left:right])
        top, bottom = top + above, bottom - below
        before, after = _plain_ends(grey[top:bottom, left:right].T)
        left, right = left + before, right - after
    if bottom - top < LEFT_MIN * height or right - left < LEFT_MIN * width:
        return 0, height, 0, width
    return top, bottom, left, right


def _plain_ends(grey: Floats) -> tuple[int, int]:
    """How many plain rows there are at the start and at the end; (0, 0) when all are plain."""
    if min(grey.shape) < 2:
        return 0, 0
    spread = grey.max(axis=1) - grey.min(axis=1)
    middle = grey.mean(axis=1)
    start = _run((spread <= SPREAD) & (np.abs(middle - middle[0]) <= SPREAD))
    end = _run(((spread <= SPREAD) & (np.abs(middle - middle[-1]) <= SPREAD))[::-1])
    return (0, 0) if start + end >= len(grey) else (start, end)


def _run(plain: NDArray[np.bool_]) -> int:
    """Length of the run of True at the beginning, and one more: there frame and picture mix."""
    if bool(plain.all()):
        return len(plain)
    run = int(np.argmin(plain))
    return run + 1 if run else 0
