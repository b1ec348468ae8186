"""Tests of feature points: mirrored, inverted and flat pictures, spread, and number of points."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from entrenous.fingerprint.keypoints import FeaturePoints, find_feature_points

PHOTO_NAMES = ("astronaut", "china", "coffee")


def shared_point_share(first: FeaturePoints, second: FeaturePoints) -> float:
    """Return the share of points in ``first`` that nearly equal a point in ``second``."""
    near = np.abs(first.places[:, None] - second.places[None]).max(axis=2) < 3e-3
    near &= np.abs(first.sizes[:, None] - second.sizes[None]) < 0.1
    turned = (first.angles[:, None] - second.angles[None] + 0.5) % 1.0 - 0.5
    near &= np.abs(turned) < 0.02
    return float((near & (first.descriptors @ second.descriptors.T > 0.9)).any(axis=1).mean())


@pytest.mark.slow
@pytest.mark.parametrize("name", PHOTO_NAMES)
@pytest.mark.parametrize(
    ("change", "predict"),
    [
        (lambda pixels: pixels[:, ::-1], FeaturePoints.mirrored),
        (lambda pixels: 255 - pixels, FeaturePoints.with_inverted_colours),
    ],
)
def test_mirrored_and_inverted_pictures_have_the_predicted_points(
    photographs: dict[str, Any],
    name: str,
    change: Callable[[Any], Any],
    predict: Callable[[FeaturePoints], FeaturePoints],
) -> None:
    pixels = photographs[name]
    changed = find_feature_points(np.ascontiguousarray(change(pixels)), 500)
    plain = find_feature_points(pixels, 500)
    predicted = shared_point_share(predict(plain), changed)
    assert predicted > 0.5
    assert predicted > 5 * shared_point_share(plain, changed)


def test_points_are_spread_over_the_picture(photographs: dict[str, Any]) -> None:
    for name in ("astronaut", "moon", "flower"):
        places = find_feature_points(photographs[name], 400).places
        for x in (0.0, 0.45):
            for y in (0.0, 0.45 * places[:, 1].max()):
                inside = (np.abs(places - (x + 0.27, y + 0.2)) < (0.27, 0.2)).all(axis=1)
                assert inside.sum() > 40, name


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 900, 3), (64, 64, 3)])
def test_flat_pictures_have_no_points(shape: tuple[int, ...]) -> None:
    points = find_feature_points(np.full(shape, 90, np.uint8), 400)
    assert points.descriptors.shape == (0, 128)
    assert points.mirrored().places.shape == points.with_inverted_colours().places.shape == (0, 2)


def test_number_of_points_is_limited(photographs: dict[str, Any]) -> None:
    for limit in (0, 1, 399):
        assert len(find_feature_points(photographs["china"], limit).descriptors) == limit
