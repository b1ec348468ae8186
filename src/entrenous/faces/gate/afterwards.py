"""Work that is done after the answer, where nobody is left to be told of a failure."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

import anyio
import anyio.to_thread

from entrenous.model.errors import EntrenousError

_LOG: Final = logging.getLogger("entrenous.gate")


async def afterwards(
    work: Callable[..., object], *args: object, places: anyio.CapacityLimiter | None = None
) -> object:
    """Do it in a thread, one of ``places`` where it takes long, so that requests keep theirs; of a
    failure only its kind is logged, for its words may tell of people, and the answer is None.
    """
    try:
        return await anyio.to_thread.run_sync(partial(work, *args), limiter=places)
    except EntrenousError as why:
        said = {"event": "afterwards", "kind": type(why).__name__}
        _LOG.error("after an answer: %(kind)s", said, extra={"said": said})
        return None
