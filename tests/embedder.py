"""An embedder without a neural network, which embeds the fine structure of pictures."""

from collections.abc import Sequence

import cv2
import numpy as np

from entrenous.fingerprint.embedding import quantise_embedding
from entrenous.fingerprint.nouns import EMBEDDING_SQUARE_SIDE_PX, Embedding


class FineEmbedder:
    def embed(self, squares: Sequence[bytes]) -> tuple[Embedding, ...]:
        return tuple(_embed_square(one) for one in squares)


def _embed_square(square: bytes) -> Embedding:
    pixels = np.frombuffer(square, np.uint8).reshape(
        EMBEDDING_SQUARE_SIDE_PX, EMBEDDING_SQUARE_SIDE_PX, 3
    )
    grey = pixels.mean(axis=2, dtype=np.float32)
    small = np.asarray(cv2.resize(grey, (32, 16), interpolation=cv2.INTER_AREA), np.float32)
    fine = (small - cv2.GaussianBlur(small, (0, 0), 1.5)).reshape(-1)
    return quantise_embedding(np.asarray(fine if fine.any() else np.eye(1, 512)[0], np.float32))
