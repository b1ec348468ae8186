"""The types of attacks, and of the edits and file writers they consist of."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
Rng = np.random.Generator
Edit = Callable[[Rgb, Rng], Rgb]
"""A function from samples to edited samples; all randomness comes from the generator."""
Save = Callable[[Rgb], bytes]
"""A function that encodes samples as a file."""
Attack = Callable[[Rgb, Rng], bytes]
"""A function from a copy's samples to the leaked file.

The same generator state gives the same file.
"""


def attack(*edits: Edit, save: Save) -> Attack:
    """Return an attack that applies the edits one after the other, then writes a file."""

    def run(rgb: Rgb, rng: Rng) -> bytes:
        for edit in edits:
            rgb = edit(rgb, rng)
        return save(rgb)

    return run


def save_and_load(save: Save, load: Callable[[bytes], Rgb]) -> Edit:
    """Return an edit that writes a file and reads it again, to be used between other edits."""
    return lambda rgb, _rng: load(save(rgb))
