"""Weigh the scores of all copies into a verdict, with a bound on false accusation
(docs/spec/mark.md).

A verdict speaks of copies, never of people's deeds.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from entrenous.base.errors import NotFound
from entrenous.base.identifiers import MessageId, MessageName, RecipientId
from entrenous.base.limits import ALPHA
from entrenous.watermark.likelihood import likelihood_ratio, tail_of_best, upper_tail


class Finding(StrEnum):
    """What the scores allow us to say."""

    ONE = "one"  # exactly one copy explains the leak
    SEVERAL = "several"  # more than one does: merged copies, or one person with two devices
    NOBODY = "nobody"  # no copy stands out; this does *not* clear anybody


@dataclass(frozen=True, slots=True)
class Warp:
    """How a found picture lies on the sent one.

    ``homography`` maps homogeneous pixel-centre coordinates of the sent picture to those of the
    found one, row by row, 9 numbers; ``bent_px`` is how far, in pixels of the found one, a lens, a
    wave or curled paper takes a place away from there at the most. ``kept`` is the share of the
    sent picture's area that is still visible, in [0, 1]; ``turned_deg`` is the turn of the
    found picture, counter-clockwise,
    in (-180, 180]; ``mirrored`` is true when it was flipped left to right; ``scale`` is found
    pixels per sent pixel.
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
class Span:
    """Which part of a sent clip or sound a found one shows.

    The found one starts at ``start_s`` of the sent one and shows ``length_s`` seconds of it;
    ``speed`` is 1.02 when it plays 2 % faster. A single
    frame has a length of 0.
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

    ``named`` runs from most to least likely and is empty when ``finding`` is ``NOBODY``.
    ``chance`` maps every compared recipient to the probability, in [0, 1], that the best of as
    many innocent copies as were compared would score as high: small means that this copy stands
    out. ``score`` is in standard deviations of an innocent copy's score. ``likelihood_ratio`` says
    how many times better "this copy" explains the evidence than "an innocent copy" does.
    """

    finding: Finding
    named: tuple[RecipientId, ...]
    chance: Mapping[RecipientId, float]
    score: Mapping[RecipientId, float]
    likelihood_ratio: Mapping[RecipientId, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """What a trace says of one further message: a verdict on its copies, and how the leak lies
    (None for a sound).
    """

    message: MessageName
    verdict: Verdict
    warp: Warp | None


@dataclass(frozen=True, slots=True)
class Trace:
    """A verdict about one found file, kept so that a case can be opened from it.

    ``message`` and ``warp`` are None when the file resembles no picture that was sent from here.
    ``span`` is there when a clip or a sound was found, or a frame of a sent clip. ``compared`` is
    the number of copies that the chances count; 0 in traces that are older than this field.
    ``others``
    are further messages of which copies are named: a collage, or copies of two messages merged.
    ``lost`` are messages that it could not be compared with, for what this device kept of them
    cannot be read any more: nothing is said about their copies.
    """

    number: int
    at: datetime
    leak_sha256: bytes
    verdict: Verdict
    message: MessageName | None = None
    warp: Warp | None = None
    span: Span | None = None
    compared: int = 0
    others: tuple[Part, ...] = ()
    lost: tuple[MessageId, ...] = ()


class NoSuchTrace(NotFound):
    """
    There is no trace number {number} on this device. Trace the picture again with:
    entrenous trace FILE
    """


class NothingToWeigh(NotFound):
    """
    There is nobody to compare this with: it was not sent from this device, or its record was
    deleted. See what was sent with: entrenous sent
    """


def weigh(
    scores: Mapping[RecipientId, float], *, alpha: float = ALPHA, compared: int | None = None
) -> Verdict:
    """Name the copies whose score no innocent copy would plausibly reach.

    Args:
        scores: one score per copy, in standard deviations of an innocent's; finite; N >= 1 entries.
        alpha: accepted probability, in (0, 1), that any innocent copy is named.
        compared: how many copies the leak was compared with in all: when pictures of several
            messages were tried, everybody who got one of them. At least N, which is the default.

    Raises:
        NothingToWeigh: ``scores`` is empty.
        ValueError: a score is not finite, ``alpha`` is outside (0, 1), ``compared`` is below N.

    >>> weigh({RecipientId("ana"): 9.1, RecipientId("bo"): 0.3}).named
    ('ana',)
    """
    if not scores:
        raise NothingToWeigh
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    everybody = len(scores) if compared is None else compared
    if everybody < len(scores):
        raise ValueError(
            f"{len(scores)} copies were scored, so more than {everybody} were compared"
        )
    chance = {who: tail_of_best(everybody, upper_tail(score)) for who, score in scores.items()}
    standing_out = (who for who in chance if chance[who] <= alpha)
    named = tuple(sorted(standing_out, key=scores.__getitem__, reverse=True))
    ratio = {who: likelihood_ratio(score) for who, score in scores.items()}
    return Verdict(finding_of(len(named)), named, chance, dict(scores), ratio)


def finding_of(named: int) -> Finding:
    """What so many named copies say."""
    return (Finding.NOBODY, Finding.ONE, Finding.SEVERAL)[min(named, 2)]


Score = Callable[[Collection[RecipientId]], Mapping[RecipientId, float]]


def weigh_in_rounds(score: Score, *, alpha: float = ALPHA, compared: int | None = None) -> Verdict:
    """Name the copies whose score no innocent copy would plausibly reach, in rounds.

    A copy's chance is the least of its chances in the rounds that scored it, each counted 2^(k+1)
    fold; its score is the one of that round, its likelihood ratio that of its first score.

    Args:
        score: scores of all copies, in standard deviations of an innocent's, in the evidence
            without these copies; scores of copies already named are not looked at.
        alpha: accepted probability, in (0, 1), that any innocent copy is named.
        compared: as in ``verdict.weigh``.

    Raises:
        NothingToWeigh: there are no copies.
        ValueError: a score is not finite, ``alpha`` is outside (0, 1), ``compared`` is too small.
    """
    first = dict(score(()))
    everybody = _checked(len(first), alpha, compared)
    best = {who: (_chance(z, everybody, 0), z) for who, z in first.items()}
    named = _named(best, (), alpha)
    fresh, spent = named, 1
    while fresh and len(named) < len(first):
        for who, z in score(named).items():
            if who not in named:
                best[who] = min(best[who], (_chance(z, everybody, spent), z))
        fresh = _named(best, named, alpha)
        named, spent = named + fresh, spent + 1
    return Verdict(
        finding_of(len(named)),
        named,
        {who: chance for who, (chance, _) in best.items()},
        {who: z for who, (_, z) in best.items()},
        {who: likelihood_ratio(z) for who, z in first.items()},
    )


def _checked(copies: int, alpha: float, compared: int | None) -> int:
    if not copies:
        raise NothingToWeigh
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    everybody = copies if compared is None else compared
    if everybody < copies:
        raise ValueError(f"{copies} copies were scored, so more than {everybody} were compared")
    return everybody


def _chance(score: float, everybody: int, spent: int) -> float:
    """Counted 2^(spent + 1) fold; beyond 1,000 rounds nothing is small enough any more."""
    return min(1.0, tail_of_best(everybody, upper_tail(score)) * 2.0 ** min(spent + 1, 1000))


def _named(
    best: Mapping[RecipientId, tuple[float, float]], before: Collection[RecipientId], alpha: float
) -> tuple[RecipientId, ...]:
    """From most to least likely."""
    small = [who for who, (chance, _) in best.items() if chance <= alpha and who not in before]
    return tuple(sorted(small, key=lambda who: best[who][1], reverse=True))


_HIGHEST: Final = 64.0  # the tail has reached its floor long before
_HALVINGS: Final = 60


def naming_score(compared: int, *, alpha: float = ALPHA) -> float:
    """The least score, in standard deviations, whose chance among ``compared`` copies is at most
    ``alpha``.

    Raises:
        ValueError: nobody was compared, or no score could have so small a chance.

    >>> round(naming_score(1000), 1)
    6.2
    """
    if compared < 1 or tail_of_best(compared, upper_tail(_HIGHEST)) > alpha:
        raise ValueError("no score names a copy here")
    low, high = 0.0, _HIGHEST
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if _chance_at(compared, middle) <= alpha else (middle, high)
    return high


def _chance_at(compared: int, score: float) -> float:
    return tail_of_best(compared, upper_tail(score))
