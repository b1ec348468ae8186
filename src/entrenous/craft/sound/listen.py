"""Evidence per chip from two estimates, and scores. Nothing here before the score knows a key."""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.sound.estimates import Estimates
from entrenous.craft.sound.layout import BANDS, chips

_GROUP: Final = 8  # neighbouring bands whose tiles are judged together
_CLASSES: Final = 12  # of tiles with about as much information
_MARK: Final = 0.7  # mean square of what a chip leaves in its own tile (edges are smoothed)
_TAIL: Final = 3.0  # standard deviations
_SPREAD_MIN: Final = 0.05
_TINY: Final = 1e-12


def evidence(ways: Iterable[Estimates], heard: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(tiles, BANDS): what the found sound says about every chip, within -1 .. 1.

    A class of tiles that promised the same information is worth what its estimates scatter: their
    variance, less the mark's own, turns an estimate into half a log-likelihood ratio; its
    hyperbolic tangent is the expected chip. Ways are averaged by what they are worth per band.
    ``heard`` (tiles,) tells which tiles the found sound covers.
    """
    total = np.zeros((len(heard), BANDS))
    weight = np.full(BANDS, _TINY)
    for way in ways:
        ratio, worth = _calibrated(way, heard)
        total += worth * ratio
        weight += worth
    soft: NDArray[np.float64] = np.tanh(total / weight) * heard[:, None]
    return soft


def scores(evidence: NDArray[np.float64], streams: Iterable[bytes]) -> NDArray[np.float64]:
    """sum(chip x evidence) / norm(evidence), one per key stream; 0 without any evidence.

    The chance that an innocent copy scores high is bounded in docs/spec/mark.md, section 7.
    """
    flat = evidence.ravel()
    norm = float(np.linalg.norm(flat))
    unit = flat / norm if norm > 0.0 else flat
    return np.array([float(chips(one, unit.size) @ unit) for one in streams])


def _calibrated(
    way: Estimates, heard: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Half log-likelihood ratios (tiles, BANDS), and how much a band of them is worth (BANDS,)."""
    ratio = np.zeros(way.change.shape)
    worth = np.zeros(BANDS)
    inside = heard[:, None] & (way.information > _TINY)
    for first in range(0, BANDS, _GROUP):
        part = np.s_[:, first : first + _GROUP]
        here = inside[part]
        found, value = _by_class(way.change[part][here], way.information[part][here])
        ratio[part][here] = found
        values = np.zeros(here.shape)
        values[here] = value
        worth[first : first + _GROUP] = values.sum(0) / max(1, int(heard.sum()))
    return ratio, worth


def _by_class(
    change: NDArray[np.float64], information: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ratio, value = np.zeros(change.shape), np.zeros(change.shape)
    for members in np.array_split(np.argsort(information, kind="stable"), _CLASSES):
        if len(members) == 0:
            continue
        clipped, spread = _winsorised(change[members])
        noise = max(spread - _MARK, 0.1 * spread, _SPREAD_MIN)
        ratio[members] = clipped / noise
        value[members] = 1.0 / noise
    return ratio, value


def _winsorised(change: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Values clipped at ``_TAIL`` standard deviations, and their mean square."""
    clipped = change
    spread = float(np.mean(clipped**2)) + _TINY
    for _ in range(3):
        edge = _TAIL * spread**0.5
        clipped = np.clip(clipped, -edge, edge)
        spread = float(np.mean(clipped**2)) + _TINY
    return clipped, spread
