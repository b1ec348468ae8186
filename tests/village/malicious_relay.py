"""A relay that somebody sits on: an honest courier whose answers are tampered with, call by call.

A trick is a function that is given the honest call and its arguments, and answers in its place; it
stays until it is taken away, and then the relay is honest again.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from entrenous.device.device import Courier
from tests.village.whole import Whole, streamed

Honest = Callable[..., Any]
Trick = Callable[..., Any]


class MaliciousCourier:
    """A :class:`.Courier` that passes everything on but what a trick takes over.

    To a trick, blobs are bytes: that of ``blob`` returns them, and answers for ``download_blob``.
    """

    def __init__(self, honest: Courier) -> None:
        self._honest = Whole(honest)
        self._tricks: dict[str, Trick] = {}
        self.calls: Counter[str] = Counter()

    @contextmanager
    def playing(self, **tricks: Trick) -> Iterator[None]:
        """Play these tricks, by the names of the calls that they take over, for a while."""
        before, self._tricks = self._tricks, {**self._tricks, **tricks}
        try:
            yield
        finally:
            self._tricks = before

    def __getattr__(self, call: str) -> Honest:
        return streamed(call, self._answer)

    def _answer(self, call: str, arguments: tuple[Any, ...]) -> Any:
        self.calls[call] += 1
        honest: Honest = getattr(self._honest, call)
        trick = self._tricks.get(call)
        return honest(*arguments) if trick is None else trick(honest, *arguments)


def failing(error: Exception, *, times: int | None = None) -> Trick:
    """A trick that fails, always or a number of times, and passes on what comes after."""
    left = [times]

    def trick(honest: Honest, *arguments: Any) -> Any:
        if left[0] == 0:
            return honest(*arguments)
        if left[0] is not None:
            left[0] -= 1
        raise error

    return trick


def changed(change: Callable[[Any], Any]) -> Trick:
    """A trick that answers what the relay would, changed."""
    return lambda honest, *arguments: change(honest(*arguments))


def flipped(data: bytes, place: int = -1) -> bytes:
    """The same bytes with one bit turned."""
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)
