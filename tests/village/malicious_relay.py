"""A malicious relay: an honest courier whose calls a test can replace by tricks, one by one.

A trick is a function that gets the honest call and its arguments, and answers instead of it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from entrenous.device.device import Courier
from tests.village.whole import BytesCourier, courier_method

HonestCall = Callable[..., Any]
Trick = Callable[..., Any]


class MaliciousCourier:
    """A :class:`.Courier` that passes on every call that no trick replaces.

    For tricks, blobs are bytes: a trick for ``blob`` returns them, and replaces ``download_blob``.
    """

    def __init__(self, honest: Courier) -> None:
        self._honest = BytesCourier(honest)
        self._tricks: dict[str, Trick] = {}
        self.calls: Counter[str] = Counter()

    @contextmanager
    def replace_calls(self, **tricks: Trick) -> Iterator[None]:
        """Replace the calls of these names by tricks, until the ``with`` block ends."""
        before, self._tricks = self._tricks, {**self._tricks, **tricks}
        try:
            yield
        finally:
            self._tricks = before

    def __getattr__(self, call: str) -> HonestCall:
        return courier_method(call, self._answer)

    def _answer(self, call: str, arguments: tuple[Any, ...]) -> Any:
        self.calls[call] += 1
        honest: HonestCall = getattr(self._honest, call)
        trick = self._tricks.get(call)
        return honest(*arguments) if trick is None else trick(honest, *arguments)


def error_trick(error: Exception, *, times: int | None = None) -> Trick:
    """Return a trick that raises ``error``, always or only the first ``times`` times."""
    left = [times]

    def trick(honest: HonestCall, *arguments: Any) -> Any:
        if left[0] == 0:
            return honest(*arguments)
        if left[0] is not None:
            left[0] -= 1
        raise error

    return trick


def changed_answer_trick(change: Callable[[Any], Any]) -> Trick:
    """Return a trick that changes the honest answer."""
    return lambda honest, *arguments: change(honest(*arguments))


def flip_bit(data: bytes, place: int = -1) -> bytes:
    """Return the bytes with one bit of the byte at ``place`` flipped."""
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)
