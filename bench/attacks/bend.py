"""Perspective, lenses and waves: geometric edits that are not affine."""

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.attacks.kinds import Edit, Rgb, Rng

Plane = NDArray[np.float32]


def perspective(share: float) -> Edit:
    """Return an edit that moves each corner by up to ``share`` of the sides.

    Parts outside the frame are lost; uncovered parts of the frame become white.
    """

    def edit(rgb: Rgb, rng: Rng) -> Rgb:
        high, wide = rgb.shape[:2]
        corners = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32)
        moved = corners + rng.uniform(-share, share, (4, 2)) * (wide, high)
        matrix = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
        out = cv2.warpPerspective(
            rgb, matrix, (wide, high), flags=cv2.INTER_CUBIC, borderValue=(255, 255, 255)
        )
        return np.asarray(out, np.uint8)

    return edit


def lens(strength: float) -> Edit:
    """Return an edit that distorts the picture radially, as a lens does.

    If ``strength`` is positive, the sides bulge outwards (barrel distortion), as with a wide-angle
    lens.
    """

    def edit(rgb: Rgb, _rng: Rng) -> Rgb:
        x, y = grid(rgb)
        across, down = centred(rgb)
        push = 1 + strength * (across**2 + down**2 - 1)
        half_wide, half_high = (rgb.shape[1] - 1) / 2, (rgb.shape[0] - 1) / 2
        return resample(rgb, half_wide + (x - half_wide) * push, half_high + (y - half_high) * push)

    return edit


def wobble(share: float, knots: int) -> Edit:
    """Return an edit that displaces the pixels at random, smoothly.

    The displacement has ``knots`` knots along the longest side, and a standard deviation of
    ``share`` of that side.
    """

    def edit(rgb: Rgb, rng: Rng) -> Rgb:
        x, y = grid(rgb)
        longest = max(rgb.shape[:2])
        return resample(
            rgb,
            x + share * longest * waves(rgb, knots, rng),
            y + share * longest * waves(rgb, knots, rng),
        )

    return edit


def waves(rgb: Rgb, knots: int, rng: Rng) -> Plane:
    """Return a smooth random plane of the picture's size, with a standard deviation near 1."""
    high, wide = rgb.shape[:2]
    size = tuple(max(4, round(knots * side / max(high, wide)) + 3) for side in (high, wide))
    rough = rng.standard_normal(size).astype(np.float32)
    smooth = cv2.resize(rough, (wide, high), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth / max(float(smooth.std()), 1e-6), np.float32)


def grid(rgb: Rgb) -> tuple[Plane, Plane]:
    """Return the column and the row of every pixel."""
    y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]].astype(np.float32)
    return x, y


def centred(rgb: Rgb) -> tuple[Plane, Plane]:
    """Return every pixel's column and row, counted from the centre.

    The unit is half of the diagonal, so that the corners are at a distance of 1.
    """
    x, y = grid(rgb)
    high, wide = rgb.shape[:2]
    half = np.hypot(wide, high) / 2
    return ((x - (wide - 1) / 2) / half).astype(np.float32), ((y - (high - 1) / 2) / half).astype(
        np.float32
    )


def resample(rgb: Rgb, x: Plane, y: Plane) -> Rgb:
    """Resample the picture: read each output pixel at column ``x`` and row ``y`` of ``rgb``."""
    out = cv2.remap(
        rgb,
        x.astype(np.float32),
        y.astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(out, np.uint8)
