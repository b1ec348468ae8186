"""Tests of registering pictures changed by a lens, a wave, a tilted screen or a homography."""

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from entrenous.watermark.alignment.image_registration import Registration, register
from entrenous.watermark.alignment.transforms import apply_homography, invert_homography

pytestmark = pytest.mark.slow

Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]
FoundToSent = Callable[[Points], Points]  # maps found positions to sent positions


def distort_picture(pixels: Pixels, found_to_sent: FoundToSent) -> Pixels:
    height, width = pixels.shape[:2]
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 2)
    at = found_to_sent(grid.astype(np.float64)).reshape(height, width, 2).astype(np.float32)
    laid = cv2.remap(pixels, at[..., 0].copy(), at[..., 1].copy(), cv2.INTER_LANCZOS4)
    file = io.BytesIO()
    Image.fromarray(np.asarray(laid, np.uint8)).save(file, "JPEG", quality=80)
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"))


def rms_error_px(found: Registration, found_to_sent: FoundToSent) -> float:
    """Return the root mean square of ``position_errors_px``."""
    return float(np.sqrt((position_errors_px(found, found_to_sent) ** 2).mean()))


def position_errors_px(found: Registration, found_to_sent: FoundToSent) -> NDArray[np.float64]:
    width, height = found.found_size
    places = np.stack(
        np.meshgrid(np.linspace(0, width - 1, 21), np.linspace(0, height - 1, 21)), -1
    )
    places = places.reshape(-1, 2)
    came = found_to_sent(places)
    seen = ((came >= 0) & (came <= np.array(found.sent_size) - 1)).all(axis=1)
    return np.hypot(*(found.sent_to_found(came[seen]) - places[seen]).T)


def lens_mapping(size: tuple[int, int], strength: float) -> FoundToSent:
    middle, reach = (np.array(size) - 1) / 2, np.hypot(*size) / 2

    def found_to_sent(points: Points) -> Points:
        away = points - middle
        return middle + away * (1 + strength * (away**2).sum(axis=1, keepdims=True) / reach**2)

    return found_to_sent


def screen_mapping(size: tuple[int, int]) -> FoundToSent:
    """Return the mapping of found to sent positions for a lens in front of a tilted screen."""
    lean = np.array([[0.9, 0.03, 20], [-0.02, 0.88, 25], [4e-5, -3e-5, 1.0]])
    swell = lens_mapping(size, 0.03)
    return lambda points: apply_homography(invert_homography(lean), swell(points))


def wave_mapping(size: tuple[int, int], amplitude_px: float) -> FoundToSent:
    def found_to_sent(points: Points) -> Points:
        x, y = points.T / max(size) * 2 * np.pi
        return points + amplitude_px * np.stack(
            [np.sin(2.1 * y + 0.4) + np.cos(2.6 * x), np.sin(1.7 * x + y)], axis=1
        )

    return found_to_sent


@pytest.mark.parametrize("strength", [0.05, -0.08])
def test_a_lens_is_measured(strength: float, cat: Pixels) -> None:
    found_to_sent = lens_mapping((451, 300), strength)
    found = register(distort_picture(cat, found_to_sent), cat)
    assert found is not None
    assert found.is_bent
    assert found.pose.bend is None  # the two lens parameters describe the whole distortion
    assert found.warp.bent_px > 3.0
    assert rms_error_px(found, found_to_sent) < 0.1


def test_a_screen_photographed_askew_is_straightened(rocket: Pixels) -> None:
    found_to_sent = screen_mapping((640, 427))
    found = register(distort_picture(rocket, found_to_sent), rocket)
    assert found is not None
    assert found.is_bent
    assert rms_error_px(found, found_to_sent) < 0.15


def test_a_wave_is_corrected(cat: Pixels) -> None:
    found_to_sent = wave_mapping((451, 300), 2.0)
    found = register(distort_picture(cat, found_to_sent), cat)
    assert found is not None
    assert found.pose.bend is not None
    assert 1.0 < found.warp.bent_px < 8.0
    off = position_errors_px(found, found_to_sent)
    assert np.median(off) < 0.15
    assert np.sqrt((off**2).mean()) < 0.7


def test_a_plain_homography_is_not_bent(cat: Pixels) -> None:
    lean = np.array([[0.9, 0.04, 20], [-0.03, 0.95, 12], [5e-5, -8e-5, 1.0]])

    def found_to_sent(points: Points) -> Points:
        return apply_homography(invert_homography(lean), points)

    found = register(distort_picture(cat, found_to_sent), cat)
    assert found is not None
    assert not found.is_bent
    assert found.warp.bent_px == 0.0
    assert rms_error_px(found, found_to_sent) < 0.06
    assert rms_error_px(found, found_to_sent) < 5 * found.error_px + 0.02
