"""What is kept of a source's newest generation (docs/spec/exchange.md section 6.5).

A row among its records, in the same transactions as they, under a key that none of them can have:
theirs are 32 bytes. It has no claim.
"""

from dataclasses import replace
from typing import Final

from entrenous.model.exchange import Known

NOTE: Final = b"generation"
_INCOMPLETE: Final = b"incomplete"


def begun(generation: int, live: int) -> Known:
    """A generation begins, when so many records had a claim."""
    return Known(NOTE, generation, live, b"", None)


def incomplete(note: Known) -> Known:
    """Some record of this generation could not be read."""
    return replace(note, hashes_sha256=_INCOMPLETE)


def is_incomplete(note: Known) -> bool:
    """Whether some record could not be read."""
    return note.hashes_sha256 == _INCOMPLETE
