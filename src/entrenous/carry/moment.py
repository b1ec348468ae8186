"""The relay's time: whole seconds, so that what it keeps says no more than it must; and how long it
waits for others.
"""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime

from entrenous.ports import Relay


def now(relay: Relay) -> datetime:
    """The present second, in UTC."""
    return relay.clock.now().replace(microsecond=0)


def patience(seconds: float) -> AbstractAsyncContextManager[object]:
    """So long; without a loop, as in the village, there is no time that could pass."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return nullcontext()
    return asyncio.timeout(seconds)
