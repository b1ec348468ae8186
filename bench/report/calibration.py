"""Check the stated likelihood ratios (Brummer and du Preez 2006; Ramos et al. 2013).

Every trace compares one true copy and 23 innocent ones, so the prior chance of each copy is known:
1 in 24. Ratios between 1 and a million occur only if leaks are nearly ruined: after ordinary
attacks, every true copy's ratio is beyond doubt, and every innocent copy's is near 1/2.
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
        """Return the cost of the log-likelihood ratio, in bits.

        It is 0 for perfect ratios, and 1 if every ratio is 1, which says nothing.
        """
        return _cllr(self.true, self.innocent)

    @property
    def cllr_min(self) -> float:
        """Return the cost in bits that remains after the best recalibration: see ``calibrated``."""
        return _cllr(*calibrated(self.true, self.innocent))

    def above(self, log10: float) -> tuple[float, float]:
        """Return the shares of true and of innocent copies with at least this log10 ratio."""
        return float((self.true >= log10).mean()), float((self.innocent >= log10).mean())


def calibration(rows: list[Row]) -> Calibration:
    """Return the product's ratio for each copy of each trace that could align its leak."""
    aligned_rows = [row for row in rows if row.registered]
    return Calibration(
        true=_log10([row.score for row in aligned_rows]),
        innocent=_log10([score for row in aligned_rows for score in row.others]),
    )


def reliability(found: Calibration, bins: int = 12) -> list[tuple[float, float, int]]:
    """Return, for each bin that is not empty: the mean stated chance that a copy is the true one,
    the share of true copies, and the number of copies.

    The prior is the share of true copies among all. Bins are equally wide in log odds; the first
    and the last one are open-ended.
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
    """Return log10 ratios after the best monotone recalibration of the given ones.

    It is computed by pooling adjacent violators (PAV).
    """
    scores = np.concatenate([true, innocent])
    truth = np.concatenate([np.ones(true.size), np.zeros(innocent.size)])
    order = np.lexsort((-truth, scores))
    chance = np.clip(_pool_adjacent_violators(truth[order]), 1e-12, 1 - 1e-12)
    log10 = np.empty_like(scores)
    log10[order] = np.log10(chance / (1 - chance)) - np.log10(true.size / innocent.size)
    return log10[: true.size], log10[true.size :]


def _pool_adjacent_violators(values: NDArray[np.float64]) -> NDArray[np.float64]:
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
