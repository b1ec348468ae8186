"""A small map around a place, drawn as SVG from outlines that come with the program. It is drawn
without the network.

The outlines are Natural Earth's land at 1:110 million (public domain), as TopoJSON from the npm
package world-atlas 2.0.2 (``land/LICENSE.txt``).
"""

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec

Point = tuple[float, float]
Polyline = tuple[Point, ...]
_HALF_WIDTH_DEGREES, _HALF_HEIGHT_DEGREES = 36.0, 22.0  # degrees around the place
# the land is drawn three times with these offsets, so that it continues on both sides
_LONGITUDE_OFFSETS: Final = (-360.0, 0.0, 360.0)
_SVG_UNITS_PER_DEGREE: Final = 10.0


def svg_land_path_around(latitude: float, longitude: float) -> str:
    """Return the SVG path data of the land around a place, for ``viewBox="0 0 720 440"``. The place
    is in the middle; near a pole, the part of the map beyond the pole stays empty.
    """
    parts = []
    for ring in _land_outlines():
        for shift in _LONGITUDE_OFFSETS:
            moved = tuple((x + shift - longitude, latitude - y) for x, y in ring)
            clipped = _clip_to_map(moved)
            if clipped:
                parts.append(_svg_path(clipped))
    return "".join(parts)


def _svg_path(ring: Sequence[Point]) -> str:
    from_corner = ((x + _HALF_WIDTH_DEGREES, y + _HALF_HEIGHT_DEGREES) for x, y in ring)
    points = (
        f"{x * _SVG_UNITS_PER_DEGREE:.0f} {y * _SVG_UNITS_PER_DEGREE:.0f}" for x, y in from_corner
    )
    return f"M{'L'.join(points)}Z"


def _clip_to_map(ring: Polyline) -> Sequence[Point]:
    """Return the part of a polygon inside the map. The polygon is clipped at each side in turn
    (Sutherland and Hodgman, 1974).
    """
    found: Sequence[Point] = ring
    for axis, limit, sign in (
        (0, -_HALF_WIDTH_DEGREES, 1.0),
        (0, _HALF_WIDTH_DEGREES, -1.0),
        (1, -_HALF_HEIGHT_DEGREES, 1.0),
        (1, _HALF_HEIGHT_DEGREES, -1.0),
    ):
        found = tuple(_clip_at_side(found, axis, limit, sign))
    return found


def _clip_at_side(ring: Sequence[Point], axis: int, limit: float, sign: float) -> Iterator[Point]:
    for number, end in enumerate(ring):
        start = ring[number - 1]
        inside = [(point[axis] - limit) * sign >= 0.0 for point in (start, end)]
        if inside[0] is not inside[1]:
            share = (limit - start[axis]) / (end[axis] - start[axis])
            yield (
                start[0] + share * (end[0] - start[0]),
                start[1] + share * (end[1] - start[1]),
            )
        if inside[1]:
            yield end


@cache
def _land_outlines() -> tuple[Polyline, ...]:
    """Return the outlines of all land, as longitude and latitude in degrees."""
    data = files(__package__).joinpath("land", "land-110m.json").read_bytes()
    topology: dict[str, Any] = msgspec.json.decode(data)
    arcs = _decode_arcs(topology)
    polygons = (
        polygon
        for geometry in topology["objects"]["land"]["geometries"]
        for polygon in geometry["arcs"]
    )
    return tuple(_join_arcs(outline, arcs) for polygon in polygons for outline in polygon)


def _decode_arcs(topology: dict[str, Any]) -> list[Polyline]:
    """Decode the arcs, which are stored as differences of whole numbers (TopoJSON 1.0, 2.1.3)."""
    (across, along), (left, low) = (
        topology["transform"]["scale"],
        topology["transform"]["translate"],
    )
    found = []
    for arc in topology["arcs"]:
        x = y = 0
        points = list[Point]()
        for step_x, step_y in arc:
            x, y = x + step_x, y + step_y
            points.append((x * across + left, y * along + low))
        found.append(tuple(points))
    return found


def _join_arcs(outline: Sequence[int], arcs: Sequence[Polyline]) -> Polyline:
    """Join arcs to a ring. A negative number means an arc in reverse; consecutive arcs share a
    point.
    """
    points = list[Point]()
    for number in outline:
        arc = arcs[number] if number >= 0 else arcs[~number][::-1]
        points += arc[1:] if points else arc
    return tuple(points)
