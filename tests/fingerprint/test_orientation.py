"""Eight orientations from one transform equal the reference's, and turning the pixels."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pdqhash
import pytest

from entrenous.base.picture import Picture
from entrenous.fingerprint.pdq import distance, fingerprint, inverted_hash, orientation_fingerprints

MakePicture = Callable[[Any], Picture]
# The reference's order: original, turned 90, 180, 270, flipped by x, y, diagonal, antidiagonal.
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


def test_all_eight_equal_the_reference(
    photographs: dict[str, Any], picture_of: MakePicture
) -> None:
    for name, pixels in photographs.items():
        vectors, _ = pdqhash.compute_dihedral(np.ascontiguousarray(pixels))
        ours = orientation_fingerprints(picture_of(pixels))
        assert len(ours) == 8
        for how, vector in zip(REFERENCE_ORDER, vectors, strict=True):
            assert ours[how].bits == np.packbits(vector.astype(np.uint8)).tobytes(), (name, how)


@pytest.mark.slow
def test_sixty_pictures_of_many_sizes_equal_the_reference(
    photographs: dict[str, Any], picture_of: MakePicture
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
            ours = orientation_fingerprints(picture_of(cut))
            for how, vector in zip(REFERENCE_ORDER, vectors, strict=True):
                assert ours[how].bits == np.packbits(vector.astype(np.uint8)).tobytes(), how
                assert abs(ours[how].quality - quality) <= 1
            counted += 1
    assert counted >= 60


@pytest.mark.parametrize("how", EDITS)
def test_a_turned_upload_has_the_registered_hash(
    photographs: dict[str, Any], picture_of: MakePicture, how: str
) -> None:
    pixels = photographs["rocket"]
    registered = fingerprint(picture_of(pixels))
    upload = orientation_fingerprints(picture_of(EDITS[how](pixels)))
    distances = {name: distance(registered, view) for name, view in upload.items()}
    assert min(distances, key=distances.__getitem__) == how
    assert distances[how] <= 20  # the reference's windows are half a pixel off when turned


def test_inverted_colours_invert_every_bit(
    photographs: dict[str, Any], picture_of: MakePicture
) -> None:
    pixels = photographs["cat"]
    negative = fingerprint(picture_of(255 - pixels))
    positive = fingerprint(picture_of(pixels))
    assert distance(negative, positive) >= 254
    as_bits = int.from_bytes(inverted_hash(negative.bits), "big")
    assert (as_bits ^ int.from_bytes(positive.bits, "big")).bit_count() <= 2
