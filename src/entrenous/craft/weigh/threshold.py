"""The score that names a copy, for plots and for saying how much was missing."""

from typing import Final

from entrenous.craft.weigh.tail import best_of, upper_tail
from entrenous.spec import ALPHA

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
    if compared < 1 or best_of(compared, upper_tail(_HIGHEST)) > alpha:
        raise ValueError("no score names a copy here")
    low, high = 0.0, _HIGHEST
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if _chance(compared, middle) <= alpha else (middle, high)
    return high


def _chance(compared: int, score: float) -> float:
    return best_of(compared, upper_tail(score))
