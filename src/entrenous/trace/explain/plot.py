"""Every copy's score against what innocent copies' scores look like, as one drawing.

The axis runs like asinh(score / 3): even where innocents are, compressed further out, where a named
copy may stand at 6 or at 400. Few copies are dots; many are counted in columns, beside the number
of innocents that would be expected there.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from entrenous.trace.explain.drawing import (
    Anchor,
    Dot,
    Drawing,
    Path,
    Point,
    Shape,
    Tone,
    Words,
    box,
    line,
)

WIDTH: Final = 640.0
_HEIGHT: Final = 268.0
_LEFT, _RIGHT, _TOP, _BASE = 12.0, 628.0, 66.0, 226.0
_HILL: Final = 70.0  # height of the innocents' law beside dots, and beside columns
_FULL: Final = 132.0
_OVER: Final = 1.2  # how far a column may stand out above it
_BEND: Final = 3.0
_INNOCENT_MIN: Final = -4.5  # the axis begins there, or earlier
_TICKS: Final = (-50, -20, -10, -6, -4, -2, 0, 2, 4, 6, 8, 10, 15, 20, 30, 50, 100, 200, 400, 800)
_TICK_GAP: Final = 26.0
_DOTS_MAX: Final = 60
_RADIUS: Final = 4.0
_COLUMNS: Final = 77
_LABELS_MAX: Final = 6
_LABEL_CHARS: Final = 26
_LETTER: Final = 5.6  # width of an average letter of the labels
_LABEL_STEP: Final = 14.0
_CLOSE: Final = 46.0  # copies that stand nearer to each other share a label


@dataclass(frozen=True, slots=True)
class _Axis:
    """From scores to places along the drawing."""

    low: float
    high: float

    def x(self, score: float) -> float:
        share = (math.asinh(score / _BEND) - self.low) / (self.high - self.low)
        return _LEFT + share * (_RIGHT - _LEFT)

    def score(self, x: float) -> float:
        share = (x - _LEFT) / (_RIGHT - _LEFT)
        return _BEND * math.sinh(self.low + share * (self.high - self.low))


@dataclass(frozen=True, slots=True)
class _Label:
    """What is written above one place of the axis."""

    at: float
    text: str
    tone: Tone


def score_plot(scores: Mapping[str, float], named: Sequence[str], needed: float) -> Drawing:
    """The drawing of a verdict.

    Args:
        scores: by label, in standard deviations of an innocent copy's score; at least one.
        named: labels of the copies that are named.
        needed: the score from which a copy is named.
    """
    axis = _axis(scores.values(), needed)
    others = [score for who, score in scores.items() if who not in named]
    few = len(scores) <= _DOTS_MAX
    body = _dots(others, axis) if few else _columns(others, axis)
    hill = _hill(axis, _HILL if few else _FULL)
    shapes = (
        Path(hill, Tone.NULL, filled=True),
        *body,
        *(() if few else (Path(hill, Tone.INK),)),
        *_frame(axis),
        _about_hill(len(scores), axis, few=few),
        *_limit(needed, axis),
    )
    marks = _marks(scores, named, axis)
    return Drawing(WIDTH, _HEIGHT, (*shapes, *marks), _said(scores, named, needed))


def _axis(scores: Collection[float], needed: float) -> _Axis:
    low = min(_INNOCENT_MIN, min(scores) - 0.5)
    high = max(1.45 * needed, 1.25 * max(scores))
    return _Axis(math.asinh(low / _BEND), math.asinh(high / _BEND))


def _frame(axis: _Axis) -> Iterator[Shape]:
    yield line((_LEFT, _BASE), (_RIGHT, _BASE), Tone.SOFT)
    last = -math.inf
    for tick in sorted(_TICKS, key=lambda tick: (tick > 0, abs(tick))):
        at = axis.x(tick)
        if not _LEFT + 6 <= at <= _RIGHT - 6:
            continue
        yield line((at, _BASE), (at, _BASE + 4), Tone.SOFT)
        if tick <= 0 or at - last >= _TICK_GAP:
            yield Words((at, _BASE + 17), _signed(tick), anchor=Anchor.MIDDLE)
            last = at if tick >= 0 else last
    middle = 0.5 * (_LEFT + _RIGHT)
    about = "score, in standard deviations of an innocent copy's score (compressed further out)"
    yield Words((middle, _BASE + 35), about, anchor=Anchor.MIDDLE)


def _hill(axis: _Axis, tall: float) -> tuple[Point, ...]:
    """The standard normal law as the drawing's scale shows it: chance per unit of its width."""
    places = [_LEFT + (_RIGHT - _LEFT) * step / 240 for step in range(241)]
    heights = [_density(place, axis) for place in places]
    points = [(x, _BASE - tall * h / max(heights)) for x, h in zip(places, heights, strict=True)]
    return ((_LEFT, _BASE), *points, (_RIGHT, _BASE))


def _about_hill(copies: int, axis: _Axis, *, few: bool) -> Words:
    about = "innocent copies lie here" if few else f"line: expected of {copies:,} innocent copies"
    above = _HILL + 8 if few else _FULL * _OVER + 8
    return Words((axis.x(0.0), _BASE - above), about, anchor=Anchor.MIDDLE)


def _density(x: float, axis: _Axis) -> float:
    score = axis.score(x)
    return math.exp(-0.5 * score * score) * math.sqrt(score * score + _BEND * _BEND)


def _limit(needed: float, axis: _Axis) -> Iterator[Shape]:
    at = axis.x(needed)
    yield line((at, _TOP - 16), (at, _BASE), Tone.INK, dashed=True)
    anchor = Anchor.START if at < 0.62 * WIDTH else Anchor.END
    aside = 5.0 if anchor is Anchor.START else -5.0
    yield Words((at + aside, _TOP + 62), f"named from {needed:.1f}", Tone.INK, anchor)


def _dots(scores: Sequence[float], axis: _Axis) -> Iterator[Shape]:
    """One dot a copy, those that would hide each other on top of each other."""
    taken: list[tuple[float, int]] = []
    for score in sorted(scores):
        at, level = axis.x(score), 0
        while any(abs(at - x) < 2 * _RADIUS + 0.5 and level == on for x, on in taken):
            level += 1
        taken.append((at, level))
        yield Dot((at, _BASE - _RADIUS - 1 - level * (2 * _RADIUS + 0.5)), _RADIUS, Tone.SOFT)


def _columns(scores: Sequence[float], axis: _Axis) -> Iterator[Shape]:
    wide = (_RIGHT - _LEFT) / _COLUMNS
    counts = [0] * _COLUMNS
    for score in scores:
        counts[min(_COLUMNS - 1, max(0, int((axis.x(score) - _LEFT) / wide)))] += 1
    for column, count in enumerate(counts):
        if count:
            left = _LEFT + column * wide
            tall = max(1.5, _tall(count, len(scores), wide, axis))
            yield box(left + 0.6, _BASE - tall, left + wide - 0.6, _BASE, Tone.SOFT)


def _tall(count: int, copies: int, wide: float, axis: _Axis) -> float:
    """A column's height on the scale on which the expected number is drawn."""
    peak = max(_density(_LEFT + step, axis) for step in range(int(_RIGHT - _LEFT)))
    per_unit = (axis.high - axis.low) / (_RIGHT - _LEFT) / math.sqrt(2.0 * math.pi)
    expected_at_peak = copies * peak * per_unit * wide
    return min(_OVER, count / expected_at_peak) * _FULL


def _marks(scores: Mapping[str, float], named: Sequence[str], axis: _Axis) -> Iterator[Shape]:
    """The named copies, and labels: of everybody when there are few, else of whom it is about."""
    for who in named:
        yield Dot((axis.x(scores[who]), _BASE - _RADIUS - 2), _RADIUS + 1.5, Tone.NAMED)
    shown = [*named] or [max(scores, key=scores.__getitem__)]
    others = [who for who in scores if who not in shown] if len(scores) <= _LABELS_MAX else []
    tone = Tone.NAMED if named else Tone.SOFT
    labels = [*_labels(shown, scores, axis, tone), *_labels(others, scores, axis, Tone.SOFT)]
    ends: list[float] = []
    for label in sorted(labels, key=lambda label: label.at):
        half = 0.5 * _LETTER * len(label.text)
        middle = min(max(label.at, _LEFT + half), _RIGHT - half)
        level = next((n for n, end in enumerate(ends) if end < middle - half - 8), len(ends))
        ends[level : level + 1] = [middle + half]
        y = 13 + _LABEL_STEP * min(level, 3)
        rod = Tone.NAMED if label.tone is Tone.NAMED else Tone.FAINT
        yield line((label.at, y + 4), (label.at, _BASE - 2 * _RADIUS - 4), rod)
        yield Words((middle, y), label.text, label.tone, Anchor.MIDDLE)


def _labels(
    shown: Sequence[str], scores: Mapping[str, float], axis: _Axis, tone: Tone
) -> Iterator[_Label]:
    """One label a copy, one for all that stand close together."""
    group: list[str] = []
    for who in sorted(shown, key=scores.__getitem__):
        if group and axis.x(scores[who]) - axis.x(scores[group[-1]]) > _CLOSE:
            yield _label(group, scores, axis, tone)
            group = []
        group.append(who)
    if group:
        yield _label(group, scores, axis, tone)


def _label(group: Sequence[str], scores: Mapping[str, float], axis: _Axis, tone: Tone) -> _Label:
    low, high = (_signed(round(scores[group[end]], 1)) for end in (0, -1))
    at = 0.5 * (axis.x(scores[group[0]]) + axis.x(scores[group[-1]]))
    if len(group) == 1:
        return _Label(at, f"{_short(group[0])}  {low}", tone)
    return _Label(at, f"{len(group)} copies, {low} to {high}", tone)


def _said(scores: Mapping[str, float], named: Sequence[str], needed: float) -> str:
    count = "one copy" if len(scores) == 1 else f"{len(scores)} copies"
    best = ", ".join(f"{who} at {scores[who]:.1f}" for who in named) or "no copy"
    rest = [score for who, score in scores.items() if who not in named]
    others = f"; the others lie between {min(rest):.1f} and {max(rest):.1f}" if rest else ""
    return f"Scores of {count}. Named from {needed:.1f} on: {best}{others}."


def _short(label: str) -> str:
    return label if len(label) <= _LABEL_CHARS else f"{label[: _LABEL_CHARS - 1]}\u2026"


def _signed(value: float) -> str:
    return f"{value:g}".replace("-", "\u2212")
