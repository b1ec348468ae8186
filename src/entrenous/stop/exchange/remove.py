"""Know a source no more, and say what becomes of what it brought (docs/spec/exchange.md, 6.8)."""

from dataclasses import dataclass
from typing import Final

from entrenous.model.exchange import SourceBrought
from entrenous.ports import Platform
from entrenous.ports.exchange import Exchange

_BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of the claims of a source that is known no more: so many."""

    withdrawn: int = 0
    kept: int = 0


def remove(name: str, exchange: Exchange, platform: Platform, *, withdraw: bool | None) -> Removed:
    """End a source. Its claims are withdrawn, or kept; None says neither, and will do where there
    are none.

    Raises:
        NoSuchSource, SourceBrought: nothing is changed.
    """
    exchange.sources.source(name)
    newest = exchange.sources.checkpoint(name).generation
    brought = exchange.sources.unseen(name, newest + 1)
    claims = [one.claim for one in brought if one.claim is not None]
    if claims and withdraw is None:
        raise SourceBrought(name=name, claims=f"{len(claims):,}")
    withdrawn = 0
    if withdraw:  # before the source goes: who is killed in between can do it again
        for start in range(0, len(claims), _BATCH):
            withdrawn += platform.bank.withdraw(*claims[start : start + _BATCH])
    exchange.sources.remove(name)
    return Removed(withdrawn, 0 if withdraw else len(claims))
