"""The shapes that attacks take."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
Rng = np.random.Generator
Edit = Callable[[Rgb, Rng], Rgb]
"""Changes samples; anything random comes from the generator."""
Save = Callable[[Rgb], bytes]
"""Writes samples as a file."""
Attack = Callable[[Rgb, Rng], bytes]
"""A copy's samples in, the leaked file out. The same generator state gives the same file."""


def attack(*edits: Edit, save: Save) -> Attack:
    """Edits one after the other, then a file."""

    def run(rgb: Rgb, rng: Rng) -> bytes:
        for edit in edits:
            rgb = edit(rgb, rng)
        return save(rgb)

    return run


def through(save: Save, load: Callable[[bytes], Rgb]) -> Edit:
    """A file written and read again, as an edit between others."""
    return lambda rgb, _rng: load(save(rgb))
