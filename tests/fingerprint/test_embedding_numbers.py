"""Tests of embeddings as bytes: angles, cosines, and refused numbers and names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.fingerprint.embedding import cosines, embedding_rows, quantise_embedding
from entrenous.fingerprint.nouns import EMBEDDING_NUMBERS, Embedding

seeds = st.integers(0, 2**32 - 1)


def random_embeddings(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, EMBEDDING_NUMBERS)).astype(np.float32)


@given(seeds, st.floats(1e-6, 1e6))
def test_bytes_keep_the_angle_whatever_the_length(seed: int, length: float) -> None:
    one, other = random_embeddings(seed, 2)
    exact = float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
    kept = embedding_rows([quantise_embedding(np.float32(length) * one), quantise_embedding(other)])
    assert cosines(kept[:1], kept[1:])[0, 0] == pytest.approx(exact, abs=0.003)


@pytest.mark.slow
@given(seeds)
def test_cosines_of_more_than_one_batch_are_computed(seed: int) -> None:
    kept = embedding_rows([quantise_embedding(one) for one in random_embeddings(seed % 7, 40)])
    many = np.tile(kept, (300, 1))  # 12,000 rows
    found = cosines(kept[:3], many)
    assert found.shape == (3, 12_000)
    np.testing.assert_allclose(found[:, -40:], cosines(kept[:3], kept), atol=1e-6)
    np.testing.assert_allclose(np.diag(found[:, -40:]), 1.0, atol=1e-6)


def test_no_embeddings_have_no_cosines() -> None:
    assert cosines(embedding_rows(()), embedding_rows(())).shape == (0, 0)


@pytest.mark.parametrize(
    "numbers",
    [
        np.zeros(EMBEDDING_NUMBERS),
        np.ones(EMBEDDING_NUMBERS - 1),
        np.full(EMBEDDING_NUMBERS, np.nan),
        np.full(EMBEDDING_NUMBERS, np.inf),
    ],
)
def test_zero_or_infinite_numbers_are_refused(numbers: np.ndarray) -> None:
    with pytest.raises(ValueError, match="512 finite numbers"):
        quantise_embedding(numbers.astype(np.float32))


@pytest.mark.parametrize(
    "numbers",
    [
        b"",
        bytes(EMBEDDING_NUMBERS),
        b"\x7f" * 511,
        b"\x7f" * 513,
        b"\x80" * EMBEDDING_NUMBERS,
        b"\x7e" * EMBEDDING_NUMBERS,
    ],
    ids=["none", "zeros", "too few", "too many", "-128", "not the largest"],
)
def test_a_malformed_embedding_is_refused(numbers: bytes) -> None:
    with pytest.raises(ValueError, match="embedding"):
        Embedding(numbers)


@pytest.mark.parametrize("name", ["", "x" * 41, "é", "a\nb"])
def test_a_malformed_network_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 40 characters"):
        Embedding(b"\x7f" * EMBEDDING_NUMBERS, name)
