"""How slow a body may be that is a blob: as slow as a client lets a relay be.

Whoever brings a byte now and then would keep a place for good that others need, of which a relay
may have few (adapters/blobs/s3.py).
"""

import time
from collections.abc import AsyncIterator, Callable

from starlette.requests import ClientDisconnect

from entrenous.carry.moment import patience
from entrenous.spec import PACE_BYTES_MIN, PACE_S


async def at_pace(
    chunks: AsyncIterator[bytes], now_s: Callable[[], float] = time.monotonic
) -> AsyncIterator[bytes]:
    """Pass the bytes on, as long as a minute in which we wait for them brings enough, or the end.

    While they are stored it is they who wait.

    Raises:
        ClientDisconnect: it did not; whoever sends them is as good as gone.
    """
    came, left_s = 0, PACE_S
    while True:
        since_s = now_s()
        try:
            async with patience(left_s):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise ClientDisconnect from None
        came, left_s = came + len(chunk), left_s - (now_s() - since_s)
        if came >= PACE_BYTES_MIN:  # what is beyond is no credit for a rest
            came, left_s = 0, PACE_S
        yield chunk
