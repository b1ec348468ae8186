"""Tests of the small map that shows where a picture was taken."""

import re

import pytest

from entrenous.app.world_map import svg_land_path_around


@pytest.mark.parametrize(("place", "is_land"), [((52.5, 13.4), True), ((30.0, -40.0), False)])
def test_land_is_drawn_at_a_place_on_land_and_not_at_sea(
    place: tuple[float, float], *, is_land: bool
) -> None:
    """From a point on land, a ray to the right crosses the outlines an odd number of times."""
    crossings = 0
    for ring in svg_land_path_around(*place).split("Z")[:-1]:
        points = [tuple(map(float, one.split())) for one in ring.lstrip("M").split("L")]
        for start, end in zip(points, points[1:] + points[:1], strict=True):
            if (start[1] > 220) is not (end[1] > 220):
                x = start[0] + (220 - start[1]) * (end[0] - start[0]) / (end[1] - start[1])
                crossings += x > 360
    assert bool(crossings % 2) is is_land


@pytest.mark.parametrize("place", [(90.0, 0.0), (-90.0, 180.0), (0.0, -180.0), (65.0, 179.9)])
def test_maps_at_the_edges_of_the_world_stay_in_their_frame(place: tuple[float, float]) -> None:
    numbers = [int(one) for one in re.findall(r"-?\d+", svg_land_path_around(*place))]
    assert all(0 <= x <= 720 for x in numbers[::2])
    assert all(0 <= y <= 440 for y in numbers[1::2])


def test_a_map_is_small_enough_for_a_page() -> None:
    assert (
        max(len(svg_land_path_around(y, x)) for y in (-30, 20, 60) for x in range(-180, 180, 20))
        < 40_000
    )
