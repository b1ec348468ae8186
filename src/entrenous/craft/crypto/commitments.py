"""Commitments to marks, and what receipts cover of them (docs/spec/content.md section 6)."""

from typing import Final

from entrenous.craft.crypto.hashing import sha256

_MARK: Final = b"entrenous/2 mark\x00"


def mark_commitment(mark: bytes) -> bytes:
    """The commitment, 32 bytes, to what craft/wire/letter/commitment.py wrote of a copy's mark."""
    return sha256(_MARK + mark)


def marks_hash(marks: bytes) -> bytes:
    """The hash, 32 bytes, of all commitments of a message (``write_marks``)."""
    return sha256(marks)
