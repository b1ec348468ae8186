"""Crops, resizes, mirroring and rotations: affine edits."""

import math

import cv2
import numpy as np

from bench.attacks.kinds import Edit, Rgb, Rng


def resize_to(rgb: Rgb, width: int, height: int) -> Rgb:
    """Resize to exactly this size; if it is smaller, pixels are averaged, as viewers do."""
    smaller = width * height < rgb.shape[0] * rgb.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    resized = cv2.resize(rgb, (max(1, width), max(1, height)), interpolation=method)
    return np.asarray(resized, np.uint8)


def scale(factor: float) -> Edit:
    """Return an edit that multiplies both sides by ``factor``."""
    return lambda rgb, _rng: _scaled(rgb, factor, factor)


def stretch(across: float) -> Edit:
    """Return an edit that multiplies only the width, by ``across``."""
    return lambda rgb, _rng: _scaled(rgb, across, 1.0)


def at_most(longest: int) -> Edit:
    """Return an edit that reduces the longest side to ``longest`` pixels, and never enlarges."""
    return lambda rgb, _rng: _scaled(rgb, *(2 * [min(1.0, longest / max(rgb.shape[:2]))]))


def cut_sides(share: float) -> Edit:
    """Return an edit that cuts ``share`` of the height off the top and the bottom, and ``share`` of
    the width off the left and the right.
    """

    def edit(rgb: Rgb, _rng: Rng) -> Rgb:
        top, left = (round(share * side) for side in rgb.shape[:2])
        return np.ascontiguousarray(rgb[top : rgb.shape[0] - top, left : rgb.shape[1] - left])

    return edit


def keep_area(share: float) -> Edit:
    """Return an edit that keeps a box with ``share`` of the area, at a random place.

    If ``share`` is below 0.7, the box is a little wider or higher in proportion than the picture.
    """

    def edit(rgb: Rgb, rng: Rng) -> Rgb:
        high, wide = rgb.shape[:2]
        shape = rng.uniform(0.85, 1.18) if share < 0.7 else 1.0
        box_high, box_wide = (
            round(math.sqrt(share) * high / shape),
            round(math.sqrt(share) * wide * shape),
        )
        top = int(rng.integers(0, high - box_high + 1))
        left = int(rng.integers(0, wide - box_wide + 1))
        return np.ascontiguousarray(rgb[top : top + box_high, left : left + box_wide])

    return edit


def mirror(rgb: Rgb, _rng: Rng) -> Rgb:
    """Exchange left and right."""
    return np.ascontiguousarray(rgb[:, ::-1])


def quarter_turn(rgb: Rgb, _rng: Rng) -> Rgb:
    """Rotate by 90 degrees, counter-clockwise."""
    return np.ascontiguousarray(np.rot90(rgb))


def turn(degrees: float) -> Edit:
    """Return an edit that rotates in a random direction, then crops to the largest upright
    rectangle inside.
    """

    def edit(rgb: Rgb, rng: Rng) -> Rgb:
        turned = _turned(rgb, degrees * rng.choice((-1.0, 1.0)))
        wide, high = inner_box(rgb.shape[1], rgb.shape[0], math.radians(degrees))
        top, left = (turned.shape[0] - high) // 2, (turned.shape[1] - wide) // 2
        return np.ascontiguousarray(turned[top : top + high, left : left + wide])

    return edit


def turn_whole(degrees: float) -> Edit:
    """Return an edit that rotates in a random direction, on white, without cutting anything off."""
    return lambda rgb, rng: _turned(rgb, degrees * rng.choice((-1.0, 1.0)))


def inner_box(wide: int, high: int, angle: float) -> tuple[int, int]:
    """Return the width and height of the largest upright rectangle inside a rotated picture.

    The picture is ``wide`` x ``high`` pixels and is rotated by ``angle`` radians. Both results are
    rounded down to whole pixels and reduced by a margin of 2.
    """
    sine, cosine = abs(math.sin(angle)), abs(math.cos(angle))
    long, short = max(wide, high), min(wide, high)
    if short <= 2 * sine * cosine * long or abs(sine - cosine) < 1e-9:
        half = 0.5 * short
        across, down = (
            (half / sine, half / cosine) if wide >= high else (half / cosine, half / sine)
        )
    else:
        double = cosine * cosine - sine * sine
        across = (wide * cosine - high * sine) / double
        down = (high * cosine - wide * sine) / double
    return max(1, math.floor(across) - 2), max(1, math.floor(down) - 2)


def _turned(rgb: Rgb, degrees: float) -> Rgb:
    high, wide = rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D(((wide - 1) / 2, (high - 1) / 2), degrees, 1.0)
    sine, cosine = abs(matrix[0, 1]), abs(matrix[0, 0])
    across, down = math.ceil(high * sine + wide * cosine), math.ceil(high * cosine + wide * sine)
    matrix[:, 2] += ((across - wide) / 2, (down - high) / 2)
    turned = cv2.warpAffine(
        rgb, matrix, (across, down), flags=cv2.INTER_CUBIC, borderValue=(255, 255, 255)
    )
    return np.asarray(turned, np.uint8)


def _scaled(rgb: Rgb, across: float, down: float) -> Rgb:
    if across == down == 1.0:
        return rgb
    return resize_to(rgb, round(rgb.shape[1] * across), round(rgb.shape[0] * down))
