"""The plots of a report: every copy's score, and the tone curve of the found picture."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.base.language import plural, translated
from entrenous.trace.explain.drawing import (
    ColourRole,
    Dot,
    Drawing,
    DrawnPath,
    DrawnText,
    Point,
    Shape,
    TextAnchor,
    filled_rectangle,
    straight_line,
)

SCORE_PLOT_WIDTH: Final = 400.0  # narrow enough to be readable on a phone without enlarging
_PLOT_HEIGHT: Final = 324.0
_LEFT, _RIGHT, _TOP, _BASELINE = 12.0, 388.0, 80.0, 244.0
# height of the expected distribution when scores are drawn as dots, and as columns
_CURVE_HEIGHT_WITH_DOTS: Final = 70.0
_CURVE_HEIGHT_WITH_COLUMNS: Final = 132.0
# largest height of a column, relative to the expected distribution
_COLUMN_HEIGHT_RATIO_MAX: Final = 1.2
_ASINH_SCALE: Final = 3.0
# the axis begins at this score, or at a lower one if some copy has one
_AXIS_LOW_SCORE: Final = -4.5
_TICK_SCORES: Final = (
    -50,
    -20,
    -10,
    -6,
    -4,
    -2,
    0,
    2,
    4,
    6,
    8,
    10,
    15,
    20,
    30,
    50,
    100,
    200,
    400,
    800,
)
_TICK_GAP_MIN: Final = 34.0
_DOTS_MAX: Final = 60
_DOT_RADIUS: Final = 4.0
_COLUMN_COUNT: Final = 77
_LABELS_MAX: Final = 6
_LABEL_CHARS_MAX: Final = 26
# font size: 12 px if a phone shows the plot 340 px wide
_TEXT_SIZE: Final = 14.4
_LABEL_LETTER_WIDTH: Final = 7.2  # average letter width in labels
_LABEL_STEP: Final = 17.0
_AXIS_CAPTION_CHARS_MAX: Final = 46
_CURVE_CAPTION_CHARS_MAX: Final = 15
_SHARED_LABEL_DISTANCE: Final = 46.0  # copies closer than this share a label


@dataclass(frozen=True, slots=True)
class _Axis:
    """A horizontal axis that maps scores to positions in the drawing."""

    low: float
    high: float

    def x_of_score(self, score: float) -> float:
        share = (math.asinh(score / _ASINH_SCALE) - self.low) / (self.high - self.low)
        return _LEFT + share * (_RIGHT - _LEFT)

    def score_at_x(self, x: float) -> float:
        share = (x - _LEFT) / (_RIGHT - _LEFT)
        return _ASINH_SCALE * math.sinh(self.low + share * (self.high - self.low))


@dataclass(frozen=True, slots=True)
class _Label:
    at: float
    text: str
    tone: ColourRole


def score_plot(scores: Mapping[str, float], named: Sequence[str], needed: float) -> Drawing:
    """Plot the scores of a verdict.

    Args:
        scores: by label, in standard deviations of an innocent copy's score; at least one.
        named: labels of the copies that are named.
        needed: the lowest score with which a copy is named.
    """
    axis = _make_axis(scores.values(), needed)
    others = [score for who, score in scores.items() if who not in named]
    as_dots = len(scores) <= _DOTS_MAX
    body = _score_dots(others, axis) if as_dots else _score_columns(others, axis)
    curve = _expected_curve(
        axis, _CURVE_HEIGHT_WITH_DOTS if as_dots else _CURVE_HEIGHT_WITH_COLUMNS
    )
    shapes = (
        DrawnPath(curve, ColourRole.EXPECTED, filled=True),
        *body,
        *(() if as_dots else (DrawnPath(curve, ColourRole.INK),)),
        *_axis_with_ticks(axis),
        *_curve_caption(len(scores), axis, as_dots=as_dots),
        *_threshold_line(needed, axis),
        *_named_dots_and_labels(scores, named, axis),
    )
    texts_last = tuple(sorted(shapes, key=lambda shape: isinstance(shape, DrawnText)))
    return Drawing(SCORE_PLOT_WIDTH, _PLOT_HEIGHT, texts_last, _alt_text(scores, named, needed))


def _make_axis(scores: Collection[float], needed: float) -> _Axis:
    low = min(_AXIS_LOW_SCORE, min(scores) - 0.5)
    high = max(1.45 * needed, 1.25 * max(scores))
    return _Axis(math.asinh(low / _ASINH_SCALE), math.asinh(high / _ASINH_SCALE))


def _axis_with_ticks(axis: _Axis) -> Iterator[Shape]:
    yield straight_line((_LEFT, _BASELINE), (_RIGHT, _BASELINE), ColourRole.SOFT)
    last = -math.inf
    for tick in sorted(_TICK_SCORES, key=lambda tick: (tick > 0, abs(tick))):
        at = axis.x_of_score(tick)
        if not _LEFT + 6 <= at <= _RIGHT - 6:
            continue
        yield straight_line((at, _BASELINE), (at, _BASELINE + 4), ColourRole.SOFT)
        if tick <= 0 or at - last >= _TICK_GAP_MIN:
            yield _axis_text((at, _BASELINE + 19), _number_with_minus_sign(tick))
            last = at if tick >= 0 else last
    about = translated(
        "score, in standard deviations of copies with no part in it (compressed further out)"
    )
    for row, words in enumerate(wrap(about, _AXIS_CAPTION_CHARS_MAX)):
        yield _axis_text((0.5 * (_LEFT + _RIGHT), _BASELINE + 40 + row * _LABEL_STEP), words)


def _axis_text(at: Point, text: str) -> DrawnText:
    return DrawnText(at, text, anchor=TextAnchor.MIDDLE, size=_TEXT_SIZE)


def _expected_curve(axis: _Axis, tall: float) -> tuple[Point, ...]:
    """Return the outline of the standard normal distribution as density per unit of width."""
    places = [_LEFT + (_RIGHT - _LEFT) * step / 240 for step in range(241)]
    heights = [_density_at(place, axis) for place in places]
    points = [
        (x, _BASELINE - tall * h / max(heights)) for x, h in zip(places, heights, strict=True)
    ]
    return ((_LEFT, _BASELINE), *points, (_RIGHT, _BASELINE))


def _curve_caption(copies: int, axis: _Axis, *, as_dots: bool) -> Iterator[DrawnText]:
    """Yield the caption above the curve, in short rows, because there is little room beside it."""
    about = (
        translated("copies with no part in it")
        if as_dots
        else translated("line: expected of {copies:,} copies with no part in it").format(
            copies=copies
        )
    )
    rows = wrap(about, _CURVE_CAPTION_CHARS_MAX)
    above = (
        _CURVE_HEIGHT_WITH_DOTS + 8
        if as_dots
        else _CURVE_HEIGHT_WITH_COLUMNS * _COLUMN_HEIGHT_RATIO_MAX + 8
    )
    for row, words in enumerate(reversed(rows)):
        half = 0.5 * _LABEL_LETTER_WIDTH * len(words)
        at = max(axis.x_of_score(0.0), _LEFT + half), _BASELINE - above - row * _LABEL_STEP
        yield _axis_text(at, words)


def _density_at(x: float, axis: _Axis) -> float:
    score = axis.score_at_x(x)
    return math.exp(-0.5 * score * score) * math.sqrt(score * score + _ASINH_SCALE * _ASINH_SCALE)


def _threshold_line(needed: float, axis: _Axis) -> Iterator[Shape]:
    at = axis.x_of_score(needed)
    yield straight_line((at, _TOP - 16), (at, _BASELINE), ColourRole.INK, dashed=True)
    anchor = TextAnchor.START if at < 0.62 * SCORE_PLOT_WIDTH else TextAnchor.END
    aside = 5.0 if anchor is TextAnchor.START else -5.0
    yield DrawnText(
        (at + aside, _TOP + 8),
        translated("named from {needed:.1f}").format(needed=needed),
        ColourRole.INK,
        anchor,
        _TEXT_SIZE,
    )


def _score_dots(scores: Sequence[float], axis: _Axis) -> Iterator[Shape]:
    """Yield one dot per copy; a dot that would overlap others is placed above them."""
    taken: list[tuple[float, int]] = []
    for score in sorted(scores):
        at, level = axis.x_of_score(score), 0
        while any(abs(at - x) < 2 * _DOT_RADIUS + 0.5 and level == on for x, on in taken):
            level += 1
        taken.append((at, level))
        yield Dot(
            (at, _BASELINE - _DOT_RADIUS - 1 - level * (2 * _DOT_RADIUS + 0.5)),
            _DOT_RADIUS,
            ColourRole.SOFT,
        )


def _score_columns(scores: Sequence[float], axis: _Axis) -> Iterator[Shape]:
    wide = (_RIGHT - _LEFT) / _COLUMN_COUNT
    counts = [0] * _COLUMN_COUNT
    for score in scores:
        counts[min(_COLUMN_COUNT - 1, max(0, int((axis.x_of_score(score) - _LEFT) / wide)))] += 1
    for column, count in enumerate(counts):
        if count:
            left = _LEFT + column * wide
            tall = max(1.5, _column_height(count, len(scores), wide, axis))
            yield filled_rectangle(
                left + 0.6, _BASELINE - tall, left + wide - 0.6, _BASELINE, ColourRole.SOFT
            )


def _column_height(count: int, copies: int, wide: float, axis: _Axis) -> float:
    """Return a column's height on the same scale as the expected distribution."""
    peak = max(_density_at(_LEFT + step, axis) for step in range(int(_RIGHT - _LEFT)))
    per_unit = (axis.high - axis.low) / (_RIGHT - _LEFT) / math.sqrt(2.0 * math.pi)
    expected_at_peak = copies * peak * per_unit * wide
    return min(_COLUMN_HEIGHT_RATIO_MAX, count / expected_at_peak) * _CURVE_HEIGHT_WITH_COLUMNS


def _named_dots_and_labels(
    scores: Mapping[str, float], named: Sequence[str], axis: _Axis
) -> Iterator[Shape]:
    """Yield dots for the named copies, then labels.

    All copies get labels if they are few. Otherwise the named ones do or, if none is named, the one
    with the highest score.
    """
    for who in named:
        yield Dot(
            (axis.x_of_score(scores[who]), _BASELINE - _DOT_RADIUS - 2),
            _DOT_RADIUS + 1.5,
            ColourRole.NAMED,
        )
    shown = [*named] or [max(scores, key=scores.__getitem__)]
    others = [who for who in scores if who not in shown] if len(scores) <= _LABELS_MAX else []
    tone = ColourRole.NAMED if named else ColourRole.SOFT
    labels = [
        *_copy_labels(shown, scores, axis, tone),
        *_copy_labels(others, scores, axis, ColourRole.SOFT),
    ]
    ends: list[float] = []
    for label in sorted(labels, key=lambda label: label.at):
        half = 0.5 * _LABEL_LETTER_WIDTH * len(label.text)
        middle = min(max(label.at, _LEFT + half), _RIGHT - half)
        level = next((n for n, end in enumerate(ends) if end < middle - half - 8), len(ends))
        ends[level : level + 1] = [middle + half]
        y = 15 + _LABEL_STEP * min(level, 3)
        rod = ColourRole.NAMED if label.tone is ColourRole.NAMED else ColourRole.FAINT
        yield straight_line((label.at, y + 4), (label.at, _BASELINE - 2 * _DOT_RADIUS - 4), rod)
        yield DrawnText((middle, y), label.text, label.tone, TextAnchor.MIDDLE, _TEXT_SIZE)


def _copy_labels(
    shown: Sequence[str], scores: Mapping[str, float], axis: _Axis, tone: ColourRole
) -> Iterator[_Label]:
    """Yield one label per copy, or one for each group of copies that are close together."""
    group: list[str] = []
    for who in sorted(shown, key=scores.__getitem__):
        if (
            group
            and axis.x_of_score(scores[who]) - axis.x_of_score(scores[group[-1]])
            > _SHARED_LABEL_DISTANCE
        ):
            yield _make_label(group, scores, axis, tone)
            group = []
        group.append(who)
    if group:
        yield _make_label(group, scores, axis, tone)


def _make_label(
    group: Sequence[str], scores: Mapping[str, float], axis: _Axis, tone: ColourRole
) -> _Label:
    low, high = (_number_with_minus_sign(round(scores[group[end]], 1)) for end in (0, -1))
    at = 0.5 * (axis.x_of_score(scores[group[0]]) + axis.x_of_score(scores[group[-1]]))
    if len(group) == 1:
        return _Label(at, f"{_shorten_label(group[0])}  {low}", tone)
    return _Label(
        at,
        translated("{number} copies, {low} to {high}").format(
            number=len(group), low=low, high=high
        ),
        tone,
    )


def _alt_text(scores: Mapping[str, float], named: Sequence[str], needed: float) -> str:
    count = plural("{count} copy", "{count} copies", len(scores))
    best = ", ".join(
        translated("{who} at {score:.1f}").format(who=who, score=scores[who]) for who in named
    ) or translated("no copy")
    rest = [score for who, score in scores.items() if who not in named]
    others = (
        translated("; the others lie between {low:.1f} and {high:.1f}").format(
            low=min(rest), high=max(rest)
        )
        if rest
        else ""
    )
    return translated("Scores of {count}. Named from {needed:.1f} on: {best}{others}.").format(
        count=count, needed=needed, best=best, others=others
    )


def _shorten_label(label: str) -> str:
    return label if len(label) <= _LABEL_CHARS_MAX else f"{label[: _LABEL_CHARS_MAX - 1]}\u2026"


def _number_with_minus_sign(value: float) -> str:
    return f"{value:g}".replace("-", "\u2212")


_COMPARED_SIDE_PX_MAX: Final = 400
_BIN_GREY_LEVELS: Final = 8  # width of a bin in grey levels
_BIN_PIXELS_MIN: Final = 40  # a bin with fewer pixels is left out
_LUMA_WEIGHTS: Final = np.array([0.299, 0.587, 0.114])
# mean distance from grey, in levels, that JPEG compression may add to a grey picture
_GREY_DISTANCE_MAX: Final = 2.5
_TONE_PLOT_SIDE: Final = 150.0
_TONE_PLOT_LEFT_MARGIN: Final = 34.0
_TONE_PLOT_TOP_MARGIN: Final = 8.0
_TONE_PLOT_MARGINS: Final = (16.0, 40.0)


@dataclass(frozen=True, slots=True)
class ToneCurve:
    """How the found picture's luma depends on the original's, and whether colour was removed.

    ``points`` are pairs in grey levels, one for each range of the original's luma: the median luma
    of the original, and that of the found picture at the same pixels.
    """

    points: tuple[tuple[float, float], ...]
    colours_gone: bool


def tone_curve(
    original_rgb: NDArray[np.uint8], laid_rgb: NDArray[np.uint8], covered: NDArray[np.bool_]
) -> ToneCurve:
    """Compare the original with the found picture, which was warped to the original's grid.

    Both are (H, W, 3). Only pixels where ``covered`` (H, W) is set are compared.
    """
    sent, laid, inside = (
        _shrink_for_comparison(plane) for plane in (original_rgb, laid_rgb, covered)
    )
    keep = inside > 0.99
    before, after = sent[keep], laid[keep]
    luma_before, luma_after = before @ _LUMA_WEIGHTS, after @ _LUMA_WEIGHTS
    at = (luma_before / _BIN_GREY_LEVELS).astype(int)
    bins = (at == level for level in range(256 // _BIN_GREY_LEVELS))
    points = tuple(
        (float(np.median(luma_before[one])), float(np.median(luma_after[one])))
        for one in bins
        if np.count_nonzero(one) >= _BIN_PIXELS_MIN
    )
    gone = (
        _colourfulness(after)
        < _GREY_DISTANCE_MAX
        < 2.0 * _GREY_DISTANCE_MAX
        < _colourfulness(before)
    )
    return ToneCurve(points, gone)


def describe_tone_curve(curve: ToneCurve) -> str:
    """Describe the changes of brightness, contrast and colour in a few words."""
    done = [translated("its colours are gone")] if curve.colours_gone else []
    if len(curve.points) > 2:
        before, after = np.array(curve.points).T
        slope = float(np.polyfit(before, after, 1)[0])
        shift = float(np.mean(after - before))
        if slope < 0.0:
            return ", ".join([translated("light and dark are exchanged"), *done])
        if abs(slope - 1.0) > 0.12:
            done.append(translated("more contrast") if slope > 1.0 else translated("less contrast"))
        if abs(shift) > 6.0:
            done.append(translated("brighter") if shift > 0.0 else translated("darker"))
    return ", ".join(done) if done else translated("brightness and colours as sent")


def tone_plot(curve: ToneCurve) -> Drawing:
    inner: list[Shape] = []
    for level in (0, 64, 128, 192, 255):
        inner.append(
            straight_line(
                _tone_plot_position(level, 0), _tone_plot_position(level, 255), ColourRole.FAINT
            )
        )
        inner.append(
            straight_line(
                _tone_plot_position(0, level), _tone_plot_position(255, level), ColourRole.FAINT
            )
        )
    for level in (0, 128, 255):
        x, y = _tone_plot_position(level, level)
        inner.append(
            DrawnText(
                (x, _TONE_PLOT_TOP_MARGIN + _TONE_PLOT_SIDE + 15),
                str(level),
                anchor=TextAnchor.MIDDLE,
            )
        )
        inner.append(
            DrawnText((_TONE_PLOT_LEFT_MARGIN - 6, y + 4), str(level), anchor=TextAnchor.END)
        )
    inner.append(
        straight_line(
            _tone_plot_position(0, 0), _tone_plot_position(255, 255), ColourRole.SOFT, dashed=True
        )
    )
    inner.append(
        DrawnPath(tuple(_tone_plot_position(x, y) for x, y in curve.points), ColourRole.NAMED)
    )
    about = "sent (across), found (up)"
    middle = _TONE_PLOT_LEFT_MARGIN + _TONE_PLOT_SIDE / 2
    inner.append(
        DrawnText(
            (middle, _TONE_PLOT_TOP_MARGIN + _TONE_PLOT_SIDE + 32),
            about,
            anchor=TextAnchor.MIDDLE,
            size=10,
        )
    )
    wide, tall = (
        _TONE_PLOT_LEFT_MARGIN + _TONE_PLOT_SIDE + _TONE_PLOT_MARGINS[0],
        _TONE_PLOT_TOP_MARGIN + _TONE_PLOT_SIDE + _TONE_PLOT_MARGINS[1],
    )
    return Drawing(
        wide,
        tall,
        tuple(inner),
        translated("Tone curve: {in_words}.").format(in_words=describe_tone_curve(curve)),
    )


def _tone_plot_position(before: float, after: float) -> tuple[float, float]:
    return (
        _TONE_PLOT_LEFT_MARGIN + _TONE_PLOT_SIDE * before / 255,
        _TONE_PLOT_TOP_MARGIN + _TONE_PLOT_SIDE * (1 - after / 255),
    )


def _shrink_for_comparison(plane: NDArray[np.generic]) -> NDArray[np.float64]:
    rows, columns = plane.shape[:2]
    factor = min(1.0, _COMPARED_SIDE_PX_MAX / max(rows, columns))
    size = max(1, round(columns * factor)), max(1, round(rows * factor))
    floats = plane.astype(np.float32)
    return np.asarray(cv2.resize(floats, size, interpolation=cv2.INTER_AREA), np.float64)


def _colourfulness(rgb: NDArray[np.float64]) -> float:
    """Return the mean difference between a pixel's largest and smallest sample, in levels."""
    return float(np.mean(np.ptp(rgb, axis=1))) if len(rgb) else 0.0
