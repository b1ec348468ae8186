"""Work that is done after the answer, where nobody is left to be told of a failure."""

import logging
from collections.abc import Callable
from typing import Final

from starlette.concurrency import run_in_threadpool

from entrenous.model.errors import EntrenousError

_LOG: Final = logging.getLogger("entrenous.gate")


async def afterwards(work: Callable[..., object], *args: object) -> None:
    """Do it in a thread; of a failure only its kind is logged, for its words may tell of people."""
    try:
        await run_in_threadpool(work, *args)
    except EntrenousError as why:
        said = {"event": "afterwards", "kind": type(why).__name__}
        _LOG.error("after an answer: %(kind)s", said, extra={"said": said})
