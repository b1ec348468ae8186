"""Screenshots, photographs of screens, and scans of printed paper."""

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.attacks.bend import grid, lens, waves
from bench.attacks.frame import resize_to
from bench.attacks.grain import blur, noise
from bench.attacks.kinds import Edit, Rgb, Rng
from bench.attacks.overlay import write
from bench.attacks.tones import gamma, to_bytes, vignette

_SHOWN_PX = 1_440
_SCREEN_PX = 1_920


def screenshot(*, dark: bool) -> Edit:
    """Return an edit that shows the picture as wide as a phone's screen, between bars with a clock,
    a name and buttons.
    """

    def edit(rgb: Rgb, rng: Rng) -> Rgb:
        wide = min(rgb.shape[1], _SHOWN_PX) * rng.uniform(0.85, 1.0)
        shown = resize_to(rgb, round(wide), round(wide * rgb.shape[0] / rgb.shape[1]))
        paper, ink = ((18, 18, 20), "white") if dark else ((250, 250, 250), "black")
        high = max(round(shown.shape[1] * 1.9), round(shown.shape[0] * 1.25))
        page = np.full((high, shown.shape[1], 3), paper, np.uint8)
        top = (high - shown.shape[0]) // 2
        page[top : top + shown.shape[0]] = shown
        size = shown.shape[1] // 24
        for words, place in (("9:41", (0.1, 0.02)), ("100 %", (0.88, 0.02))):
            page = write(page, words, place, size, ink)
        page = write(page, "< Ana    today 21:07", (0.35, 0.06), size, ink)
        return write(page, "reply     share     delete", (0.5, 0.96), size, ink)

    return edit


def screen_photo(rgb: Rgb, rng: Rng) -> Rgb:
    """Photograph the picture on a screen: perspective, slight lens distortion, moire between the
    screen's stripes and the camera's pixels, gamma, blur, vignette and noise.
    """
    fit = min(1.0, _SCREEN_PX / max(rgb.shape[:2]))
    shown = resize_to(rgb, round(rgb.shape[1] * fit), round(rgb.shape[0] * fit))
    photo, matrix = _photographed(shown, rng)
    striped = to_bytes(photo * _stripes(photo, matrix, rng))
    bent = lens(rng.uniform(0.01, 0.03))(striped, rng)
    soft = blur(rng.uniform(0.6, 1.0))(bent, rng)
    toned = vignette(rng.uniform(0.1, 0.3))(gamma(rng.uniform(0.8, 1.25))(soft, rng), rng)
    return noise(rng.uniform(2.0, 4.0))(toned, rng)


def print_scan(rgb: Rgb, rng: Rng) -> Rgb:
    """Print the picture in randomly dithered ink on curved, tinted paper, and scan it, slightly
    rotated.
    """
    dots = _printed(rgb, rng)
    high, wide = dots.shape[:2]
    page = np.pad(dots, ((high // 20,) * 2, (wide // 20,) * 2, (0, 0)), constant_values=255)
    matrix = cv2.getRotationMatrix2D(
        (page.shape[1] / 2, page.shape[0] / 2), rng.uniform(-1.5, 1.5), 1.0
    )
    flat = np.asarray(
        cv2.warpAffine(
            page, matrix, page.shape[1::-1], flags=cv2.INTER_CUBIC, borderValue=(255, 255, 255)
        ),
        np.uint8,
    )
    x, y = grid(flat)
    curved = cv2.remap(
        flat,
        (x + 0.002 * wide * waves(flat, 2, rng)).astype(np.float32),
        (y + 0.001 * high * waves(flat, 2, rng)).astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    tinted = to_bytes(curved * np.array([0.97, 0.95, 0.90]) + 6)
    return noise(4.0)(gamma(1.15)(tinted, rng), rng)


def _photographed(shown: Rgb, rng: Rng) -> tuple[Rgb, NDArray[np.float64]]:
    """Return the screen in perspective in a dark room, and the homography from screen to photo."""
    high, wide = shown.shape[:2]
    zoom = float(np.clip(1.6, 1_100 / max(high, wide), 2_600 / max(high, wide)))
    frame = (round(zoom * wide), round(zoom * high))
    inset = rng.uniform(0.05, 0.11, (4, 2))
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    corners = square + inset * (1 - 2 * square)
    matrix = cv2.getPerspectiveTransform(
        (square * (wide, high)).astype(np.float32), (corners * frame).astype(np.float32)
    )
    photo = cv2.warpPerspective(
        shown, matrix, frame, flags=cv2.INTER_CUBIC, borderValue=(24, 22, 26)
    )
    return np.asarray(photo, np.uint8), np.asarray(matrix, np.float64)


def _stripes(photo: Rgb, matrix: NDArray[np.float64], rng: Rng) -> NDArray[np.float32]:
    """Return the relative brightness of the screen's red, green and blue stripes at each camera
    pixel.

    The camera's pixels sample the stripes so sparsely that coarse patterns appear: moire.
    """
    x, y = grid(photo)
    back = np.linalg.inv(matrix)
    depth = back[2, 0] * x + back[2, 1] * y + back[2, 2]
    column = (back[0, 0] * x + back[0, 1] * y + back[0, 2]) / depth
    row = (back[1, 0] * x + back[1, 1] * y + back[1, 2]) / depth
    depth_of = rng.uniform(0.10, 0.18)
    rows = 1 + 0.5 * depth_of * np.cos(2 * np.pi * row)
    thirds = [1 + depth_of * np.cos(2 * np.pi * (column - c / 3)) for c in range(3)]
    return np.stack([rows * third for third in thirds], axis=-1).astype(np.float32)


def _printed(rgb: Rgb, rng: Rng) -> Rgb:
    """Print the picture in ink dots, which paper and scanner blur into each other.

    In pictures of up to 2,000 px, each side has twice as many dots as pixels.
    """
    high, wide = rgb.shape[:2]
    fine = resize_to(rgb, 2 * wide, 2 * high) if max(high, wide) <= 2_000 else rgb
    threshold = 255 * rng.random(fine.shape, np.float32)
    # Partly random dots, partly continuous: a photo printer has several sizes of drops.
    ink = np.where(fine > threshold, 255.0, 0.0)
    mixed = to_bytes(0.35 * ink + 0.65 * fine)
    soft = cv2.GaussianBlur(mixed, (0, 0), 1.2)
    return resize_to(np.asarray(soft, np.uint8), wide, high)
