"""Noise, blur, sharpening, and denoising filters."""

import cv2
import numpy as np

from bench.attacks.frame import resize_to
from bench.attacks.kinds import Edit, Rgb, Rng
from bench.attacks.tones import to_bytes

_PLENTY_PX = 3_000_000


def noise(sd: float) -> Edit:
    """Return an edit that adds independent Gaussian noise of ``sd`` grey levels to each colour."""
    return lambda rgb, rng: to_bytes(rgb + sd * rng.standard_normal(rgb.shape, np.float32))


def salt(share: float) -> Edit:
    """Return an edit that makes a random ``share`` of the pixels black or white."""

    def edit(rgb: Rgb, rng: Rng) -> Rgb:
        out, noise = rgb.copy(), rng.random(rgb.shape[:2], np.float32)
        out[noise < share / 2] = 0
        out[noise > 1 - share / 2] = 255
        return out

    return edit


def blur(sigma: float) -> Edit:
    """Return a Gaussian blur; ``sigma`` is in pixels."""
    return lambda rgb, _rng: np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma), np.uint8)


def median(side: int) -> Edit:
    """Return a median filter over squares of ``side`` x ``side`` pixels."""
    return lambda rgb, _rng: np.asarray(cv2.medianBlur(rgb, side), np.uint8)


def sharpen(rgb: Rgb, _rng: Rng) -> Rgb:
    """Sharpen with an unsharp mask: 150 % at 1.5 px."""
    soft = cv2.GaussianBlur(rgb, (0, 0), 1.5).astype(np.float32)
    return to_bytes(rgb + 1.5 * (rgb - soft))


def bilateral(rgb: Rgb, _rng: Rng) -> Rgb:
    """Smooth surfaces but keep edges, as "beauty" filters do."""
    return np.asarray(cv2.bilateralFilter(rgb, 7, 30, 5), np.uint8)


def nlmeans(strength: float) -> Edit:
    """Return a non-local means filter.

    For large pictures, its search window is smaller, so that it ends within a minute.
    """

    def edit(rgb: Rgb, _rng: Rng) -> Rgb:
        search = 21 if rgb.shape[0] * rgb.shape[1] < _PLENTY_PX else 9
        out = cv2.fastNlMeansDenoisingColored(rgb, None, strength, strength, 5, search)
        return np.asarray(out, np.uint8)

    return edit


def down_and_up(factor: float) -> Edit:
    """Return an edit that reduces the picture by ``factor``, then enlarges it to its old size."""

    def edit(rgb: Rgb, _rng: Rng) -> Rgb:
        high, wide = rgb.shape[:2]
        return resize_to(resize_to(rgb, round(wide * factor), round(high * factor)), wide, high)

    return edit
