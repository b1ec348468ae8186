"""Edits that lay things over, around or beside a picture."""

from typing import Final

import cv2
import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageFont

from bench.attacks.frame import resize_to
from bench.attacks.kinds import Edit, Rgb, Rng

_NEIGHBOURS: Final = ("rocket", "retina", "hubble_deep_field")
_WORDS: Final = ("when you find out", "nobody:", "look at this", "who sent this?", "me on monday")


def write(rgb: Rgb, words: str, middle: tuple[float, float], size: int, ink: str) -> Rgb:
    """Write outlined words in a font of ``size`` pixels and the colour ``ink``.

    ``middle`` is the column and the row of their centre, as shares of the width and the height.
    """
    picture = Image.fromarray(rgb)
    ImageDraw.Draw(picture).text(
        (middle[0] * picture.width, middle[1] * picture.height),
        words,
        fill=ink,
        font=ImageFont.load_default(max(8, size)),
        anchor="mm",
        stroke_width=max(1, size // 14),
        stroke_fill="black" if ink == "white" else "white",
    )
    return np.asarray(picture)


def caption(rgb: Rgb, rng: Rng) -> Rgb:
    """Make a meme: add white bars above and below with words in them, and words on the picture."""
    high, wide = rgb.shape[:2]
    bar, size = round(0.14 * high), round(0.06 * wide)
    framed = np.pad(rgb, ((bar, bar), (0, 0), (0, 0)), constant_values=255)
    top, bottom, across = rng.choice(_WORDS, 3)
    edge = 0.5 * bar / framed.shape[0]
    framed = write(framed, top, (0.5, edge), size, "black")
    framed = write(framed, bottom, (0.5, 1 - edge), size, "black")
    return write(framed, across.upper(), (0.5, rng.uniform(0.6, 0.75)), size, "white")


def sticker(rgb: Rgb, rng: Rng) -> Rgb:
    """Put a yellow face near the middle; its diameter is two fifths of the short side."""
    out = rgb.copy()
    high, wide = rgb.shape[:2]
    radius = min(high, wide) // 5
    x = round(wide * rng.uniform(0.35, 0.65))
    y = round(high * rng.uniform(0.35, 0.65))
    cv2.circle(out, (x, y), radius, (255, 205, 60), -1, cv2.LINE_AA)
    for side in (-1, 1):
        eye = (x + side * radius // 3, y - radius // 4)
        cv2.circle(out, eye, radius // 7, (60, 40, 10), -1, cv2.LINE_AA)
    half = (radius // 2, radius // 2)
    cv2.ellipse(out, (x, y), half, 0, 20, 160, (60, 40, 10), radius // 12 + 1, cv2.LINE_AA)
    return out


def blur_region(rgb: Rgb, rng: Rng) -> Rgb:
    """Blur a box with a quarter of the area until it is unreadable, as is done with faces."""
    out = rgb.copy()
    high, wide = rgb.shape[:2]
    top, left = int(rng.integers(high // 2)), int(rng.integers(wide // 2))
    box = out[top : top + high // 2, left : left + wide // 2]
    box[:] = cv2.GaussianBlur(box, (0, 0), max(high, wide) / 40)
    return out


def tiles(rgb: Rgb, rng: Rng) -> Rgb:
    """Hide a third of the picture under grey tiles of an eighth of its height and width."""
    out = rgb.copy()
    high, wide = rgb.shape[0] // 8, rgb.shape[1] // 8
    for place in rng.choice(64, 21, replace=False):
        row, column = divmod(int(place), 8)
        out[row * high : (row + 1) * high, column * wide : (column + 1) * wide] = 128
    return out


def borders(rgb: Rgb, rng: Rng) -> Rgb:
    """Add a frame of one random colour; on each side it is 3 to 10 % of the height or width."""
    sides = [round(s * rng.uniform(0.03, 0.1)) for s in np.repeat(rgb.shape[:2], 2)]
    colour = tuple(int(v) for v in rng.integers(0, 256, 3))
    framed = cv2.copyMakeBorder(rgb, *sides, cv2.BORDER_CONSTANT, value=colour)
    return np.asarray(framed, np.uint8)


def black_bars(rgb: Rgb, _rng: Rng) -> Rgb:
    """Add black bars above and below a picture that is wider than 9 : 16, to fill that format."""
    high, wide = rgb.shape[:2]
    bar = max(0, (round(wide * 16 / 9) - high) // 2)
    return np.pad(rgb, ((bar, bar), (0, 0), (0, 0)))


def collage(others: int) -> Edit:
    """Return an edit that makes 2 x 2 tiles with white seams; one of them is the picture, at half
    its size.
    """

    def edit(rgb: Rgb, rng: Rng) -> Rgb:
        high, wide, seam = rgb.shape[0] // 2, rgb.shape[1] // 2, max(2, rgb.shape[1] // 100)
        cells = [resize_to(rgb, wide, high)]
        cells += [resize_to(_neighbour(n), wide, high) for n in range(others)]
        page = np.full((2 * high + 3 * seam, 2 * wide + 3 * seam, 3), 255, np.uint8)
        for place, cell in enumerate(rng.permutation(4)):
            top = seam + (place // 2) * (high + seam)
            left = seam + (place % 2) * (wide + seam)
            page[top : top + high, left : left + wide] = cells[cell]
        return page

    return edit


def _neighbour(number: int) -> Rgb:
    # The tile has no mark. Of the photographs in _NEIGHBOURS, only the rocket is also marked and
    # traced by the benchmarks.
    return np.asarray(getattr(skimage.data, _NEIGHBOURS[number % 3])())[..., :3]
