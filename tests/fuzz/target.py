"""Fuzz targets: a reader, the errors that it may raise, and what must hold for its results.

A reader may raise only the errors that the target permits; usually these are Malformed and its
subclasses. A result must have only one encoding, be equal after it is written and read again, or
have some other property.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

from entrenous.base.errors import EntrenousError, Malformed
from tests.fuzz.mutate import change_bytes

ReadAndCheck = Callable[[bytes], bool]
"""Returns whether an input was read, not refused; raises if the reader has a bug."""
Change = Callable[[bytes, Random], bytes]
"""Returns a mutation of an input."""
ErrorTypes = tuple[type[Exception], ...]

MALFORMED: ErrorTypes = (Malformed,)


class PropertyViolated(AssertionError):
    """The result of a reader violates the target's property."""


@dataclass(frozen=True, slots=True)
class Target:
    """A reader of untrusted bytes; ``input_bytes_max`` limits the length of inputs."""

    name: str
    read_and_check: ReadAndCheck
    seeds: Callable[[], Iterable[bytes]]
    change: Change = change_bytes
    input_bytes_max: int = 4096


def canonical_round_trip(
    read: Callable[[bytes], Any], write: Callable[[Any], bytes], refusals: ErrorTypes = MALFORMED
) -> ReadAndCheck:
    """Require that writing a result gives exactly the bytes that were read."""
    return _make_check(read, lambda result, untrusted: write(result) == untrusted, refusals)


def round_trip(
    read: Callable[[bytes], Any], write: Callable[[Any], bytes], refusals: ErrorTypes = MALFORMED
) -> ReadAndCheck:
    """Require that writing and reading a result gives an equal result; the bytes may differ."""
    return _make_check(read, lambda result, _: read(write(result)) == result, refusals)


def property_check(
    read: Callable[[bytes], Any], check: Callable[[Any], bool], refusals: ErrorTypes = MALFORMED
) -> ReadAndCheck:
    """Require that ``check`` is true of each result."""
    return _make_check(read, lambda result, _: check(result), refusals)


def _make_check(
    read: Callable[[bytes], Any], is_right: Callable[[Any, bytes], bool], refusals: ErrorTypes
) -> ReadAndCheck:
    """Return a check that permits ``refusals``, and raises PropertyViolated for a wrong result."""

    def read_and_check(untrusted: bytes) -> bool:
        try:
            result = read(untrusted)
        except refusals as refusal:
            format_message(refusal)
            return False
        if not is_right(result, untrusted):
            raise PropertyViolated(repr(result))
        return True

    return read_and_check


def format_message(refusal: Exception) -> None:
    """Format the error's message. This must succeed, whatever values the error contains."""
    if isinstance(refusal, EntrenousError):
        str(refusal)
