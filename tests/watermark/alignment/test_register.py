"""Tests of registering found pictures: crops, turns, screens, collages, unrelated pictures."""

import io

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from entrenous.watermark.alignment.features import (
    Features,
    extract_features,
    flip_descriptors,
    match_features,
    wrap_found_picture,
)
from entrenous.watermark.alignment.image_registration import FoundBy, Registration, register
from entrenous.watermark.alignment.resample import warp_to_found, warp_to_sent
from entrenous.watermark.alignment.transforms import (
    apply_homography,
    mirroring,
    picture_corners,
    resizing,
)

pytestmark = pytest.mark.slow

Pixels = NDArray[np.uint8]


def warp_picture(pixels: Pixels, homography: np.ndarray, size: tuple[int, int]) -> Pixels:
    laid = cv2.warpPerspective(pixels, homography, size, flags=cv2.INTER_CUBIC)
    return np.asarray(laid, np.uint8)


def recode_jpeg(pixels: Pixels, quality: int = 60) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"))


def largest_error_px(registration: Registration, truth: np.ndarray) -> float:
    """Return the largest error of the alignment at the points of a grid, in found pixels.

    Points that lie outside the found picture are left out.
    """
    width, height = registration.sent_size
    grid = np.stack(np.meshgrid(np.linspace(0, width, 9), np.linspace(0, height, 9)), -1)
    seen = apply_homography(truth, grid.reshape(-1, 2))
    inside = ((seen >= 0) & (seen < registration.found_size)).all(axis=1)
    guessed = apply_homography(registration.homography, grid.reshape(-1, 2))
    return float(np.abs(guessed - seen)[inside].max())


def test_an_upright_crop_is_exact(cat: Pixels) -> None:
    found = register(recode_jpeg(cat[40:260, 60:400]), cat)
    assert found is not None
    assert largest_error_px(found, np.array([[1.0, 0, -60], [0, 1, -40], [0, 0, 1]])) < 1e-3
    assert found.warp.kept == pytest.approx(220 * 340 / (300 * 451), abs=1e-3)
    assert not found.warp.mirrored


def test_a_resized_crop_is_exact(cat: Pixels) -> None:
    cut = np.ascontiguousarray(cat[30:270, 51:411])
    small = cv2.resize(cut, (288, 192), interpolation=cv2.INTER_AREA)
    found = register(recode_jpeg(small), cat)
    assert found is not None
    truth = resizing((360, 240), (288, 192)) @ np.array([[1.0, 0, -51], [0, 1, -30], [0, 0, 1]])
    assert largest_error_px(found, truth) < 1e-3
    assert found.warp.scale == pytest.approx(0.8, abs=1e-3)


def test_a_whole_picture_out_of_focus_that_was_scaled_down_is_exact(rocket: Pixels) -> None:
    large = Image.fromarray(rocket).resize((1920, 1281))
    sent = np.asarray(large.filter(ImageFilter.GaussianBlur(12)))
    small = Image.fromarray(sent).resize((1440, 960))
    found = register(recode_jpeg(np.asarray(small)), sent, thorough=False)
    assert found is not None
    assert largest_error_px(found, resizing((1920, 1281), (1440, 960))) < 1e-3


def test_mirrored_picture_is_recognised(rocket: Pixels) -> None:
    found = register(recode_jpeg(np.ascontiguousarray(rocket[:, ::-1])), rocket)
    assert found is not None
    assert found.warp.mirrored
    assert found.warp.turned_deg == pytest.approx(0.0, abs=0.01)
    assert largest_error_px(found, mirroring((640, 427))) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("degrees", [-37.0, 180.0])
def test_a_rotation_is_measured(degrees: float, cat: Pixels) -> None:
    turn = np.vstack([cv2.getRotationMatrix2D((225.0, 149.5), degrees, 0.9), [0.0, 0.0, 1.0]])
    truth = np.array([[1.0, 0, 25], [0, 1, 100], [0, 0, 1]]) @ turn
    found = register(recode_jpeg(warp_picture(cat, truth, (500, 500)), 70), cat)
    assert found is not None
    apart = (found.warp.turned_deg - degrees + 180.0) % 360.0 - 180.0
    assert abs(apart) < 0.05
    assert largest_error_px(found, truth) < 0.1


def test_a_photographed_screen_is_straightened(rocket: Pixels) -> None:
    seen = np.float32([[60, 40], [600, 70], [575, 440], [40, 410]])
    truth = cv2.getPerspectiveTransform(picture_corners((640, 427)).astype(np.float32), seen)
    found = register(recode_jpeg(warp_picture(rocket, truth, (640, 480)), 80), rocket)
    assert found is not None
    assert largest_error_px(found, truth) < 0.12
    assert not found.is_bent


@pytest.mark.slow
def test_a_smooth_picture_is_found_without_features() -> None:
    y, x = np.mgrid[0:300, 0:400]
    calm = np.exp(-((x - 130) ** 2 + (y - 180) ** 2) / 9000.0) * 150 + x * 0.1 + 30
    dunes = np.stack([calm, calm * 0.9, calm * 0.7], axis=-1).astype(np.uint8)
    small = cv2.resize(dunes, (200, 150), interpolation=cv2.INTER_AREA)
    found = register(recode_jpeg(small, 90), dunes)
    assert found is not None
    assert found.inliers == 0
    assert largest_error_px(found, resizing((400, 300), (200, 150))) < 0.5


@pytest.mark.slow
def test_an_unrelated_picture_is_not_registered(cat: Pixels, rocket: Pixels) -> None:
    assert register(rocket, cat) is None


@pytest.mark.slow
def test_a_blank_picture_is_not_registered(cat: Pixels) -> None:
    assert register(np.full((200, 300, 3), 99, np.uint8), cat) is None


@pytest.mark.slow
def test_stored_features_give_the_same_registration(cat: Pixels, rocket: Pixels) -> None:
    found = recode_jpeg(cat[40:260, 60:400])
    kept = extract_features(cat)
    with_kept, without = register(found, cat, kept), register(found, cat)
    assert with_kept is not None
    assert without is not None
    assert with_kept.warp == without.warp
    seen = extract_features(found)
    assert len(match_features(seen, kept)[0]) > 5 * len(
        match_features(seen, extract_features(rocket))[0]
    )


def test_warping_to_the_sent_grid_undoes_the_crop(cat: Pixels) -> None:
    found = np.ascontiguousarray(cat[40:260, 60:400])
    registration = register(found, cat)
    assert registration is not None
    laid, covered = warp_to_sent(found, registration)
    assert laid.shape == cat.shape
    assert np.array_equal(laid[covered], cat[covered])
    assert covered.sum() == 220 * 340
    under, inside = warp_to_found(cat, registration)
    assert np.array_equal(under, found)
    assert inside.all()


def test_float_plane_is_warped(cat: Pixels) -> None:
    registration = register(cat, cat)
    assert registration is not None
    plane = cat[:, :, 0].astype(np.float32) / 3
    laid, _ = warp_to_sent(plane, registration)
    assert laid.dtype == np.float32
    assert np.abs(laid - plane).max() < 1e-3


def test_a_mirrored_rotation_is_measured(rocket: Pixels) -> None:
    turn = np.vstack([cv2.getRotationMatrix2D((319.5, 213.0), 37.0, 0.8), [0.0, 0.0, 1.0]])
    truth = turn @ mirroring((640, 427))
    found = register(
        recode_jpeg(warp_picture(rocket, truth, (640, 427)), 70), rocket, thorough=False
    )
    assert found is not None
    assert found.warp.mirrored
    assert largest_error_px(found, truth) < 0.1


def test_picture_with_inverted_colours_is_registered(cat: Pixels) -> None:
    found = register(recode_jpeg(255 - cat[20:280, 30:430]), cat, thorough=False)
    assert found is not None
    assert found.misfit < 0.3
    assert largest_error_px(found, np.array([[1.0, 0, -30], [0, 1, -20], [0, 0, 1]])) < 1e-3


def test_a_twentieth_of_the_area_is_enough(rocket: Pixels) -> None:
    cut = np.ascontiguousarray(rocket[180:276, 250:393])
    found = register(recode_jpeg(cut, 75), rocket)
    assert found is not None
    assert found.warp.kept == pytest.approx(0.05, abs=0.01)
    assert largest_error_px(found, np.array([[1.0, 0, -250], [0, 1, -180], [0, 0, 1]])) < 0.1


@pytest.mark.slow
def test_a_tile_of_a_collage_is_exact(cat: Pixels, rocket: Pixels) -> None:
    page = np.full((420, 660, 3), 235, np.uint8)
    page[5:205, 5:305] = cv2.resize(rocket, (300, 200), interpolation=cv2.INTER_AREA)
    page[210:410, 330:630] = cv2.resize(cat, (300, 200), interpolation=cv2.INTER_AREA)
    for picture, corner in ((cat, (330, 210)), (rocket, (5, 5))):
        found = register(recode_jpeg(page, 75), picture)
        assert found is not None
        size = (picture.shape[1], picture.shape[0])
        placed = np.array([[1.0, 0, corner[0]], [0, 1, corner[1]], [0, 0, 1]])
        assert largest_error_px(found, placed @ resizing(size, (300, 200))) < 0.05


def flat_graphic() -> Pixels:
    """Return a drawing of round shapes in few tones, without texture and with few corners."""
    page = np.full((300, 450, 3), (60, 40, 90), np.uint8)
    cv2.ellipse(page, (150, 320), (260, 150), 8.0, 0.0, 360.0, (90, 70, 120), -1, cv2.LINE_AA)
    cv2.ellipse(page, (380, 300), (180, 110), -5.0, 0.0, 360.0, (120, 95, 140), -1, cv2.LINE_AA)
    cv2.circle(page, (320, 80), 42, (230, 210, 190), -1, cv2.LINE_AA)
    cv2.circle(page, (338, 70), 36, (60, 40, 90), -1, cv2.LINE_AA)
    return page


@pytest.mark.slow
def test_a_turned_flat_graphic_is_found() -> None:
    degrees = 37.0
    page = flat_graphic()
    turn = np.vstack([cv2.getRotationMatrix2D((224.5, 149.5), degrees, 0.9), [0.0, 0.0, 1.0]])
    found = register(recode_jpeg(warp_picture(page, turn, (450, 300)), 80), page)
    assert found is not None
    assert abs(found.warp.turned_deg - degrees) < 0.5
    assert largest_error_px(found, turn) < 1.0


@pytest.mark.slow
def test_blurred_picture_is_registered(cat: Pixels) -> None:
    soft = cv2.GaussianBlur(cat, (0, 0), 12.0)
    found = register(recode_jpeg(soft, 90), soft)
    assert found is not None
    assert found.found_by in (FoundBy.WHOLE_FRAME, FoundBy.FEATURES)
    assert largest_error_px(found, np.eye(3)) < 0.5


def test_quick_registration_refuses_unrelated_pictures_and_reuses_features(
    cat: Pixels, rocket: Pixels
) -> None:
    seen = wrap_found_picture(recode_jpeg(cat[40:260, 60:400]))
    assert register(seen, rocket, thorough=False) is None
    found = register(seen, cat, thorough=False)
    assert found is not None
    assert found.found_by is FoundBy.FEATURES
    assert found.error_px < 0.1


@pytest.fixture(scope="module")
def cat_features(cat: Pixels) -> Features:
    return extract_features(cat)


@pytest.mark.parametrize(("mirrored", "inverted"), [(True, False), (False, True), (True, True)])
def test_flipped_descriptors_equal_those_of_the_flipped_picture(
    *, mirrored: bool, inverted: bool, cat: Pixels, cat_features: Features
) -> None:
    changed = cat[:, ::-1] if mirrored else cat
    changed = np.ascontiguousarray(255 - changed if inverted else changed)
    ours, theirs = match_features(
        extract_features(changed),
        flip_descriptors(cat_features, mirrored=mirrored, inverted=inverted),
    )
    truth = mirroring((451, 300)) if mirrored else np.eye(3)
    right = np.abs(apply_homography(truth, ours) - theirs).max(axis=1) < 1.0
    assert right.sum() > 800
    assert right.mean() > 0.97
