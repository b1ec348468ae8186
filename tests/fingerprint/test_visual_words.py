"""Tests of the visual words: rotation, norms, nearest words, and signs of descriptors."""

import numpy as np
import pytest

from entrenous.fingerprint.keypoints import VOCABULARY_WORDS, Vocabulary


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.load_shipped()


def test_rotation_is_orthogonal(vocabulary: Vocabulary) -> None:
    square = vocabulary.rotation.T @ vocabulary.rotation
    assert np.allclose(square, np.eye(64), atol=1e-5)


def test_words_are_distinct_and_have_a_norm_of_about_1(vocabulary: Vocabulary) -> None:
    assert len(np.unique(vocabulary.words, axis=0)) == VOCABULARY_WORDS
    norms = np.linalg.norm(vocabulary.words, axis=1)
    assert norms.min() > 0.7
    assert norms.max() < 1.05


@pytest.mark.parametrize("count", [1, 3])
def test_nearest_words_equal_a_brute_force_search(vocabulary: Vocabulary, count: int) -> None:
    rng = np.random.default_rng(1)
    looks = rng.random((20, 128), np.float32) / 10
    far = np.linalg.norm(looks[:, None] - vocabulary.words[None], axis=2)
    assert np.array_equal(vocabulary.nearest(looks, count), far.argsort(axis=1)[:, :count])


def test_signs_differ_more_for_more_distant_descriptors(vocabulary: Vocabulary) -> None:
    rng = np.random.default_rng(2)
    words = rng.integers(0, VOCABULARY_WORDS, 500).astype(np.uint16)
    away = rng.normal(0, 0.03, (500, 128)).astype(np.float32)
    noise = rng.normal(0, 0.03, (500, 128)).astype(np.float32)
    signs = vocabulary.descriptor_signs(vocabulary.words[words] + away, words)

    def sign_distance(noise_share: float) -> float:
        other = vocabulary.descriptor_signs(
            vocabulary.words[words] + away + noise_share * noise, words
        )
        return float(np.bitwise_count(signs ^ other).mean())

    assert sign_distance(0.0) == 0.0
    assert sign_distance(0.2) < sign_distance(0.5) < sign_distance(1.0) < 20
    assert (
        30
        < np.bitwise_count(
            signs ^ vocabulary.descriptor_signs(vocabulary.words[words] + noise, words)
        ).mean()
        < 34
    )
