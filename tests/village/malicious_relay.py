"""A malicious relay: an honest courier in which a test replaces single calls by tricks.

A trick is a function that receives the honest call and its arguments, and answers in its place.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from entrenous.device.device import Courier
from tests.village.whole_blobs import BytesCourier, courier_method

HonestCall = Callable[..., Any]
Trick = Callable[..., Any]


class MaliciousCourier:
    """A :class:`.Courier` that passes every call to an honest courier, unless a trick replaces it.

    A trick named ``blob`` replaces ``download_blob``, and returns the blob as bytes.
    """

    def __init__(self, honest: Courier) -> None:
        self._honest = BytesCourier(honest)
        self._tricks: dict[str, Trick] = {}
        self.calls: Counter[str] = Counter()

    @contextmanager
    def replace_calls(self, **tricks: Trick) -> Iterator[None]:
        """Until the ``with`` block ends, answer each named call with its trick."""
        assert all(hasattr(self._honest, name) for name in tricks)
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
    """Return a trick that raises ``error``: at each call, or at the first ``times`` calls."""
    remaining = [times]

    def trick(honest: HonestCall, *arguments: Any) -> Any:
        if remaining[0] == 0:
            return honest(*arguments)
        if remaining[0] is not None:
            remaining[0] -= 1
        raise error

    return trick


def changed_answer_trick(change: Callable[[Any], Any]) -> Trick:
    """Return a trick that applies ``change`` to the honest answer."""
    return lambda honest, *arguments: change(honest(*arguments))


def flip_bit(data: bytes, place: int = -1) -> bytes:
    """Return the bytes with one bit of the byte at ``place`` flipped."""
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)
