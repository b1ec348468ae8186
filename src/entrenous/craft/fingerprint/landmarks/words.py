"""Each point as a visual word and 64 signs: what its looks are shrunk to, in 10 bytes of 512.

Hamming embedding (Jegou, Douze and Schmid, "Hamming embedding and weak geometric consistency for
large scale image search", 2008). The nearest of 4,096 fixed words says where to look a point up;
the signs of its residual, after a fixed rotation, tell it from the others there. ``words.bin``
was learnt from public photographs by ``bench/words.py``; no key and nothing private is in it.
"""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.landmarks.points import Floats

WORDS: Final = 4096
_NUMBERS: Final = 128
_UNIT: Final = 512.0  # a number of 1 in words.bin
_SIGNS: Final = 64
_SEED: Final = b"entrenous/landmarks/1"


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """``words`` (4096, 128), and the ``rotation`` (128, 64) before the signs are taken."""

    words: Floats
    rotation: Floats

    @classmethod
    def shipped(cls) -> Self:
        """The one in this package."""
        stored = files(__package__).joinpath("words.bin").read_bytes()
        numbers = np.frombuffer(stored, np.uint8).reshape(WORDS, _NUMBERS)
        return cls(numbers.astype(np.float32) / np.float32(_UNIT), _rotation())

    def nearest(self, looks: Floats, count: int) -> NDArray[np.uint16]:
        """The ``count`` nearest words of each row, nearest first: (N, count)."""
        near = looks @ self.words.T
        np.subtract(np.square(self.words).sum(axis=1) / 2, near, out=near)
        nearest = np.empty((len(near), count), np.uint16)
        every = np.arange(len(near))
        for place in range(count):  # a few searches for the least cost less than one partition
            nearest[:, place] = near.argmin(axis=1)
            near[every, nearest[:, place]] = np.inf
        return nearest

    def signs(self, looks: Floats, words: NDArray[np.uint16]) -> NDArray[np.uint64]:
        """The 64 signs of each row, seen from the word of the same row: (N,)."""
        turned = (looks - self.words[words]) @ self.rotation
        return np.packbits(turned > 0, axis=1).view("<u8").ravel()


def _rotation() -> Floats:
    """64 columns of an orthogonal matrix: Hadamard's, with fixed signs before and between."""
    hadamard = np.ones((1, 1), np.float32)
    while len(hadamard) < _NUMBERS:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    digest = hashlib.shake_128(_SEED).digest(2 * _NUMBERS // 8)
    fair = np.unpackbits(np.frombuffer(digest, np.uint8)).astype(np.float32) * 2 - 1
    before, between = fair[:_NUMBERS], fair[_NUMBERS:]
    rotation = (before[:, None] * hadamard * between[None, :]) @ hadamard / _NUMBERS
    return np.ascontiguousarray(rotation[:, :_SIGNS], np.float32)
