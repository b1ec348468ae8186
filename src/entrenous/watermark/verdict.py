"""Compute a verdict from the scores of all copies, with a bound on false accusation.

The specification is docs/spec/mark.md. A verdict is about copies, never about what people did.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from entrenous.base.errors import NotFound
from entrenous.base.identifiers import MessageId, MessageName, RecipientId
from entrenous.base.limits import FALSE_NAMING_CHANCE_MAX
from entrenous.watermark.likelihood import chance_that_any_scores, likelihood_ratio, upper_tail


class Finding(StrEnum):
    """What the scores show."""

    ONE = "one"  # exactly one copy explains the leak
    # several copies explain it, because copies were merged, or one person has two devices
    SEVERAL = "several"
    NOBODY = "nobody"  # no copy stands out, which does *not* clear anybody


@dataclass(frozen=True, slots=True)
class PictureWarp:
    """The transform from a sent picture to the found one.

    ``homography`` maps homogeneous coordinates of the sent picture's pixel centres to the found
    picture; its nine numbers are in row-major order. ``bent_px`` is the largest deviation from the
    homography, in found pixels; a lens, a wave or curled paper causes one. ``kept`` is the visible
    share of the sent picture's area, in [0, 1]. ``turned_deg`` is the counter-clockwise rotation of
    the found picture, in (-180, 180]. ``mirrored`` means flipped left to right. ``scale`` is the
    number of found pixels per sent pixel.
    """

    homography: tuple[float, ...]
    kept: float
    turned_deg: float
    mirrored: bool
    scale: float
    bent_px: float = 0.0

    def __post_init__(self) -> None:
        if len(self.homography) != 9:
            raise ValueError("a homography has 9 numbers")
        if not 0.0 <= self.kept <= 1.0:
            raise ValueError("kept is a share of the area, between 0 and 1")


@dataclass(frozen=True, slots=True)
class MatchedSpan:
    """The part of a sent clip or sound that a found file shows.

    It starts at ``start_s`` of the sent file and covers ``length_s`` seconds of it. ``speed`` is
    1.02 if the found file plays 2 % faster. A single frame has length 0.
    """

    start_s: float
    length_s: float
    speed: float = 1.0

    def __post_init__(self) -> None:
        if self.length_s < 0.0 or self.speed <= 0.0:
            raise ValueError("a span has a length and a speed")


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer to "whose copy is this?".

    ``named`` is ordered by the round that named the copies, and in each round from most to least
    likely. It is empty if ``finding`` is ``NOBODY``. ``chance`` maps every compared recipient to a
    probability in [0, 1]: that the best of all compared copies would score at least as high as this
    recipient's copy if all of them were innocent. In :func:`name_in_rounds`, this probability is
    multiplied by a factor for the round. A small probability means that this copy stands out.
    ``score`` is in standard deviations of an innocent copy's score. ``likelihood_ratio`` says how
    many times better the evidence is explained if this copy leaked than if it did not.
    """

    finding: Finding
    named: tuple[RecipientId, ...]
    chance: Mapping[RecipientId, float]
    score: Mapping[RecipientId, float]
    likelihood_ratio: Mapping[RecipientId, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FurtherMessageVerdict:
    """The result of a trace for one further message; ``warp`` is None for a sound."""

    message: MessageName
    verdict: Verdict
    warp: PictureWarp | None


@dataclass(frozen=True, slots=True)
class Trace:
    """The verdict on one found file, recorded so that a case can be opened from it.

    ``message`` is None if the file matches nothing that was sent from here. ``warp`` is None then,
    and for a sound. ``span`` is set for a clip, a sound, or a frame of a clip. ``compared`` is the
    number of copies that the chances are corrected for; it is 0 in traces older than this field.
    ``others`` are further messages with named copies, as in a collage, or if copies of two messages
    were merged. ``lost`` are messages that could not be compared because their files are missing or
    damaged; the trace says nothing about their copies.
    """

    number: int
    at: datetime
    leak_sha256: bytes
    verdict: Verdict
    message: MessageName | None = None
    warp: PictureWarp | None = None
    span: MatchedSpan | None = None
    compared: int = 0
    others: tuple[FurtherMessageVerdict, ...] = ()
    lost: tuple[MessageId, ...] = ()


class NoSuchTrace(NotFound):
    """
    There is no trace number {number} on this device. Nothing was changed. To trace the file again:
    entrenous trace FILE
    """


class NothingToWeigh(NotFound):
    """
    There is no sent copy to compare this file with: either no file of this kind was sent from this
    device, or the records of what was sent were deleted. To see what was sent: entrenous sent
    """


def name_by_scores(
    scores: Mapping[RecipientId, float],
    *,
    alpha: float = FALSE_NAMING_CHANCE_MAX,
    compared: int | None = None,
) -> Verdict:
    """Name the copies with scores that no innocent copy would plausibly reach.

    Args:
        scores: one finite score per copy, in standard deviations of an innocent copy's; N >= 1
            entries.
        alpha: accepted probability, in (0, 1), that any innocent copy is named.
        compared: the number of all copies that the leak was compared with, including those of other
            messages. It is at least N, which is the default.

    Raises:
        NothingToWeigh: ``scores`` is empty.
        ValueError: a score is not finite, ``alpha`` is outside (0, 1), ``compared`` is below N.

    >>> name_by_scores({RecipientId("ana"): 9.1, RecipientId("bo"): 0.3}).named
    ('ana',)
    """
    total = _checked_compared_count(len(scores), alpha, compared)
    chance = {
        who: chance_that_any_scores(total, upper_tail(score)) for who, score in scores.items()
    }
    outliers = (who for who in chance if chance[who] <= alpha)
    named = tuple(sorted(outliers, key=scores.__getitem__, reverse=True))
    ratio = {who: likelihood_ratio(score) for who, score in scores.items()}
    return Verdict(finding_of(len(named)), named, chance, dict(scores), ratio)


def finding_of(named: int) -> Finding:
    return (Finding.NOBODY, Finding.ONE, Finding.SEVERAL)[min(named, 2)]


ScoreCopies = Callable[[Collection[RecipientId]], Mapping[RecipientId, float]]


def name_in_rounds(
    score: ScoreCopies, *, alpha: float = FALSE_NAMING_CHANCE_MAX, compared: int | None = None
) -> Verdict:
    """Name the copies with scores that no innocent copy would plausibly reach, in rounds.

    In round k, counted from 0, each chance is multiplied by 2^(k+1). For each copy, the verdict has
    the smallest chance of all rounds, the score in the round with that chance, and the likelihood
    ratio of the score in round 0.

    Args:
        score: removes the evidence of the given copies, and returns the scores of all copies, in
            standard deviations of an innocent copy's score; scores of named copies are ignored.
        alpha: accepted probability, in (0, 1), that any innocent copy is named.
        compared: as in :func:`name_by_scores`.

    Raises:
        NothingToWeigh: there are no copies.
        ValueError: a score is not finite, ``alpha`` is outside (0, 1), ``compared`` is too small.
    """
    first = dict(score(()))
    total = _checked_compared_count(len(first), alpha, compared)
    best = {who: (_chance_in_round(z, total, 0), z) for who, z in first.items()}
    named = _newly_named(best, (), alpha)
    newly_named, round_number = named, 1
    while newly_named and len(named) < len(first):
        for who, z in score(named).items():
            if who not in named:
                best[who] = min(best[who], (_chance_in_round(z, total, round_number), z))
        newly_named = _newly_named(best, named, alpha)
        named, round_number = named + newly_named, round_number + 1
    return Verdict(
        finding_of(len(named)),
        named,
        {who: chance for who, (chance, _) in best.items()},
        {who: z for who, (_, z) in best.items()},
        {who: likelihood_ratio(z) for who, z in first.items()},
    )


def _checked_compared_count(copies: int, alpha: float, compared: int | None) -> int:
    if not copies:
        raise NothingToWeigh
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    total = copies if compared is None else compared
    if total < copies:
        raise ValueError(f"{copies} copies were scored, but only {total} compared")
    return total


def _chance_in_round(score: float, total: int, round_number: int) -> float:
    """Return the chance in a round, multiplied by 2^(round_number + 1).

    The factor stops growing after 1,000 rounds, when no chance is small enough anyway.
    """
    chance = chance_that_any_scores(total, upper_tail(score))
    return min(1.0, chance * 2.0 ** min(round_number + 1, 1000))


def _newly_named(
    best: Mapping[RecipientId, tuple[float, float]], before: Collection[RecipientId], alpha: float
) -> tuple[RecipientId, ...]:
    """Return the newly named copies, from most to least likely."""
    small = [who for who, (chance, _) in best.items() if chance <= alpha and who not in before]
    return tuple(sorted(small, key=lambda who: best[who][1], reverse=True))


# higher scores are not searched, because the chance of an innocent copy reaches its minimum,
# CHANCE_MIN, at a much lower score
_SCORE_MAX: Final = 64.0
_BISECTION_STEPS: Final = 60


def lowest_naming_score(compared: int, *, alpha: float = FALSE_NAMING_CHANCE_MAX) -> float:
    """Return the lowest score whose chance among ``compared`` copies is at most ``alpha``.

    Raises:
        ValueError: nobody was compared, or no score has so small a chance.

    >>> round(lowest_naming_score(1000), 1)
    6.2
    """
    if compared < 1 or chance_that_any_scores(compared, upper_tail(_SCORE_MAX)) > alpha:
        raise ValueError("no score names a copy here")
    low, high = 0.0, _SCORE_MAX
    for _ in range(_BISECTION_STEPS):
        middle = 0.5 * (low + high)
        enough = chance_that_any_scores(compared, upper_tail(middle)) <= alpha
        low, high = (low, middle) if enough else (middle, high)
    return high
