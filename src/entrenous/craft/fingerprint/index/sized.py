"""The search that suits a bank of this size."""

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.index.plan import plan_of, substrings_for
from entrenous.craft.fingerprint.index.scan import ScanIndex, Words
from entrenous.craft.fingerprint.index.segment import Segment

Searchable = ScanIndex | Segment


def searchable(entries: NDArray[np.int64], words: Words, *, inverted: bool = False) -> Searchable:
    """An index of ``entries`` (N,), all different, and their hashes, (N, 4) words; ``inverted`` as
    :func:`.plan.substrings_for` has it.

    Takes about 0.8 s a million above some hundred thousand, and for a while twice the memory.
    """
    substrings = substrings_for(len(entries), inverted=inverted)
    if not substrings:
        return ScanIndex(entries, np.ascontiguousarray(words.T))
    return Segment.built(plan_of(substrings), entries, words)
