"""The relay's time: whole seconds, so that what it keeps says no more than it must."""

from datetime import datetime

from entrenous.ports import Relay


def now(relay: Relay) -> datetime:
    """The present second, in UTC."""
    return relay.clock.now().replace(microsecond=0)
