"""Repeat a finding from two files and the disclosed marks of one message, written for an expert to
read.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from entrenous.base.limits import COPY_CONTEXT, DITHER_CONTEXT
from entrenous.base.picture import Picture
from entrenous.base.secret import Secret
from entrenous.crypto.key_derivation import stream
from entrenous.media.picture_writer import write_picture
from entrenous.trace.report.nouns import DisclosedCopy, Disclosure
from entrenous.watermark.chip_layout import dither_bytes, stream_bytes
from entrenous.watermark.embed import Prepared, embed
from entrenous.watermark.verdict import Finding

SMALLEST: Final = 2.0**-256


def score(signs: NDArray[np.float64], evidence: NDArray[np.float64]) -> float:
    """The agreement of one copy's signs with the evidence, in standard deviations of an innocent's.

    Both have one number per chip; 0 if the evidence says nothing at all.
    """
    norm = math.sqrt(np.sum(evidence * evidence))
    return float(np.sum(signs * evidence)) / norm if norm > 0.0 else 0.0


def signs_of(seed: Secret, picture: Picture, chips: int) -> NDArray[np.float64]:
    """One copy's coins as +1 and -1, the first bit of its key stream first."""
    grown = stream(seed, COPY_CONTEXT, stream_bytes(picture.width_px, picture.height_px))
    bits = np.unpackbits(np.frombuffer(grown, np.uint8), count=chips)
    return 2.0 * bits.astype(np.float64) - 1.0


def tail(s: float) -> float:
    """At most how often an innocent copy scores ``s`` or more."""
    if s <= 0.0:
        return 1.0
    normal = 0.5 * math.erfc(s / math.sqrt(2.0))
    return max(min(1.0, math.exp(-0.5 * s * s), 3.17866 * normal), SMALLEST)


def chance(s: float, compared: int, round_: int) -> float:
    """At most how often any of so many innocent copies scores ``s`` or more, as this round's."""
    p = tail(s)
    best = 1.0 if p >= 1.0 else -math.expm1(compared * math.log1p(-p))  # = 1 - (1 - p)^compared
    return min(1.0, best * 2.0 ** min(round_ + 1, 1000))


def ratio(s: float) -> float:
    """How many times likelier ``s`` is if the copy was used than if it was not."""
    strengths = range(1, 301)
    weights = math.fsum(1.0 / t for t in strengths)
    heard = math.fsum(math.exp(min(t * s - 0.5 * t * t, 700.0)) / (t * weights) for t in strengths)
    return min(0.5 + 0.5 * heard, 1.0 / SMALLEST)


def set_aside(
    evidence: NDArray[np.float64], named: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """The evidence without its parts along the named copies' signs, each sign counting as much as
    the evidence around it is firm: its mean square over 63 chips.
    """
    firm = np.maximum(uniform_filter1d(evidence * evidence, 63, mode="mirror"), 0.0)
    along = [signs * firm for signs in named]
    between = np.array([[np.sum(one * other) for other in along] for one in along])
    on_each = np.array([np.sum(one * evidence) for one in along])
    shares = np.linalg.lstsq(between, on_each, rcond=None)[0]
    left = evidence.copy()
    for share, one in zip(shares, along, strict=True):
        left -= share * one
    return left


def scored(
    copies: Sequence[DisclosedCopy],
    picture: Picture,
    evidence: NDArray[np.float32],
    compared: int,
    alpha: float,
) -> tuple[DisclosedCopy, ...]:
    """The same copies, their scores and all that follows computed anew, in rounds."""
    whole = evidence.astype(np.float64)
    best = list(copies)
    named: list[int] = []
    for round_ in range(len(copies)):
        signs = (signs_of(copies[place].seed, picture, whole.size) for place in named)
        left = set_aside(whole, list(signs)) if named else whole
        waiting = [place for place in range(len(copies)) if place not in named]
        for place in waiting:
            s = score(signs_of(copies[place].seed, picture, whole.size), left)
            first = s if round_ == 0 else best[place].first_score
            now = replace(best[place], first_score=first, round=round_, score=s)
            (now,) = with_figures([now], compared)
            if round_ == 0 or (now.chance, s) < (best[place].chance, best[place].score):
                best[place] = now
        fresh = [place for place in waiting if best[place].chance <= alpha]
        if not fresh:
            break
        named += fresh
    return tuple(best)


def with_figures(copies: Sequence[DisclosedCopy], compared: int) -> tuple[DisclosedCopy, ...]:
    """The same copies and scores, with the chances and ratios that follow from the scores."""
    return tuple(
        replace(
            copy,
            chance=chance(copy.score, compared, copy.round),
            likelihood_ratio=ratio(copy.first_score),
        )
        for copy in copies
    )


def finding(copies: Sequence[DisclosedCopy], alpha: float) -> tuple[Finding, tuple[str, ...]]:
    """What may be said, and whose copies are named: round by round, the highest score first."""
    named = [copy for copy in copies if copy.chance <= alpha]
    labels = tuple(copy.to for copy in sorted(named, key=lambda copy: (copy.round, -copy.score)))
    return (Finding.NOBODY, Finding.ONE, Finding.SEVERAL)[min(len(named), 2)], labels


def made_anew(given: Disclosure, original: Picture, prepared: Prepared, seed: Secret) -> bytes:
    """The file of the copy that this seed makes of the original."""
    size = original.width_px, original.height_px
    marked = embed(
        prepared,
        stream(seed, COPY_CONTEXT, stream_bytes(*size)),
        stream(given.dither, DITHER_CONTEXT, dither_bytes(*size)),
    )
    return write_picture(original, marked, finer=given.finer)
