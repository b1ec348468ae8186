"""Merkle trees of RFC 9162 section 2.1, over SHA-256.

A leaf and a node are hashed behind different first bytes, so that neither passes for the other; and
whoever checks a path knows the size of the tree, so that it has one shape only.
"""

from collections.abc import Sequence

from entrenous.craft.crypto.hashing import sha256


def leaf_of(context: bytes, statement: bytes) -> bytes:
    """The hash of a leaf, 32 bytes: that of ``context || 0x00 || statement``."""
    return sha256(b"\x00" + context + b"\x00" + statement)


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root of a tree (section 2.1.1), 32 bytes, from the hashes of its leaves.

    Raises:
        ValueError: there is no leaf.
    """
    if not leaves:
        raise ValueError("a tree has at least one leaf")
    if len(leaves) == 1:
        return leaves[0]
    split = _split(len(leaves))
    return _node(root_of(leaves[:split]), root_of(leaves[split:]))


def path_of(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The hashes that lead from one leaf to the root (section 2.1.3.1), the lowest first.

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise ValueError("there is no such leaf")
    if len(leaves) == 1:
        return ()
    split = _split(len(leaves))
    if index < split:
        return (*path_of(leaves[:split], index), root_of(leaves[split:]))
    return (*path_of(leaves[split:], index - split), root_of(leaves[:split]))


def root_from(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root of the tree of ``size`` leaves in which ``path`` leads from this leaf at ``index``;
    None if no path of this length does (section 2.1.3.2).
    """
    if not 0 <= index < size:
        return None
    place, last, found = index, size - 1, leaf
    for other in path:
        if last == 0:
            return None
        if place & 1 or place == last:
            found = _node(other, found)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = _node(found, other)
        place, last = place >> 1, last >> 1
    return found if last == 0 else None


def _split(size: int) -> int:
    """The largest power of two below ``size``."""
    return 1 << (size - 1).bit_length() - 1


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right)
