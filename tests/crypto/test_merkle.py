"""Tests of the roots and inclusion proofs of Merkle trees (RFC 9162)."""

from hashlib import sha256

import pytest

from entrenous.crypto.hashing import inclusion_proofs, leaf_hash, merkle_root, root_from_proof

# Leaves and roots from the tests of the Certificate Transparency implementations
PUBLISHED_INPUTS = [
    *("", "00", "10", "2021", "3031", "40414243"),
    *("5051525354555657", "606162636465666768696a6b6c6d6e6f"),
]
PUBLISHED_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PUBLISHED_LEAVES = [sha256(b"\x00" + bytes.fromhex(one)).digest() for one in PUBLISHED_INPUTS]
LEAVES = [leaf_hash(b"role", b"%d" % number) for number in range(64)]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_match_certificate_transparency(size: int) -> None:
    assert merkle_root(PUBLISHED_LEAVES[:size]).hex() == PUBLISHED_ROOTS[size - 1]


def test_leaf_hash_depends_on_its_context() -> None:
    assert leaf_hash(b"role", b"said") == sha256(b"\x00role\x00said").digest()
    assert leaf_hash(b"other", b"said") != leaf_hash(b"role", b"said")


@pytest.mark.parametrize("size", range(1, 65))
def test_every_leaf_has_one_path_to_the_root(size: int) -> None:
    leaves = LEAVES[:size]
    root = merkle_root(leaves)
    for index, (leaf, path) in enumerate(zip(leaves, inclusion_proofs(leaves), strict=True)):
        assert len(path) <= 6
        assert root_from_proof(leaf, index, size, path) == root
        elsewhere = {
            root_from_proof(leaf, other, size, path) for other in range(size) if other != index
        }
        assert root not in elsewhere
        assert root_from_proof(leaf, index, size, path[:-1]) != root or size == 1
        assert root_from_proof(leaf, index, size, (*path, bytes(32))) is None
        for at in range(len(path)):
            changed = (*path[:at], bytes(32), *path[at + 1 :])
            assert root_from_proof(leaf, index, size, changed) != root


def test_inner_nodes_and_indexes_outside_the_tree_are_refused() -> None:
    """Nobody can present the hash of an inner node as a leaf."""
    inner_nodes = [merkle_root(LEAVES[:2]), merkle_root(LEAVES[2:4])]
    assert leaf_hash(b"role", inner_nodes[0]) not in {inner_nodes[0], merkle_root(LEAVES[:4])}
    assert root_from_proof(inner_nodes[0], 0, 4, (inner_nodes[1],)) is None
    assert root_from_proof(LEAVES[0], 4, 4, inclusion_proofs(LEAVES[:4])[0]) is None
    assert root_from_proof(LEAVES[0], -1, 4, inclusion_proofs(LEAVES[:4])[0]) is None


def test_there_is_no_tree_without_leaves() -> None:
    with pytest.raises(ValueError, match="at least one leaf"):
        merkle_root([])
    with pytest.raises(ValueError, match="at least one leaf"):
        inclusion_proofs([])
