"""The chance that an innocent copy scores high: proven, not fitted.

A score is a sum of independent fair signs with weights of Euclidean norm 1. For every such sum,
P(score >= t) <= exp(-t^2 / 2) (Hoeffding 1963) and P(score >= t) <= c Q(t), with Q the tail of the
standard normal law and c = 1 / (4 Q(sqrt 2)) = 3.17865... (Bentkus and Dzindzalieta 2015): two
equal weights reach it, so no smaller constant will do, not even 3.178.
docs/spec/mark.md, section 7.
"""

import math
from typing import Final

_BENTKUS_DZINDZALIETA: Final = 3.17866  # rounded up
# 2^-256: the chance of guessing a copy's secret. A smaller one would claim more than the streams'
# independence can carry, so it is reported as this; and never as 0.
SMALLEST: Final = 2.0**-256


def upper_tail(score: float) -> float:
    """A bound on P(an innocent copy scores at least this much), in [SMALLEST, 1].

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
    return max(min(1.0, hoeffding, _BENTKUS_DZINDZALIETA * normal), SMALLEST)


def best_of(compared: int, tail: float) -> float:
    """Chance that the best of ``compared`` independent innocents lands in a tail of mass ``tail``.

    1 - (1 - tail)^compared (Sidak 1967), written so that tails of 1e-300 do not round to zero. It
    is exact here: given the leak, the streams of different copies are independent.
    """
    return 1.0 if tail >= 1.0 else -math.expm1(compared * math.log1p(-tail))
