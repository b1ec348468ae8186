"""Secret bytes, which must not appear in a log, a traceback, a repr or an assertion message."""

import hmac
from typing import final


@final
class Secret:
    """Wraps secret bytes, which only an explicit :meth:`reveal` returns."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = bytes(value)

    def reveal(self) -> bytes:
        return self._value

    def __repr__(self) -> str:
        return f"Secret({len(self._value)} bytes)"

    __str__ = __repr__

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        raise TypeError("a Secret is not hashable: a hash of it would be a trace of it")
