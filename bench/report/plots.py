"""Draw the plots in docs/benchmarks: small files that can be read without colour."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from bench.report.calibration import Calibration
from bench.report.summary import ATTACK_SETS
from bench.tracing.grid import Row
from bench.tracing.memory_sender import RECIPIENTS
from bench.tracing.null import POWERS
from entrenous.base.limits import FALSE_NAMING_CHANCE_MAX
from entrenous.watermark.verdict import lowest_naming_score

mpl.use("Agg")
_DPI: Final = 90
_NAMED_FROM: Final = lowest_naming_score(
    RECIPIENTS, alpha=FALSE_NAMING_CHANCE_MAX / 2
)  # a trace's first round uses half of the accepted chance
_MARKS: Final = {"XS": "v", "S": "o", "M": "s", "L": "^"}


def scores(rows: Sequence[Row], file: Path) -> None:
    """Plot the true copy's score by attack, with one point for each leak.

    A point is filled if exactly the true copy was named. Scores below 1, and leaks that could not
    be aligned, are drawn at 1.
    """
    known = [a for attacks in ATTACK_SETS.values() for a in attacks]
    attacks = sorted({row.attack for row in rows}, key=known.index)
    figure, axes = plt.subplots(figsize=(9, 0.17 * len(attacks) + 1.2))
    for size, mark in _MARKS.items():
        for right in (True, False):
            some = [r for r in rows if r.size == size and r.right is right]
            x = [max(1.0, r.score) if r.registered else 1.0 for r in some]
            y = [attacks.index(r.attack) for r in some]
            face = "C0" if right else "none"
            label = size if right and some else None
            axes.scatter(
                x, y, 14, marker=mark, facecolors=face, edgecolors="C0", alpha=0.7, label=label
            )
    axes.axvline(_NAMED_FROM, color="black", linewidth=0.8, linestyle="--")
    axes.set(xscale="log", xlabel="score of the true copy (standard deviations of an innocent's)")
    axes.set_yticks(range(len(attacks)), attacks, fontsize=7)
    axes.invert_yaxis()
    axes.legend(loc="lower right")
    _save(figure, file)


def null(pooled: Mapping[str, Any], some: Sequence[float], file: Path) -> None:
    """Plot a histogram of innocent scores, with the standard normal density, and shares below p.

    ``some`` is a sample of the scores, for the histogram. ``pooled`` has the shares.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    left.hist(some, 80, density=True, color="0.75")
    x = np.linspace(-5, 5, 200)
    left.plot(x, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), color="black", linewidth=1)
    left.set(xlabel="an innocent copy's score", yscale="log", ylim=(1e-6, 1))
    p = [10.0**-power for power in POWERS]
    right.plot(p, p, color="black", linewidth=0.8, linestyle="--", label="no more than this")
    for name, mark, words in (("normal", "o", "normal tail"), ("bound", "s", "stated bound")):
        share = [max(value, 1e-9) for value in pooled[name]]
        right.plot(p, share, mark, label=f"p by the {words}", fillstyle="none")
    right.set(
        xscale="log", yscale="log", xlabel="p", ylabel="share of scores below p", ylim=(1e-8, 1)
    )
    right.legend()
    _save(figure, file)


def tippett(found: Calibration, file: Path) -> None:
    """Plot the share of copies with at least a given likelihood ratio, true and innocent ones."""
    figure, axes = plt.subplots(figsize=(5, 3.6))
    for values, style, words in (
        (found.true, "-", "true copies"),
        (found.innocent, "--", "innocent copies"),
    ):
        x = np.sort(values)
        axes.step(
            x, 1 - np.arange(x.size) / x.size, style, color="black", label=words, where="post"
        )
    axes.set(xlim=(-1, 12), yscale="log", ylim=(1e-6, 1.5))
    axes.set(xlabel="log10 of the likelihood ratio", ylabel="share with at least this")
    x = np.linspace(0, 6)
    axes.plot(x, 10.0**-x, ":", color="0.4", label="one in the ratio (the bound)")
    axes.legend()
    _save(figure, file)


def reliability(bins: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Plot the observed against the stated share of true copies, in log odds, with bin sizes."""
    figure, axes = plt.subplots(figsize=(5, 3.6))
    line = np.linspace(-3, 7)
    axes.plot(line, line, color="black", linewidth=0.8, linestyle="--")
    for one in bins:
        n, observed = one["copies"], one["observed"]
        low, high = _interval(observed, n)
        x = _log_odds(one["stated"])
        axes.plot([x, x], [_log_odds(low), _log_odds(high)], color="0.5")
        axes.plot(x, _log_odds(observed), "ko", markersize=4)
        axes.annotate(
            str(n), (x, _log_odds(observed)), (4, -8), textcoords="offset points", fontsize=7
        )
    axes.set(xlim=(-2.5, 7), ylim=(-4.5, 7))
    axes.set(xlabel="stated log10 odds (prior 1 : 23)", ylabel="observed log10 odds, 95 %")
    _save(figure, file)


def _interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share (Wilson 1927)."""
    z = 1.96
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return float(max(middle - half, 1e-9)), float(min(middle + half, 1 - 1e-9))


def _log_odds(share: float) -> float:
    kept = float(np.clip(share, 1e-7, 1 - 1e-7))
    return float(np.log10(kept / (1 - kept)))


def _save(figure: Any, file: Path) -> None:
    figure.tight_layout()
    figure.savefig(file, dpi=_DPI, metadata={"Software": None})
    plt.close(figure)
