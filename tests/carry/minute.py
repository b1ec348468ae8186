"""What a relay does every minute (faces/relay/app.py), one after the other."""

from entrenous.carry.expire import forget_due
from entrenous.carry.leftovers import remove_leftovers
from entrenous.ports import Relay


async def expire(relay: Relay) -> None:
    """Forget everything whose time has come, down to the bytes on the medium."""
    await forget_due(relay)
    await remove_leftovers(relay)
