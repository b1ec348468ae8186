"""Hashing: SHA-256 of bytes and of streams, comparison in constant time, and Merkle trees.

The trees are those of RFC 9162, section 2.1, and of RFC 6962. The leaves of our own trees are
prekeys and receipts (docs/spec/identity.md section 5). Commitments to the hidden marks of copies
are hashed here too (docs/spec/content.md section 6).
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import BinaryIO, Final

from entrenous.base.secret import Secret

_TOKEN_HASH_CONTEXT: Final = b"entrenous/1 lock\x00"


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 hash (FIPS 180-4), 32 bytes."""
    return hashlib.sha256(data).digest()


class HashingWriter:
    """A writer that passes bytes on to another one, and counts and hashes them."""

    def __init__(self, writer: BinaryIO) -> None:
        self._writer, self._hash = writer, hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._writer.write(data)
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        self._writer.flush()

    def digest(self) -> bytes:
        """Return the SHA-256 hash of everything written so far, 32 bytes."""
        return self._hash.digest()


class HashingReader:
    """A reader that passes bytes on from another one, and hashes them."""

    def __init__(self, reader: BinaryIO) -> None:
        self._reader, self._hash = reader, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._reader.read(size)
        self._hash.update(data)
        return data

    def hash_to_end(self) -> bytes:
        """Read to the end of the stream, and return the SHA-256 hash of all its bytes, 32 bytes."""
        while self.read(1024 * 1024):
            pass
        return self._hash.digest()


def token_hash(token: Secret) -> bytes:
    """Return the 32-byte hash of a token. A relay stores this hash, never the token.

    See docs/spec/content.md section 4.
    """
    return sha256(_TOKEN_HASH_CONTEXT + token.reveal())


def equal_in_constant_time(one: bytes, other: bytes) -> bool:
    """Return whether two byte strings are equal, in a time that depends only on their lengths."""
    return hmac.compare_digest(one, other)


def leaf_hash(context: bytes, statement: bytes) -> bytes:
    """Return the leaf hash, 32 bytes, of ``context || 0x00 || statement``."""
    return sha256(b"\x00" + context + b"\x00" + statement)


def log_leaf_hash(entry: bytes) -> bytes:
    """Return the leaf hash, 32 bytes, of a log entry (RFC 6962, section 2.1)."""
    return sha256(b"\x00" + entry)


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the Merkle root, 32 bytes, of at least one leaf hash (RFC 9162, section 2.1.1)."""
    if not leaves:
        raise ValueError("a tree has at least one leaf")
    if len(leaves) == 1:
        return leaves[0]
    split = _largest_power_of_two_below(len(leaves))
    return _hash_pair(merkle_root(leaves[:split]), merkle_root(leaves[split:]))


def inclusion_proofs(leaves: Sequence[bytes]) -> tuple[tuple[bytes, ...], ...]:
    """Return each leaf's inclusion proof (RFC 9162, section 2.1.3.1).

    A proof is a tuple of hashes, from the leaf towards the root. Every node of the tree is hashed
    only once.
    """
    if not leaves:
        raise ValueError("a tree has at least one leaf")
    return _root_and_proofs(leaves)[1]


def _root_and_proofs(leaves: Sequence[bytes]) -> tuple[bytes, tuple[tuple[bytes, ...], ...]]:
    if len(leaves) == 1:
        return leaves[0], ((),)
    split = _largest_power_of_two_below(len(leaves))
    left, left_proofs = _root_and_proofs(leaves[:split])
    right, right_proofs = _root_and_proofs(leaves[split:])
    proofs = (
        *((*proof, right) for proof in left_proofs),
        *((*proof, left) for proof in right_proofs),
    )
    return _hash_pair(left, right), proofs


def root_from_proof(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root of a tree of ``size`` leaves from an inclusion proof (RFC 9162, 2.1.3.2).

    Return None if the tree has no such index, or if the proof has the wrong number of hashes for
    the index and the tree's size.
    """
    if not 0 <= index < size:
        return None
    place, last, found = index, size - 1, leaf
    for other in path:
        if last == 0:
            return None
        if place & 1 or place == last:
            found = _hash_pair(other, found)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = _hash_pair(found, other)
        place, last = place >> 1, last >> 1
    return found if last == 0 else None


def _largest_power_of_two_below(size: int) -> int:
    """Return the largest power of two below ``size``."""
    return 1 << (size - 1).bit_length() - 1


def _hash_pair(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right)


_MARK_CONTEXT: Final = b"entrenous/2 mark\x00"


def mark_commitment(mark: bytes) -> bytes:
    """Return the 32-byte commitment to a copy's hidden mark.

    ``mark`` is encoded by ``write_committed_mark`` (wire/receipt.py).
    """
    return sha256(_MARK_CONTEXT + mark)


def mark_commitments_hash(commitments: bytes) -> bytes:
    """Return the 32-byte hash of a message's commitments.

    ``commitments`` is encoded by ``write_mark_commitments`` (wire/receipt.py).
    """
    return sha256(commitments)
