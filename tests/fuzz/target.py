"""Fuzz targets: a reader, the errors that it may raise, and what must hold for its results.

A reader may raise an error of the family Malformed, or one that its docstring names. A result must
have only one encoding, or at least be equal after it is written and read again.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

from entrenous.base.errors import EntrenousError, Malformed
from tests.fuzz.mutate import change_bytes

Take = Callable[[bytes], bool]
"""Whether an input was read, not refused; raises what nobody who reads it is ready for."""
Change = Callable[[bytes, Random], bytes]
"""Another input, much like this one."""
Kinds = tuple[type[Exception], ...]

MALFORMED: Kinds = (Malformed,)


class ReadOtherwise(AssertionError):
    """The result of a reader violates the target's property."""


@dataclass(frozen=True, slots=True)
class Target:
    """A reader of untrusted bytes; ``longest`` is the length of the longest input."""

    name: str
    take: Take
    seeds: Callable[[], Iterable[bytes]]
    change: Change = change_bytes
    longest: int = 4096


def one_form(
    read: Callable[[bytes], Any], write: Callable[[Any], bytes], refusals: Kinds = MALFORMED
) -> Take:
    """Require that each result, written again, gives the bytes that were read."""
    return _right(read, lambda noun, untrusted: write(noun) == untrusted, refusals)


def one_noun(
    read: Callable[[bytes], Any], write: Callable[[Any], bytes], refusals: Kinds = MALFORMED
) -> Take:
    """Require that each result is equal after it is written and read; the bytes may differ."""
    return _right(read, lambda noun, _: read(write(noun)) == noun, refusals)


def holds(
    read: Callable[[bytes], Any], check: Callable[[Any], bool], refusals: Kinds = MALFORMED
) -> Take:
    """Require that each result satisfies ``check``."""
    return _right(read, lambda noun, _: check(noun), refusals)


def _right(
    read: Callable[[bytes], Any], right: Callable[[Any, bytes], bool], refusals: Kinds
) -> Take:
    def take(untrusted: bytes) -> bool:
        try:
            noun = read(untrusted)
        except refusals as refusal:
            tell(refusal)
            return False
        if not right(noun, untrusted):
            raise ReadOtherwise(repr(noun))
        return True

    return take


def tell(refusal: Exception) -> None:
    """Format the error's message, which must be possible for any values in it."""
    if isinstance(refusal, EntrenousError):
        str(refusal)
