"""Filters, tone curves, and edits that change or remove colours."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.attacks.bend import centred
from bench.attacks.kinds import Edit, Rgb, Rng

_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
_SEPIA: Final = np.array(
    [[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]], np.float32
)


def to_bytes(samples: NDArray[np.floating]) -> Rgb:
    """Round and clip grey levels to 8 bits."""
    return np.clip(np.rint(samples), 0, 255).astype(np.uint8)


def through_curve(rgb: Rgb, curve: NDArray[np.floating]) -> Rgb:
    """Replace grey levels by those of ``curve``: 256 for all three colours, or 256 x 3."""
    table = to_bytes(np.broadcast_to(np.reshape(curve, (256, -1)), (256, 3)))
    return np.stack([table[rgb[..., c], c] for c in range(3)], axis=-1)


def gamma(exponent: float) -> Edit:
    """Return an edit that brightens if ``exponent`` is below 1, and darkens if it is above 1."""
    return lambda rgb, _rng: through_curve(rgb, 255 * (np.arange(256) / 255) ** exponent)


def contrast(factor: float) -> Edit:
    """Return an edit that multiplies the contrast around the middle grey."""
    return lambda rgb, _rng: through_curve(rgb, 128 + factor * (np.arange(256) - 128.0))


def posterise(levels: int) -> Edit:
    """Return an edit that leaves ``levels`` levels per colour."""
    step = 255 / (levels - 1)
    return lambda rgb, _rng: through_curve(rgb, np.rint(np.arange(256) / step) * step)


def invert(rgb: Rgb, _rng: Rng) -> Rgb:
    """Return the negative."""
    return np.asarray(255 - rgb, np.uint8)


def grey(rgb: Rgb, _rng: Rng) -> Rgb:
    """Return the luma alone, as three equal colours."""
    return np.repeat(to_bytes(rgb @ _LUMA)[..., None], 3, axis=2)


def sepia(rgb: Rgb, _rng: Rng) -> Rgb:
    """Apply the usual sepia matrix."""
    return to_bytes(rgb @ _SEPIA.T)


def saturate(factor: float) -> Edit:
    """Return an edit that moves colours away from grey (``factor`` above 1) or towards it."""

    def edit(rgb: Rgb, _rng: Rng) -> Rgb:
        luma = (rgb @ _LUMA)[..., None]
        return to_bytes(luma + factor * (rgb - luma))

    return edit


def clahe(rgb: Rgb, _rng: Rng) -> Rgb:
    """Even out local contrast, as "HDR" filters do."""
    luma, red, blue = cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb))
    even = cv2.createCLAHE(3.0, (8, 8)).apply(luma)
    return np.asarray(cv2.cvtColor(cv2.merge((even, red, blue)), cv2.COLOR_YCrCb2RGB), np.uint8)


def vignette(strength: float) -> Edit:
    """Return an edit that darkens towards the corners.

    The corners lose the share ``strength`` of their brightness.
    """

    def edit(rgb: Rgb, _rng: Rng) -> Rgb:
        across, down = centred(rgb)
        return to_bytes(rgb * (1 - strength * (across**2 + down**2))[..., None])

    return edit


def photo_filter(
    gains: tuple[float, float, float], lift: float, saturation: float, shade: float
) -> Edit:
    """Return a filter like those of camera apps: S-curve, lifted blacks, colour cast, saturation,
    vignette.
    """

    def edit(rgb: Rgb, rng: Rng) -> Rgb:
        x = np.arange(256)[:, None] / 255
        curve = 0.7 * x + 0.3 * (3 * x**2 - 2 * x**3)
        toned = through_curve(rgb, 255 * (lift + (1 - lift) * curve) * np.array(gains))
        return vignette(shade)(saturate(saturation)(toned, rng), rng)

    return edit


FILTERS: Final = {
    "warm": photo_filter((1.06, 1.0, 0.86), 0.0, 1.15, 0.25),
    "cool": photo_filter((0.88, 1.0, 1.07), 0.02, 1.05, 0.2),
    "fade": photo_filter((1.0, 0.98, 0.95), 0.14, 0.7, 0.15),
    "vivid": photo_filter((1.02, 1.02, 1.02), 0.0, 1.6, 0.35),
}
"""Four photo filters, by name."""
