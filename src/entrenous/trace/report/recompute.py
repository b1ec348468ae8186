"""Repeat a finding from two files and the disclosed marks; written for experts to read."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from entrenous.base.limits import COPY_MARK_KEY_CONTEXT, DITHER_KEY_CONTEXT
from entrenous.base.picture import Picture
from entrenous.base.secret import Secret
from entrenous.crypto.key_derivation import derive_key_stream
from entrenous.media.picture_writer import write_picture
from entrenous.trace.report.nouns import CommonReportFacts, DisclosedCopy
from entrenous.watermark.chip_layout import dither_stream_bytes, key_stream_bytes
from entrenous.watermark.embed import PreparedPicture, embed_mark
from entrenous.watermark.verdict import Finding

CHANCE_MIN: Final = 2.0**-256


def score(signs: NDArray[np.float64], evidence: NDArray[np.float64]) -> float:
    """Return how well one copy's signs agree with the evidence.

    The unit is the standard deviation of an innocent copy's score. Both arrays have one number per
    chip. If the evidence is zero everywhere, the score is 0.
    """
    norm = math.sqrt(np.sum(evidence * evidence))
    return float(np.sum(signs * evidence)) / norm if norm > 0.0 else 0.0


def copy_signs(seed: Secret, picture: Picture, chips: int) -> NDArray[np.float64]:
    """Return one copy's random signs, +1 or -1, in the order of the bits of its key stream."""
    key_stream = derive_key_stream(
        seed, COPY_MARK_KEY_CONTEXT, key_stream_bytes(picture.width_px, picture.height_px)
    )
    bits = np.unpackbits(np.frombuffer(key_stream, np.uint8), count=chips)
    return 2.0 * bits.astype(np.float64) - 1.0


def upper_tail(s: float) -> float:
    """Return an upper bound on the chance that an innocent copy scores ``s`` or more."""
    if s <= 0.0:
        return 1.0
    normal = 0.5 * math.erfc(s / math.sqrt(2.0))
    return max(min(1.0, math.exp(-0.5 * s * s), 3.17866 * normal), CHANCE_MIN)


def chance_bound(s: float, compared: int, round_: int) -> float:
    """Return an upper bound on the chance that any of the innocent copies scores ``s`` or more.

    The bound is corrected for the number of copies compared, and for the round.
    """
    p = upper_tail(s)
    best = 1.0 if p >= 1.0 else -math.expm1(compared * math.log1p(-p))  # = 1 - (1 - p)^compared
    return min(1.0, best * 2.0 ** min(round_ + 1, 1000))


def likelihood_ratio(s: float) -> float:
    """Return how many times likelier the score ``s`` is if the found file was made from this copy
    than if it was not.
    """
    strengths = range(1, 301)
    weights = math.fsum(1.0 / t for t in strengths)
    survived = math.fsum(
        math.exp(min(t * s - 0.5 * t * t, 700.0)) / (t * weights) for t in strengths
    )
    return min(0.5 + 0.5 * survived, 1.0 / CHANCE_MIN)


def remove_named_copies(
    evidence: NDArray[np.float64], named: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Remove the named copies' part from the evidence, by least squares.

    A copy's part is its signs, each weighted by the mean square of the evidence over the 63 chips
    around it.
    """
    strength = np.maximum(uniform_filter1d(evidence * evidence, 63, mode="mirror"), 0.0)
    directions = [signs * strength for signs in named]
    gram = np.array([[np.sum(one * other) for other in directions] for one in directions])
    projections = np.array([np.sum(one * evidence) for one in directions])
    shares = np.linalg.lstsq(gram, projections, rcond=None)[0]
    remaining = evidence.copy()
    for share, one in zip(shares, directions, strict=True):
        remaining -= share * one
    return remaining


def score_copies(
    copies: Sequence[DisclosedCopy],
    picture: Picture,
    evidence: NDArray[np.float32],
    compared: int,
    alpha: float,
) -> tuple[DisclosedCopy, ...]:
    """Score all copies in rounds, and compute their chances and likelihood ratios."""
    whole = evidence.astype(np.float64)
    best = list(copies)
    named: list[int] = []
    for round_ in range(len(copies)):
        signs = (copy_signs(copies[place].seed, picture, whole.size) for place in named)
        remaining = remove_named_copies(whole, list(signs)) if named else whole
        unnamed = [place for place in range(len(copies)) if place not in named]
        for place in unnamed:
            s = score(copy_signs(copies[place].seed, picture, whole.size), remaining)
            first = s if round_ == 0 else best[place].first_score
            now = replace(best[place], first_score=first, round=round_, score=s)
            (now,) = with_recomputed_figures([now], compared)
            if round_ == 0 or (now.chance, s) < (best[place].chance, best[place].score):
                best[place] = now
        newly_named = [place for place in unnamed if best[place].chance <= alpha]
        if not newly_named:
            break
        named += newly_named
    return tuple(best)


def with_recomputed_figures(
    copies: Sequence[DisclosedCopy], compared: int
) -> tuple[DisclosedCopy, ...]:
    """Recompute the chances and likelihood ratios from the copies' scores."""
    return tuple(
        replace(
            copy,
            chance=chance_bound(copy.score, compared, copy.round),
            likelihood_ratio=likelihood_ratio(copy.first_score),
        )
        for copy in copies
    )


def finding_and_named(
    copies: Sequence[DisclosedCopy], alpha: float
) -> tuple[Finding, tuple[str, ...]]:
    """Return the finding, and the labels of the named copies.

    The labels are sorted by round, and within a round by score, highest first.
    """
    named = [copy for copy in copies if copy.chance <= alpha]
    labels = tuple(copy.to for copy in sorted(named, key=lambda copy: (copy.round, -copy.score)))
    return (Finding.NOBODY, Finding.ONE, Finding.SEVERAL)[min(len(named), 2)], labels


def remake_copy(
    disclosure: CommonReportFacts, original: Picture, prepared: PreparedPicture, seed: Secret
) -> bytes:
    """Make a copy's file again from the original and the copy's seed."""
    size = original.width_px, original.height_px
    marked = embed_mark(
        prepared,
        derive_key_stream(seed, COPY_MARK_KEY_CONTEXT, key_stream_bytes(*size)),
        derive_key_stream(disclosure.dither, DITHER_KEY_CONTEXT, dither_stream_bytes(*size)),
    )
    return write_picture(original, marked, finer=disclosure.finer)
