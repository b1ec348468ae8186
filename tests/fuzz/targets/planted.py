"""A reader with a bug, to see that bugs are found; it is not among the others."""

from typing import Final

from tests.fuzz.target import Target, one_form


def _careless(untrusted: bytes) -> bytes:
    """Looks things up that a stranger chose."""
    return {0: b"\x00", 1: b"\x01"}[untrusted[0]]


TARGETS: Final = (Target("planted", one_form(_careless, bytes), lambda: [b"\x00", b"\x01"]),)
