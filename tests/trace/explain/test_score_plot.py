"""Tests of the score plot: shapes inside the frame, dots, labels, and escaped texts."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.trace.explain.drawing import (
    ColourRole,
    Dot,
    Drawing,
    DrawnPath,
    DrawnText,
    TextAnchor,
    drawing_as_svg,
)
from entrenous.trace.explain.plots import score_plot

score_values = st.floats(-60.0, 900.0)


def is_inside_frame(drawing: Drawing) -> bool:
    for shape in drawing.shapes:
        points = shape.points if isinstance(shape, DrawnPath) else (shape.at,)
        for x, y in points:
            if not (0 <= x <= drawing.width and 0 <= y <= drawing.height):
                return False
    return True


@pytest.mark.slow
@given(st.lists(score_values, min_size=1, max_size=12), st.floats(4.5, 8.0), st.integers(0, 12))
def test_all_shapes_lie_inside_the_frame(
    scores: list[float], required_score: float, named_count: int
) -> None:
    by_label = {f"person {n}": score for n, score in enumerate(scores)}
    drawing = score_plot(by_label, list(by_label)[:named_count], required_score)
    assert is_inside_frame(drawing)
    assert f"Named from {required_score:.1f}" in drawing.alt_text


@pytest.mark.parametrize("copies", [2, 60, 61, 1000])
def test_every_named_copy_has_a_dot_right_of_the_line(copies: int) -> None:
    rng = np.random.default_rng(3)
    scores = {f"p{n}": float(score) for n, score in enumerate(rng.normal(size=copies))}
    scores["p1"] = 40.0
    drawing = score_plot(scores, ["p1"], 6.2)
    dots = [shape for shape in drawing.shapes if isinstance(shape, Dot)]
    (limit,) = (s for s in drawing.shapes if isinstance(s, DrawnPath) and s.dashed)
    (named,) = (dot for dot in dots if dot.tone is ColourRole.NAMED)
    assert named.at[0] > limit.points[0][0]
    others = [dot for dot in dots if dot.tone is ColourRole.SOFT]
    assert len(others) == (copies - 1 if copies <= 60 else 0)
    assert all(dot.at[0] < limit.points[0][0] for dot in others)
    assert is_inside_frame(drawing)


def test_dots_do_not_hide_each_other() -> None:
    drawing = score_plot({f"p{n}": 0.1 for n in range(12)}, [], 5.0)
    at = [shape.at for shape in drawing.shapes if isinstance(shape, Dot)]
    assert len(at) == 12
    gaps = [math.dist(a, b) for n, a in enumerate(at) for b in at[:n]]
    assert min(gaps) >= 8.0


def test_labels_do_not_overlap() -> None:
    scores = {f"a rather long name {n}": 20.0 + 9 * n for n in range(6)}
    drawing = score_plot(scores, list(scores), 5.4)
    labels = [s for s in drawing.shapes if isinstance(s, DrawnText) and s.at[1] < 60]
    boxes = [(s.at[0] - 2.7 * len(s.text), s.at[0] + 2.7 * len(s.text), s.at[1]) for s in labels]
    for n, one in enumerate(boxes):
        for other in boxes[:n]:
            assert one[2] != other[2] or one[1] <= other[0] or other[1] <= one[0]


def test_svg_escapes_texts() -> None:
    words = DrawnText((1.0, 2.0), "<script>&", ColourRole.INK, TextAnchor.START)
    drawn = drawing_as_svg(Drawing(10, 10, (words,), 'a "quoted" <name>'))
    assert "<script>" not in drawn
    assert "&lt;script&gt;&amp;" in drawn
