"""The sweep that a relay repeats every minute (carry/http/relay_app.py), and a relay's clock."""

from dataclasses import replace
from datetime import datetime

from entrenous.carry.expire import expire_due, remove_orphan_blobs
from entrenous.carry.relay import Relay, stored_clock_mark
from entrenous.serving.host_checks import CLOCK_TOLERANCE
from tests.deterministic import SettableClock


async def expire(relay: Relay) -> None:
    """Delete what is due for deletion, overwrite deleted rows, and remove orphan blobs."""
    await sweep_until_now(relay)
    await expire_due(relay)
    await remove_orphan_blobs(relay)


async def sweep_until_now(relay: Relay) -> None:
    """Sweep as if the relay had run since the last sweep, so that the relay trusts its clock."""
    mark = await relay.mail.read(stored_clock_mark)
    while mark is not None and mark.is_clock_ahead(relay.clock.now()):
        then = mark.at + CLOCK_TOLERANCE
        await expire_due(relay_at_time(then, relay))
        mark = await relay.mail.read(stored_clock_mark)


def relay_at_time(moment: datetime, relay: Relay) -> Relay:
    """Return a relay with the stores of ``relay`` and a clock that shows ``moment``."""
    return replace(relay, clock=SettableClock(moment))
