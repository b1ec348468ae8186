"""Tests of matching crops: registered windows, mirrored and slight crops, and stickers."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import cv2
import numpy as np
import pytest

from entrenous.base.picture import Picture
from entrenous.fingerprint.borders import luma_thumbnail
from entrenous.fingerprint.crops import (
    FAR_ENLARGEMENT_COUNT,
    enlarged_spectra,
    registered_window_spectra,
    trimmed_spectra,
    window_hashes,
)
from entrenous.fingerprint.linear_scan import ScanIndex
from entrenous.fingerprint.pdq import fingerprint, hash_spectra, orientation_spectra

pytestmark = pytest.mark.slow

MakePicture = Callable[[Any], Picture]
PHOTO_NAMES = ("astronaut", "cat", "coffee", "rocket", "china", "flower", "camera", "coins")


def crop_and_recode(pixels: Any, rng: np.random.Generator) -> Any:
    """Crop to 70 % of the area, resize, and recode as a JPEG of quality 50."""
    height, width, _ = pixels.shape
    tall = np.exp(rng.uniform(np.log(0.7), 0))
    rows, columns = int(tall * height), int(0.7 / tall * width)
    top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    return resize_and_recode(pixels[top : top + rows, left : left + columns], rng.uniform(0.5, 1.5))


def resize_and_recode(pixels: Any, zoom: float) -> Any:
    size = (int(pixels.shape[1] * zoom), int(pixels.shape[0] * zoom))
    resized = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", resized, [cv2.IMWRITE_JPEG_QUALITY, 50])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def split_hashes(hashes: bytes) -> list[bytes]:
    return [hashes[start : start + 32] for start in range(0, len(hashes), 32)]


def orientation_hashes(spectra: Any) -> list[bytes]:
    return split_hashes(
        b"".join(hash_spectra(one) for one in orientation_spectra(spectra).values())
    )


@pytest.fixture(scope="module")
def window_indexes(photographs: dict[str, Any], make_picture: MakePicture) -> dict[str, ScanIndex]:
    found = {}
    for name in PHOTO_NAMES:
        hashes = window_hashes(make_picture(photographs[name]))
        found[name] = ScanIndex.empty().with_added(range(len(hashes)), hashes)
    return found


def test_crops_match_only_their_own_picture(
    photographs: dict[str, Any], window_indexes: dict[str, ScanIndex]
) -> None:
    rng = np.random.default_rng(70)
    uploads = {
        name: orientation_hashes(
            trimmed_spectra(luma_thumbnail(crop_and_recode(photographs[name], rng)))
        )
        for name in PHOTO_NAMES
    }
    for name in PHOTO_NAMES:
        assert window_indexes[name].find_near_hashes(uploads[name]), name
    for name, other in permutations(PHOTO_NAMES, 2):
        assert not window_indexes[other].find_near_hashes(uploads[name]), (name, other)


def test_mirrored_crop_matches_in_the_mirrored_view_only(
    photographs: dict[str, Any], window_indexes: dict[str, ScanIndex]
) -> None:
    cut = np.ascontiguousarray(np.fliplr(photographs["coffee"][30:370, 60:570]))
    found = {
        how: window_indexes["coffee"].find_near_hashes(split_hashes(hash_spectra(spectra)))
        for how, spectra in orientation_spectra(trimmed_spectra(luma_thumbnail(cut))).items()
    }
    assert found["mirror"]
    assert not found["as it is"]


@pytest.mark.parametrize("cut_share", [0.02, 0.05])
def test_a_slightly_cropped_picture_matches_the_whole_hash(
    photographs: dict[str, Any], make_picture: MakePicture, cut_share: float
) -> None:
    for name in ("astronaut", "coffee", "rocket", "china", "flower", "coins"):
        pixels = photographs[name]
        height, width, _ = pixels.shape
        cut = pixels[int(cut_share * height) :, : int((1 - cut_share) * width)]
        index = ScanIndex.empty().with_added([1], [fingerprint(make_picture(pixels)).bits])
        upload = split_hashes(
            hash_spectra(enlarged_spectra(luma_thumbnail(resize_and_recode(cut, 1.0))))
        )
        assert index.find_near_hashes(upload), name


def test_window_beside_a_sticker_has_a_registered_hash(
    photographs: dict[str, Any], window_indexes: dict[str, ScanIndex]
) -> None:
    for name in ("astronaut", "cat", "coffee", "china"):
        covered = photographs[name].copy()
        height, width, _ = covered.shape
        covered[int(0.75 * height) :, int(0.1 * width) : int(0.6 * width)] = (255, 210, 40)
        near = window_indexes[name].find_near_hashes(
            split_hashes(hash_spectra(registered_window_spectra(luma_thumbnail(covered))))
        )
        assert min(one.distance for one in near) == 0, name


def test_number_of_spectra(photographs: dict[str, Any]) -> None:
    grey = luma_thumbnail(photographs["cat"])
    assert [
        len(family(grey))
        for family in (trimmed_spectra, enlarged_spectra, registered_window_spectra)
    ] == [313, 128, 525]
    assert len(enlarged_spectra(grey, FAR_ENLARGEMENT_COUNT)) == 1_201
    assert len(trimmed_spectra(np.stack([grey, grey]))) == 626


def test_picture_of_one_pixel_is_handled() -> None:
    grey = np.full((1, 1), 7.0, dtype=np.float32)
    for family in (trimmed_spectra, enlarged_spectra, registered_window_spectra):
        assert np.isfinite(family(grey)).all()
