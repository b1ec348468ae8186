"""A target with a deliberate bug that fuzzing has to find; the table of targets leaves it out."""

from typing import Final

from tests.fuzz.target import Target, canonical_round_trip


def _look_up_unchecked(untrusted: bytes) -> bytes:
    """Look up an untrusted key without a check."""
    return {0: b"\x00", 1: b"\x01"}[untrusted[0]]


TARGETS: Final = (
    Target("planted", canonical_round_trip(_look_up_unchecked, bytes), lambda: [b"\x00", b"\x01"]),
)
