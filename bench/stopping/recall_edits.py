"""The edits that are made to a registered picture before it is uploaded, by name.

Recall is measured for each edit. What the name of an edit leaves open (the position, the font size,
the words) is chosen at random for each picture.
"""

import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageFont

from bench.attacks.frame import mirror, quarter_turn, resize_to, scale, turn, turn_whole
from bench.attacks.grain import blur, noise
from bench.attacks.kinds import Attack, Edit, Rgb, Rng, attack, save_and_load
from bench.attacks.overlay import write
from bench.attacks.save import jpeg, load
from bench.attacks.screens import screenshot
from bench.attacks.tones import FILTERS, gamma, grey, invert, sepia
from bench.stopping.recall_pictures import Subject

_NEIGHBOURS: Final = ("retina", "hubble_deep_field", "immunohistochemistry")
_WORDS: Final = (
    "one does not simply",
    "walk into the office",
    "when you find out",
    "nobody:",
    "look at this",
    "me every monday morning",
    "who sent this to the group?",
    "not again",
)


def border(share: float) -> Edit:
    """Return an edit that adds a frame of one random colour, this share of each side wide."""

    def edit(rgb: Rgb, rng: Rng) -> Rgb:
        down, across = (round(share * side) for side in rgb.shape[:2])
        colour = tuple(int(level) for level in rng.integers(0, 256, 3))
        framed = cv2.copyMakeBorder(
            rgb, down, down, across, across, cv2.BORDER_CONSTANT, value=colour
        )
        return np.asarray(framed, np.uint8)

    return edit


def letterbox(aspect: float) -> Edit:
    """Return an edit that adds black bars until width divided by height is ``aspect``."""

    def edit(rgb: Rgb, _rng: Rng) -> Rgb:
        high, wide = rgb.shape[:2]
        down = max(0, round(wide / aspect) - high) // 2
        across = max(0, round(high * aspect) - wide) // 2
        return np.pad(rgb, ((down, down), (across, across), (0, 0)))

    return edit


def crop_area(off: float) -> Edit:
    """Return an edit that cuts off this share of the area.

    The rectangle that is kept has a random shape and position.
    """

    def edit(rgb: Rgb, rng: Rng) -> Rgb:
        tall = np.exp(rng.uniform(np.log(1 - off), 0.0))
        return _cut(rgb, tall, (1 - off) / tall, rng)

    return edit


def crop_sides(off: float) -> Edit:
    """Return an edit that cuts off this share of the height and width, at a random position."""
    return lambda rgb, rng: _cut(rgb, 1 - off, 1 - off, rng)


def cut(top: float = 0.0, bottom: float = 0.0, left: float = 0.0, right: float = 0.0) -> Edit:
    """Return an edit that cuts these shares of the height and width off the four sides."""

    def edit(rgb: Rgb, _rng: Rng) -> Rgb:
        high, wide = rgb.shape[:2]
        rows = slice(round(top * high), round((1 - bottom) * high))
        return np.ascontiguousarray(rgb[rows, round(left * wide) : round((1 - right) * wide)])

    return edit


def caption_bar(rgb: Rgb, rng: Rng) -> Rgb:
    """Add a white bar with words above or below the picture, 16 % of the picture's height."""
    bar = round(0.16 * rgb.shape[0])
    above = bool(rng.integers(2))
    framed = np.pad(rgb, ((bar * above, bar * (not above)), (0, 0), (0, 0)), constant_values=255)
    middle = 0.5 * bar / framed.shape[0]
    row = middle if above else 1 - middle
    return write(framed, str(rng.choice(_WORDS)), (0.5, row), round(0.45 * bar), "black")


def meme(rgb: Rgb, rng: Rng) -> Rgb:
    """Write white capitals with a black outline across the top and the bottom of the picture."""
    out = rgb
    for row in (rng.uniform(0.07, 0.13), rng.uniform(0.85, 0.93)):
        words = str(rng.choice(_WORDS)).upper()
        out = _outlined(out, words, float(row), rng)
    return out


def app(rgb: Rgb, rng: Rng) -> Rgb:
    """Show the picture in an app on a phone's screen, on a page with a title, words and buttons.

    The margin beside the picture is 0, 3 or 6 % of the width.
    """
    wide = 720
    margin = round(wide * rng.choice((0.0, 0.03, 0.06)))
    shown = resize_to(
        rgb, wide - 2 * margin, round((wide - 2 * margin) * rgb.shape[0] / rgb.shape[1])
    )
    high = max(1_480, round(shown.shape[0] * 1.3))
    paper, ink = ((250, 250, 250), "black") if rng.integers(2) else ((18, 18, 20), "white")
    page = np.full((high, wide, 3), paper, np.uint8)
    top = round(rng.uniform(0.12, 0.9) * (high - shown.shape[0] - 200)) + 100
    page[top : top + shown.shape[0], margin : margin + shown.shape[1]] = shown
    for words, place in (("9:41", (0.1, 0.02)), ("100 %", (0.88, 0.02)), ("Ana", (0.2, 0.05))):
        page = write(page, words, place, 28, ink)
    for line in range(5):
        row = top + shown.shape[0] + 60 + 44 * line
        if row < 0.93 * high:
            page = write(page, str(rng.choice(_WORDS)), (0.4, row / high), 26, ink)
    return write(page, "reply     share     delete", (0.5, 0.97), 30, ink)


def collage(down: int, across: int) -> Edit:
    """Return an edit that makes a grid of tiles, of which the picture is one.

    The other tiles are pictures of scikit-image; between the tiles are white seams, or none.
    """

    def edit(rgb: Rgb, rng: Rng) -> Rgb:
        high, wide = rgb.shape[0] // down, rgb.shape[1] // max(1, across)
        high, wide = (high, wide) if down > 1 else (rgb.shape[0] // 2, wide)
        seam = int(rng.choice((0, 4, max(4, wide // 40))))
        cells = [resize_to(rgb, wide, high)]
        cells += [resize_to(_neighbour(n), wide, high) for n in range(down * across - 1)]
        shape = (down * high + (down + 1) * seam, across * wide + (across + 1) * seam, 3)
        page = np.full(shape, 255, np.uint8)
        for place, cell in enumerate(rng.permutation(down * across)):
            top = seam + (place // across) * (high + seam)
            left = seam + (place % across) * (wide + seam)
            page[top : top + high, left : left + wide] = cells[cell]
        return page

    return edit


def sticker(share: float) -> Edit:
    """Return an edit that covers this share of the area with a disc of one colour.

    The disc is at a random place inside the picture. If a disc of this size does not fit into the
    picture, it is smaller.
    """

    def edit(rgb: Rgb, rng: Rng) -> Rgb:
        out = rgb.copy()
        high, wide = rgb.shape[:2]
        radius = min(round(np.sqrt(share * high * wide / np.pi)), min(high, wide) // 2 - 1)
        middle = (
            int(rng.integers(radius, wide - radius)),
            int(rng.integers(radius, high - radius)),
        )
        colour = tuple(int(level) for level in rng.integers(0, 256, 3))
        cv2.circle(out, middle, radius, colour, -1, cv2.LINE_AA)
        return out

    return edit


def _cut(rgb: Rgb, tall: float, broad: float, rng: Rng) -> Rgb:
    high, wide = rgb.shape[:2]
    rows, columns = round(tall * high), round(broad * wide)
    top, left = int(rng.integers(0, high - rows + 1)), int(rng.integers(0, wide - columns + 1))
    return np.ascontiguousarray(rgb[top : top + rows, left : left + columns])


def _outlined(rgb: Rgb, words: str, row: float, rng: Rng) -> Rgb:
    """Write outlined words with their middle at ``row``, a share of the height.

    The font size is 7 to 12 % of the height, or less if the words would be too wide.
    """
    picture = Image.fromarray(rgb)
    wanted = rng.uniform(0.07, 0.12) * picture.height
    name = str(rng.choice(("DejaVuSans-Bold.ttf", "DejaVuSansCondensed-Bold.ttf", "")))
    font = ImageFont.truetype(name, round(wanted)) if name else ImageFont.load_default(wanted)
    length = font.getlength(words)
    if length > 0.94 * picture.width:
        size = wanted * 0.94 * picture.width / length
        font = ImageFont.truetype(name, round(size)) if name else ImageFont.load_default(size)
    ImageDraw.Draw(picture).text(
        (0.5 * picture.width, row * picture.height),
        words,
        fill="white",
        font=font,
        anchor="mm",
        stroke_width=max(1, round(wanted / 14)),
        stroke_fill="black",
    )
    return np.asarray(picture)


def _neighbour(number: int) -> Rgb:
    return np.asarray(getattr(skimage.data, _NEIGHBOURS[number % 3])())[..., :3]


_Q: Final = jpeg(80)
EDITS: Final[Mapping[str, Attack]] = MappingProxyType(
    {
        "jpeg 10": attack(save=jpeg(10)),
        "quarter size": attack(scale(0.25), save=_Q),
        "mirror": attack(mirror, save=_Q),
        "turn 90": attack(quarter_turn, save=_Q),
        "inverted": attack(invert, save=_Q),
        "grey": attack(grey, save=_Q),
        "sepia": attack(sepia, save=_Q),
        "blur": attack(blur(3.0), save=_Q),
        "noise": attack(noise(15), save=_Q),
        "gamma 0.6": attack(gamma(0.6), save=_Q),
        "gamma 1.7": attack(gamma(1.7), save=_Q),
        **{f"filter {name}": attack(edit, save=_Q) for name, edit in FILTERS.items()},
        **{f"border {n}": attack(border(n / 100), save=_Q) for n in (2, 5, 10, 20)},
        "letterbox 1:1": attack(letterbox(1.0), save=_Q),
        "letterbox 9:16": attack(letterbox(9 / 16), save=_Q),
        **{f"crop {n} of area": attack(crop_area(n / 100), save=_Q) for n in (2, 5, 10, 20, 30)},
        **{f"crop {n} of sides": attack(crop_sides(n / 100), save=_Q) for n in (2, 5, 10, 20, 30)},
        "cut bottom 20": attack(cut(bottom=0.2), save=_Q),
        "cut left 25": attack(cut(left=0.25), save=_Q),
        **{f"turn {n}": attack(turn(n), save=_Q) for n in (1, 2, 5, 10)},
        "turn 5, corners": attack(turn_whole(5), save=_Q),
        "caption bar": attack(caption_bar, save=_Q),
        "meme text": attack(meme, save=_Q),
        "screenshot": attack(screenshot(dark=False), save=_Q),
        "screenshot, dark": attack(screenshot(dark=True), save=_Q),
        "screenshot of an app": attack(app, save=_Q),
        "collage 1x2": attack(collage(1, 2), save=_Q),
        "collage 2x2": attack(collage(2, 2), save=_Q),
        "sticker 5": attack(sticker(0.05), save=_Q),
        "sticker 15": attack(sticker(0.15), save=_Q),
        "chat chain": attack(crop_sides(0.02), scale(0.5), save=jpeg(40)),
        "mirror, crop 10 of sides": attack(mirror, crop_sides(0.1), save=_Q),
        "crop 10 of sides, screenshot": attack(
            crop_sides(0.1), save_and_load(_Q, load), screenshot(dark=False), save=_Q
        ),
    }
)
"""All edits by name, in the order of the report."""


def edited(seed: int, edit: str, subject: Subject) -> bytes:
    """Return the upload of an edited photograph, as a file.

    The random choices depend only on the seed, the edit and the photograph's name. So they are the
    same in every process and in every benchmark.
    """
    of = (zlib.crc32(one.encode()) for one in (edit, subject.name))
    return EDITS[edit](subject.rgb, np.random.default_rng([seed, *of]))
