"""The tail probability of an innocent copy's score, and the likelihood ratio of a score."""

import math
from typing import Final

_BENTKUS_DZINDZALIETA: Final = 3.17866  # rounded up
# This is the chance of guessing a copy's secret. A smaller chance is reported as this one, because
# the independence of the key streams is not more certain than that.
CHANCE_MIN: Final = 2.0**-256


def upper_tail(score: float) -> float:
    """Return an upper bound on P(an innocent copy scores at least this much), in [CHANCE_MIN, 1].

    Args:
        score: in standard deviations of an innocent copy's score.

    Raises:
        ValueError: the score is not finite.

    >>> upper_tail(-2.0)
    1.0
    """
    if not math.isfinite(score):
        raise ValueError(f"a score must be finite, got {score}")
    if score <= 0.0:
        return 1.0
    normal = 0.5 * math.erfc(score / math.sqrt(2.0))
    hoeffding = math.exp(-0.5 * score * score)
    return max(min(1.0, hoeffding, _BENTKUS_DZINDZALIETA * normal), CHANCE_MIN)


def chance_that_any_scores(compared: int, tail: float) -> float:
    """Return the chance that at least one of several innocent copies reaches a score.

    ``tail`` is the chance that one innocent copy reaches it, and ``compared`` is the number of
    copies. The result is 1 - (1 - tail)^compared (Sidak 1967), in a form that does not round tails
    of 1e-300 to zero. The formula is exact here, because the streams of different copies are
    independent, given the leak.
    """
    return 1.0 if tail >= 1.0 else -math.expm1(compared * math.log1p(-tail))


LIKELIHOOD_RATIO_MAX: Final = 1.0 / CHANCE_MIN
SURVIVAL_PRIOR: Final = 0.5
STRENGTH_MAX: Final = 300
_HARMONIC_SUM: Final = math.fsum(1.0 / t for t in range(1, STRENGTH_MAX + 1))
# strengths that differ more from the score contribute less than 1e-17 of the sum
_STRENGTH_RANGE: Final = 9
_EXPONENT_MAX: Final = 700.0  # exp() of this is far above LIKELIHOOD_RATIO_MAX, and still finite


def likelihood_ratio(score: float) -> float:
    """Return how many times likelier a score is if the copy leaked than if it is innocent.

    If the copy leaked, its mark survived with the probability ``SURVIVAL_PRIOR``. The expected
    score t of a mark that survived is 1, 2, .. ``STRENGTH_MAX``, with weights 1 / t. The result is
    in [1/2, LIKELIHOOD_RATIO_MAX].

    Args:
        score: in standard deviations of an innocent copy's score.

    Raises:
        ValueError: the score is not finite.

    >>> round(likelihood_ratio(0.0), 2)
    0.55
    """
    if not math.isfinite(score):
        raise ValueError(f"a score must be finite, got {score}")
    first = int(min(max(1.0, score - _STRENGTH_RANGE), STRENGTH_MAX))
    last = int(min(max(1.0, score) + _STRENGTH_RANGE, STRENGTH_MAX))
    survived = math.fsum(
        math.exp(min(t * score - 0.5 * t * t, _EXPONENT_MAX)) / (t * _HARMONIC_SUM)
        for t in range(first, last + 1)
    )
    return min(1.0 - SURVIVAL_PRIOR + SURVIVAL_PRIOR * survived, LIKELIHOOD_RATIO_MAX)
