"""Learn the visual words by which sent pictures are found (fingerprint/keypoints.py).

They are learnt from the photographs that ship with scikit-image and scikit-learn, at two sizes and
also mirrored, by Lloyd's k-means. The same versions of NumPy and OpenCV on the same kind of
processor give the same file.

    python -m bench.words OUT
"""

import sys
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images

from entrenous.fingerprint.keypoints import VOCABULARY_WORDS, find_feature_points

_NAMES: Final = (
    *("astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel"),
    *("hubble_deep_field", "ihc", "moon", "motorcycle_left", "page", "retina", "rocket", "text"),
)
_SIDES_PX: Final = (800, 400)
_POINTS: Final = 2500
_ROUNDS: Final = 8
_SEED: Final = 3
_UNIT: Final = 512
_BATCH: Final = 8192

Floats = NDArray[np.float32]


def photographs() -> list[NDArray[np.uint8]]:
    """Return 16 photographs from scikit-image's data folder, and the two of scikit-learn."""
    folder = Path(skimage.__file__).parent / "data"
    files = [next(folder.glob(f"{name}.*")) for name in _NAMES]
    shipped = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    return [np.asarray(one, np.uint8) for one in (*shipped, *load_sample_images().images)]


def all_descriptors() -> Floats:
    """Return the descriptors (N, 128) of the points of all photographs and their mirror images."""
    found: list[Floats] = []
    for pixels in photographs():
        for side_px in _SIDES_PX:
            factor = side_px / max(pixels.shape)
            size = (round(pixels.shape[1] * factor), round(pixels.shape[0] * factor))
            how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
            small = np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)
            points = find_feature_points(small, _POINTS)
            found += [points.descriptors, points.mirrored().descriptors]
    return np.concatenate(found)


def cluster_centres(descriptors: Floats, rng: np.random.Generator) -> Floats:
    """Return 4,096 cluster centres (4096, 128) of the descriptors."""
    centres = descriptors[rng.choice(len(descriptors), VOCABULARY_WORDS, replace=False)].copy()
    for _ in range(_ROUNDS):
        half = np.square(centres).sum(axis=1) / 2
        parts = range(0, len(descriptors), _BATCH)
        near = np.concatenate(
            [(descriptors[at : at + _BATCH] @ centres.T - half).argmax(axis=1) for at in parts]
        )
        order, counts = (
            np.argsort(near, kind="stable"),
            np.bincount(near, minlength=VOCABULARY_WORDS),
        )
        nonempty = counts > 0
        starts = np.cumsum(counts) - counts
        sums = np.add.reduceat(descriptors[order], starts[nonempty], axis=0)
        centres[nonempty] = sums / counts[nonempty, None]
    return centres


def main(arguments: list[str]) -> None:
    """Write the words to the file that the first argument names."""
    learnt: Any = cluster_centres(all_descriptors(), np.random.default_rng(_SEED))
    numbers = np.clip(np.rint(learnt * _UNIT), 0, 255).astype(np.uint8)
    Path(arguments[0]).write_bytes(numbers.tobytes())


if __name__ == "__main__":
    main(sys.argv[1:])
