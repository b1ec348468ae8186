"""Drawings of a report: lists of plain shapes, so that the page and the PDF show the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from xml.sax.saxutils import escape, quoteattr

Point = tuple[float, float]


class ColourRole(StrEnum):
    """The role of a shape, which decides its colour."""

    INK = "ink"  # text and the threshold for naming
    SOFT = "soft"  # secondary text, axes, copies that are not named
    FAINT = "faint"  # grid lines
    EXPECTED = "null"  # where an innocent copy's score is expected
    NAMED = "named"  # the copies that are named


class TextAnchor(StrEnum):
    """The part of a piece of text that is placed at its position: the start, middle or end."""

    START = "start"
    MIDDLE = "middle"
    END = "end"


@dataclass(frozen=True, slots=True)
class DrawnPath:
    """A line through points or, if ``filled``, the area that they enclose."""

    points: tuple[Point, ...]
    tone: ColourRole
    filled: bool = False
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Dot:
    at: Point
    radius: float
    tone: ColourRole


@dataclass(frozen=True, slots=True)
class DrawnText:
    at: Point
    text: str
    tone: ColourRole = ColourRole.SOFT
    anchor: TextAnchor = TextAnchor.START
    size: float = 11.0


Shape = DrawnPath | Dot | DrawnText


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes from back to front; ``alt_text`` is the text alternative for screen readers."""

    width: float
    height: float
    shapes: tuple[Shape, ...]
    alt_text: str


def straight_line(one: Point, other: Point, tone: ColourRole, *, dashed: bool = False) -> DrawnPath:
    return DrawnPath((one, other), tone, dashed=dashed)


def filled_rectangle(
    left: float, top: float, right: float, bottom: float, tone: ColourRole
) -> DrawnPath:
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return DrawnPath(corners, tone, filled=True)


def drawing_as_svg(drawing: Drawing) -> str:
    """Return the drawing as an SVG element; the page's style sheet sets the colours."""
    shapes = "".join(_svg_element(shape) for shape in drawing.shapes)
    size = f"0 0 {_svg_number(drawing.width)} {_svg_number(drawing.height)}"
    said = quoteattr(drawing.alt_text)
    return f'<svg class="drawing" viewBox="{size}" role="img" aria-label={said}>{shapes}</svg>'


def _svg_element(shape: Shape) -> str:
    if isinstance(shape, DrawnPath):
        dashed = " dashed" if shape.dashed else ""
        name = "polygon" if shape.filled else "polyline"
        kind = f"{'fill' if shape.filled else 'line'} {shape.tone}{dashed}"
        return f'<{name} class="{kind}" points="{_svg_points(shape.points)}"/>'
    x, y = (_svg_number(part) for part in shape.at)
    if isinstance(shape, Dot):
        return (
            f'<circle class="fill {shape.tone}" cx="{x}" cy="{y}" r="{_svg_number(shape.radius)}"/>'
        )
    place = f'x="{x}" y="{y}" text-anchor="{shape.anchor}" font-size="{_svg_number(shape.size)}"'
    return f'<text class="fill {shape.tone}" {place}>{escape(shape.text)}</text>'


def _svg_points(points: Sequence[Point]) -> str:
    return " ".join(f"{_svg_number(x)},{_svg_number(y)}" for x, y in points)


def _svg_number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
