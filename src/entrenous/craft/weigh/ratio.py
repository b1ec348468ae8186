"""How many times better "this copy" explains a score than "an innocent copy" does.

The alternative is one fixed law, the same for every trace: with chance 1/2 the copy's mark is heard
with a strength t (in standard deviations) of 1 to 300, small ones likelier (as 1 / t); with chance
1/2 nothing of it survived, and then the score says nothing either way. Given t, a score is normal
around t instead of around 0, so

    ratio(s) = 1/2 + 1/2 sum over t of w(t) exp(t s - t^2 / 2),    w(t) = (1 / t) / sum of 1 / t.

It is a likelihood ratio and never too large on average: an innocent copy's score is a sum of
independent fair signs with weights of norm 1, so E exp(t s) <= exp(t^2 / 2) (Hoeffding 1963) and
E ratio(s) <= 1. Hence it reaches x for at most one innocent copy in x (Markov): an e-value (Vovk
and Wang 2021; Grunwald, de Heide and Koolen 2024). The half for a mark that did not survive keeps
it above 1/2: a low score clears nobody. docs/spec/report.md, section 4.
"""

import math
from typing import Final

LARGEST: Final = 2.0**256  # one over the tail's floor (craft/weigh/tail.py), for the same reason
SURVIVES: Final = 0.5
STRENGTH_MAX: Final = 300
_HARMONIC: Final = math.fsum(1.0 / t for t in range(1, STRENGTH_MAX + 1))
_REACH: Final = 9  # strengths further from the score add less than 1e-17 of the sum; left out
_EXPONENT_MAX: Final = 700.0  # exp() of it is far above LARGEST and still finite


def likelihood_ratio(score: float) -> float:
    """The ratio for one copy's score, in [1/2, LARGEST].

    Args:
        score: in standard deviations of an innocent copy's score.

    Raises:
        ValueError: the score is not finite.

    >>> round(likelihood_ratio(0.0), 2)
    0.56
    """
    if not math.isfinite(score):
        raise ValueError(f"a score must be finite, got {score}")
    first = int(min(max(1.0, score - _REACH), STRENGTH_MAX))
    last = int(min(max(1.0, score) + _REACH, STRENGTH_MAX))
    heard = math.fsum(
        math.exp(min(t * score - 0.5 * t * t, _EXPONENT_MAX)) / (t * _HARMONIC)
        for t in range(first, last + 1)
    )
    return min(1.0 - SURVIVES + SURVIVES * heard, LARGEST)
