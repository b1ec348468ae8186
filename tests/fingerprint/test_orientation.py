"""Compare the hashes of eight orientations with pdqhash, and test hashes of inverted colours."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pdqhash
import pytest

from entrenous.base.picture import Picture
from entrenous.fingerprint.pdq import distance, fingerprint, inverted_hash, orientation_fingerprints

MakePicture = Callable[[Any], Picture]
# The order of pdqhash: original, rotated by 90, 180 and 270 degrees, and flipped by x, by y, by
# the diagonal and by the antidiagonal.
REFERENCE_ORDER = (
    "as it is",
    "turned 270",
    "turned 180",
    "turned 90",
    "mirror, turned 180",
    "mirror",
    "mirror, turned 90",
    "mirror, turned 270",
)
EDITS: dict[str, Callable[[Any], Any]] = {
    "as it is": lambda pixels: pixels,
    "turned 90": np.rot90,
    "turned 180": lambda pixels: np.rot90(pixels, 2),
    "turned 270": lambda pixels: np.rot90(pixels, 3),
    "mirror": np.fliplr,
    "mirror, turned 180": np.flipud,
    "mirror, turned 90": lambda pixels: np.rot90(np.fliplr(pixels)),
    "mirror, turned 270": lambda pixels: np.rot90(np.fliplr(pixels), 3),
}


def test_all_eight_orientations_equal_the_reference(
    photographs: dict[str, Any], make_picture: MakePicture
) -> None:
    for name, pixels in photographs.items():
        vectors, _ = pdqhash.compute_dihedral(np.ascontiguousarray(pixels))
        ours = orientation_fingerprints(make_picture(pixels))
        assert len(ours) == 8
        for orientation, vector in zip(REFERENCE_ORDER, vectors, strict=True):
            assert ours[orientation].bits == np.packbits(vector.astype(np.uint8)).tobytes(), (
                name,
                orientation,
            )


@pytest.mark.slow
def test_sixty_pictures_of_many_sizes_equal_the_reference(
    photographs: dict[str, Any], make_picture: MakePicture
) -> None:
    rng = np.random.default_rng(60)
    counted = 0
    for pixels in photographs.values():
        for _ in range(6):
            rows, columns = rng.integers(120, 300, 2)
            top, left = (
                rng.integers(0, pixels.shape[0] - rows),
                rng.integers(0, pixels.shape[1] - columns),
            )
            cut = np.ascontiguousarray(pixels[top : top + rows, left : left + columns])
            vectors, quality = pdqhash.compute_dihedral(cut)
            ours = orientation_fingerprints(make_picture(cut))
            for orientation, vector in zip(REFERENCE_ORDER, vectors, strict=True):
                assert ours[orientation].bits == np.packbits(vector.astype(np.uint8)).tobytes(), (
                    orientation
                )
                assert abs(ours[orientation].quality - quality) <= 1
            counted += 1
    assert counted >= 60


@pytest.mark.parametrize("orientation", EDITS)
def test_a_turned_upload_has_the_registered_hash(
    photographs: dict[str, Any], make_picture: MakePicture, orientation: str
) -> None:
    pixels = photographs["rocket"]
    registered = fingerprint(make_picture(pixels))
    upload = orientation_fingerprints(make_picture(EDITS[orientation](pixels)))
    distances = {name: distance(registered, view) for name, view in upload.items()}
    assert min(distances, key=distances.__getitem__) == orientation
    assert distances[orientation] <= 20


def test_inverted_colours_invert_every_bit(
    photographs: dict[str, Any], make_picture: MakePicture
) -> None:
    pixels = photographs["cat"]
    negative = fingerprint(make_picture(255 - pixels))
    positive = fingerprint(make_picture(pixels))
    assert distance(negative, positive) >= 254
    as_bits = int.from_bytes(inverted_hash(negative.bits), "big")
    assert (as_bits ^ int.from_bytes(positive.bits, "big")).bit_count() <= 2
