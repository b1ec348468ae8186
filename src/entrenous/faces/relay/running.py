"""A coroutine that runs at once, without a task, until it has to wait, and on when it need not.

Python 3.12 has this as ``asyncio.eager_task_factory``; what a task adds to it, a name and a way to
cancel, nobody asks for here. There is no ``asyncio.current_task`` inside.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")


class Running(Generic[Answer]):
    """Runs; ``tell`` gets what it returns. It must raise nothing."""

    __slots__ = ("_coroutine", "_tell")

    def __init__(
        self, coroutine: Coroutine[Any, Any, Answer], tell: Callable[[Answer], None]
    ) -> None:
        self._coroutine = coroutine
        self._tell = tell
        self._step()

    def _step(self, _: object = None) -> None:
        try:
            waits = self._coroutine.send(None)
        except StopIteration as ended:
            self._tell(ended.value)
            return
        if waits is None:  # of no more than one turn of the loop
            asyncio.get_running_loop().call_soon(self._step)
        else:
            waits._asyncio_future_blocking = False  # noqa: SLF001 -- as tasks do
            waits.add_done_callback(self._step)
