"""A found picture is laid over the sent one to a fraction of a pixel, or not at all."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from entrenous.craft.align.features import features, likeness
from entrenous.craft.align.geometry import carried, corners, mirroring, resizing
from entrenous.craft.align.lay import lay_over, lay_under
from entrenous.craft.align.register import Registration, register

Pixels = NDArray[np.uint8]


def warped(pixels: Pixels, homography: np.ndarray, size: tuple[int, int]) -> Pixels:
    laid = cv2.warpPerspective(pixels, homography, size, flags=cv2.INTER_CUBIC)
    return np.asarray(laid, np.uint8)


def coded(pixels: Pixels, quality: int = 60) -> Pixels:
    _, file = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR_BGR), np.uint8)


def off_by_px(registration: Registration, truth: np.ndarray) -> float:
    """Largest error inside the sent picture, in found pixels."""
    width, height = registration.sent_size
    grid = np.stack(np.meshgrid(np.linspace(0, width, 9), np.linspace(0, height, 9)), -1)
    seen = carried(truth, grid.reshape(-1, 2))
    inside = ((seen >= 0) & (seen < registration.found_size)).all(axis=1)
    guessed = carried(registration.homography, grid.reshape(-1, 2))
    return float(np.abs(guessed - seen)[inside].max())


def test_an_upright_crop_is_exact(cat: Pixels) -> None:
    found = register(coded(cat[40:260, 60:400]), cat)
    assert found is not None
    assert off_by_px(found, np.array([[1.0, 0, -60], [0, 1, -40], [0, 0, 1]])) < 1e-3
    assert found.warp.kept == pytest.approx(220 * 340 / (300 * 451), abs=1e-3)
    assert not found.warp.mirrored


def test_a_resized_crop_is_exact(cat: Pixels) -> None:
    cut = np.ascontiguousarray(cat[30:270, 51:411])
    small = cv2.resize(cut, (288, 192), interpolation=cv2.INTER_AREA)
    found = register(coded(small), cat)
    assert found is not None
    truth = resizing((360, 240), (288, 192)) @ np.array([[1.0, 0, -51], [0, 1, -30], [0, 0, 1]])
    assert off_by_px(found, truth) < 1e-3
    assert found.warp.scale == pytest.approx(0.8, abs=1e-3)


def test_a_mirror_is_seen(rocket: Pixels) -> None:
    found = register(coded(np.ascontiguousarray(rocket[:, ::-1])), rocket)
    assert found is not None
    assert found.warp.mirrored
    assert found.warp.turned_deg == pytest.approx(0.0, abs=0.01)
    assert off_by_px(found, mirroring((640, 427))) < 1e-3


@pytest.mark.parametrize("degrees", [-37.0, 180.0])
def test_a_turn_is_measured(degrees: float, cat: Pixels) -> None:
    turn = np.vstack([cv2.getRotationMatrix2D((225.0, 149.5), degrees, 0.9), [0.0, 0.0, 1.0]])
    truth = np.array([[1.0, 0, 25], [0, 1, 100], [0, 0, 1]]) @ turn
    found = register(coded(warped(cat, truth, (500, 500)), 70), cat)
    assert found is not None
    apart = (found.warp.turned_deg - degrees + 180.0) % 360.0 - 180.0
    assert abs(apart) < 0.05
    assert off_by_px(found, truth) < 0.15


def test_a_photographed_screen_is_straightened(rocket: Pixels) -> None:
    seen = np.float32([[60, 40], [600, 70], [575, 440], [40, 410]])
    truth = cv2.getPerspectiveTransform(corners((640, 427)).astype(np.float32), seen)
    found = register(coded(warped(rocket, truth, (640, 480)), 80), rocket)
    assert found is not None
    assert off_by_px(found, truth) < 0.35


def test_a_calm_picture_is_found_without_features() -> None:
    y, x = np.mgrid[0:300, 0:400]
    calm = np.exp(-((x - 130) ** 2 + (y - 180) ** 2) / 9000.0) * 150 + x * 0.1 + 30
    dunes = np.stack([calm, calm * 0.9, calm * 0.7], axis=-1).astype(np.uint8)
    small = cv2.resize(dunes, (200, 150), interpolation=cv2.INTER_AREA)
    found = register(coded(small, 90), dunes)
    assert found is not None
    assert found.inliers == 0
    assert off_by_px(found, resizing((400, 300), (200, 150))) < 0.5


def test_another_picture_is_not_taken_for_this_one(cat: Pixels, rocket: Pixels) -> None:
    assert register(rocket, cat) is None


def test_a_blank_picture_is_not_taken_for_this_one(cat: Pixels) -> None:
    assert register(np.full((200, 300, 3), 99, np.uint8), cat) is None


def test_kept_features_serve_as_well(cat: Pixels, rocket: Pixels) -> None:
    found = coded(cat[40:260, 60:400])
    kept = features(cat)
    assert register(found, cat, kept) == register(found, cat)
    seen = features(found)
    assert likeness(seen, kept) > 5 * likeness(seen, features(rocket))


def test_laying_over_undoes_the_crop(cat: Pixels) -> None:
    found = np.ascontiguousarray(cat[40:260, 60:400])
    registration = register(found, cat)
    assert registration is not None
    laid, covered = lay_over(found, registration)
    assert laid.shape == cat.shape
    assert np.array_equal(laid[covered], cat[covered])
    assert covered.sum() == 220 * 340
    under, inside = lay_under(cat, registration)
    assert np.array_equal(under, found)
    assert inside.all()


def test_a_plane_of_numbers_is_laid_over_too(cat: Pixels) -> None:
    registration = register(cat, cat)
    assert registration is not None
    plane = cat[:, :, 0].astype(np.float32) / 3
    laid, _ = lay_over(plane, registration)
    assert laid.dtype == np.float32
    assert np.abs(laid - plane).max() < 1e-3
