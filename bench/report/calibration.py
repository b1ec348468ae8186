"""Does a likelihood ratio mean what it says? (Brummer and du Preez 2006; Ramos et al. 2013.)

Every trace compares one true copy and 23 innocent ones, so the prior chance of each is 1 in 24 and
known. To learn anything about ratios between 1 and a million, leaks must be nearly ruined: with
ordinary ones every true copy's ratio is beyond any doubt and every innocent's near 1/2.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.tracing.grid import Row
from entrenous.watermark.likelihood import likelihood_ratio

Ratios = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Log10 likelihood ratios of true and of innocent copies."""

    true: Ratios
    innocent: Ratios

    @property
    def cllr(self) -> float:
        """Cost of the log likelihood ratio in bits: 0 is perfect, 1 says nothing."""
        return _cllr(self.true, self.innocent)

    @property
    def cllr_min(self) -> float:
        """What is left when the ratios are calibrated as well as this data allows (PAV)."""
        return _cllr(*calibrated(self.true, self.innocent))

    def above(self, log10: float) -> tuple[float, float]:
        """Share of true and of innocent copies with at least this ratio."""
        return float((self.true >= log10).mean()), float((self.innocent >= log10).mean())


def calibration(rows: list[Row]) -> Calibration:
    """The ratios that the product states, for every copy of every trace that registered."""
    heard = [row for row in rows if row.registered]
    return Calibration(
        true=_log10([row.score for row in heard]),
        innocent=_log10([score for row in heard for score in row.others]),
    )


def reliability(found: Calibration, bins: int = 12) -> list[tuple[float, float, int]]:
    """Stated chance that a copy is the true one, share of true ones, and number, bin by bin.

    The prior is the share of true copies among all. Bins are even in log odds.
    """
    ratios = np.concatenate([found.true, found.innocent])
    truth = np.concatenate([np.ones(found.true.size), np.zeros(found.innocent.size)])
    odds = ratios + np.log10(found.true.size / max(1, found.innocent.size))
    edges = np.concatenate([[-np.inf], np.linspace(-1.75, 4, bins - 1), [np.inf]])
    which = np.digitize(odds, edges[1:-1])
    stated = 1 / (1 + 10.0 ** -np.clip(odds, -300, 300))
    return [
        (float(stated[which == b].mean()), float(truth[which == b].mean()), int((which == b).sum()))
        for b in range(bins)
        if (which == b).any()
    ]


def calibrated(true: Ratios, innocent: Ratios) -> tuple[Ratios, Ratios]:
    """Ratios made as good as a monotone map can (pool adjacent violators), as log10."""
    scores = np.concatenate([true, innocent])
    truth = np.concatenate([np.ones(true.size), np.zeros(innocent.size)])
    order = np.lexsort((-truth, scores))
    chance = np.clip(_rising(truth[order]), 1e-12, 1 - 1e-12)
    log10 = np.empty_like(scores)
    log10[order] = np.log10(chance / (1 - chance)) - np.log10(true.size / innocent.size)
    return log10[: true.size], log10[true.size :]


def _rising(values: NDArray[np.float64]) -> NDArray[np.float64]:
    blocks: list[tuple[float, int]] = []
    for value in values:
        mean, size = float(value), 1
        while blocks and blocks[-1][0] >= mean:
            before, count = blocks.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        blocks.append((mean, size))
    return np.concatenate([np.full(size, mean) for mean, size in blocks])


def _cllr(true: Ratios, innocent: Ratios) -> float:
    missed = np.logaddexp2(0, -true * np.log2(10)).mean()
    blamed = np.logaddexp2(0, innocent * np.log2(10)).mean()
    return float((missed + blamed) / 2)


def _log10(scores: list[float]) -> Ratios:
    return np.log10([likelihood_ratio(score) for score in scores])
