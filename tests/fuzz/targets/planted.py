"""A target with a deliberate bug, which fuzzing has to find; it is not among the others."""

from typing import Final

from tests.fuzz.target import Target, canonical_round_trip


def _careless(untrusted: bytes) -> bytes:
    """Look up an untrusted key without checking it."""
    return {0: b"\x00", 1: b"\x01"}[untrusted[0]]


TARGETS: Final = (
    Target("planted", canonical_round_trip(_careless, bytes), lambda: [b"\x00", b"\x01"]),
)
