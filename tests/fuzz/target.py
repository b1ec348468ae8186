"""What a fuzz target is: a reader, what it may refuse with, and what must hold when it reads.

Out of a reader may come an error of the family Malformed, or one that its docstring names. What it
does read must have one byte form, or at least be read the same again when it is written back.
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
    """What was read, written back, is something else."""


@dataclass(frozen=True, slots=True)
class Target:
    """One reader of what strangers send; ``longest`` is in bytes."""

    name: str
    take: Take
    seeds: Callable[[], Iterable[bytes]]
    change: Change = change_bytes
    longest: int = 4096


def one_form(
    read: Callable[[bytes], Any], write: Callable[[Any], bytes], refusals: Kinds = MALFORMED
) -> Take:
    """Whatever is read has one byte form only."""
    return _right(read, lambda noun, untrusted: write(noun) == untrusted, refusals)


def one_noun(
    read: Callable[[bytes], Any], write: Callable[[Any], bytes], refusals: Kinds = MALFORMED
) -> Take:
    """Whatever is read is read the same from what is written of it; blanks and order may differ."""
    return _right(read, lambda noun, _: read(write(noun)) == noun, refusals)


def holds(
    read: Callable[[bytes], Any], check: Callable[[Any], bool], refusals: Kinds = MALFORMED
) -> Take:
    """Whatever is read satisfies ``check``."""
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
    """Write the message that a person reads: it must be one, whatever it was filled with."""
    if isinstance(refusal, EntrenousError):
        str(refusal)
