"""Forget in time (docs/spec/exchange.md section 5.2); to be called once a day at least."""

from entrenous.ports.exchange import Exchange
from entrenous.stop.exchange.horizon import follow, forget


def tidy(exchange: Exchange) -> int:
    """Learn what was withdrawn, and forget what was withdrawn too long ago; how many claims.

    Every request and fetch does so too. This is for a gate that nobody asks any more.
    """
    follow(exchange)
    return forget(exchange)
