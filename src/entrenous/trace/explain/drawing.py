"""A drawing as plain shapes, so that the page and the PDF show the same one.

Units are points of a drawing that is ``width`` wide; y runs downwards. A ``tone`` names what a
shape is for; the page and the PDF choose its colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from xml.sax.saxutils import escape, quoteattr

Point = tuple[float, float]


class Tone(StrEnum):
    """What a shape is for."""

    INK = "ink"  # text and the line that decides
    SOFT = "soft"  # text beside the point, axes, copies that are not named
    FAINT = "faint"  # grid lines
    NULL = "null"  # where an innocent copy's score is expected
    NAMED = "named"  # the copies that are named


class Anchor(StrEnum):
    """Which part of a text its point is."""

    START = "start"
    MIDDLE = "middle"
    END = "end"


@dataclass(frozen=True, slots=True)
class Path:
    """A line through points, or, when ``filled``, the area inside them."""

    points: tuple[Point, ...]
    tone: Tone
    filled: bool = False
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Dot:
    """A disc."""

    at: Point
    radius: float
    tone: Tone


@dataclass(frozen=True, slots=True)
class Words:
    """One line of text."""

    at: Point
    text: str
    tone: Tone = Tone.SOFT
    anchor: Anchor = Anchor.START
    size: float = 11.0


Shape = Path | Dot | Words


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes from back to front. ``said`` tells somebody who can't see it what it shows."""

    width: float
    height: float
    shapes: tuple[Shape, ...]
    said: str


def line(one: Point, other: Point, tone: Tone, *, dashed: bool = False) -> Path:
    """A straight line."""
    return Path((one, other), tone, dashed=dashed)


def box(left: float, top: float, right: float, bottom: float, tone: Tone) -> Path:
    """A filled rectangle."""
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return Path(corners, tone, filled=True)


def svg(drawing: Drawing) -> str:
    """The drawing as an SVG element for a page; colours come from the page's style sheet."""
    shapes = "".join(_element(shape) for shape in drawing.shapes)
    size = f"0 0 {_number(drawing.width)} {_number(drawing.height)}"
    said = quoteattr(drawing.said)
    return f'<svg class="drawing" viewBox="{size}" role="img" aria-label={said}>{shapes}</svg>'


def _element(shape: Shape) -> str:
    if isinstance(shape, Path):
        dashed = " dashed" if shape.dashed else ""
        name = "polygon" if shape.filled else "polyline"
        kind = f"{'fill' if shape.filled else 'line'} {shape.tone}{dashed}"
        return f'<{name} class="{kind}" points="{_points(shape.points)}"/>'
    x, y = (_number(part) for part in shape.at)
    if isinstance(shape, Dot):
        return f'<circle class="fill {shape.tone}" cx="{x}" cy="{y}" r="{_number(shape.radius)}"/>'
    place = f'x="{x}" y="{y}" text-anchor="{shape.anchor}" font-size="{_number(shape.size)}"'
    return f'<text class="fill {shape.tone}" {place}>{escape(shape.text)}</text>'


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
