"""How many pairs of points agree that a found picture lies on a sent one in one way?

Each pair alone says how: its two places, sizes and angles fix a similarity. The similarity with
which the most others agree counts them; far from its own place it is trusted less, for sizes and
angles are measured roughly and the found picture may be bent or seen aslant.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.fingerprint.landmarks.packed import OCTAVE, TURN, Entries

_PAIRS_MAX: Final = 100
_NEAR: Final = 5.0  # 1/255 of the sent picture's longest side
_NEAR_PER_DISTANCE: Final = 0.2
_TURN_MAX: Final = TURN / 16
_OCTAVES_MAX: Final = 0.75
_CELL: Final = 6  # 1/255 of a longest side: closer points are one place
_LEADING: Final = 5
Places = NDArray[np.complex64]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pair i: entry ``found[i]`` of the found picture and ``sent[i]`` of the sent ones."""

    found_entries: Entries
    sent_entries: Entries
    found: NDArray[np.int64]
    sent: NDArray[np.int64]

    def some(self, which: NDArray[np.int64]) -> "Pairs":
        """These pairs only."""
        return Pairs(self.found_entries, self.sent_entries, self.found[which], self.sent[which])

    @property
    def turns(self) -> NDArray[np.uint8]:
        """From found to sent, in 1/256 of a turn."""
        return np.asarray(
            self.sent_entries["angle"][self.sent] - self.found_entries["angle"][self.found]
        )

    @property
    def octaves(self) -> NDArray[np.float32]:
        """From found to sent: sizes as shares of the longest sides."""
        found, sent = self.found_entries["size"][self.found], self.sent_entries["size"][self.sent]
        return (found.astype(np.float32) - sent.astype(np.float32)) / np.float32(OCTAVE)


def agreeing(pairs: Pairs, weight: NDArray[np.float32]) -> tuple[frozenset[int], float]:
    """Where in the found picture the pairs lie that agree, and their weight.

    Each place counts once, in either picture: one blade of grass is like all others there.
    """
    if len(weight) > _PAIRS_MAX:
        strongest = np.argpartition(-weight, _PAIRS_MAX)[:_PAIRS_MAX]
        pairs, weight = pairs.some(strongest), weight[strongest]
    at_found = _places(pairs.found_entries[pairs.found])
    at_sent = _places(pairs.sent_entries[pairs.sent])
    alike = _alike(pairs, at_found, at_sent)
    leading = np.argsort(-(alike @ weight))[:_LEADING]
    told = [_distinct(at_found, at_sent, weight, alike[one]) for one in leading]
    return max(told, key=lambda one: one[1], default=(frozenset(), 0.0))


def _alike(pairs: Pairs, at_found: Places, at_sent: Places) -> NDArray[np.bool_]:
    """Row i: which pairs lie as pair i does."""
    turns, octaves = pairs.turns, pairs.octaves
    how = np.exp2(octaves) * np.exp(2j * np.pi / TURN * turns).astype(np.complex64)
    apart = at_sent[None, :] - at_sent[:, None]
    off = np.abs(apart - how[:, None] * (at_found[None, :] - at_found[:, None]))
    turned = np.abs((turns[None, :] - turns[:, None]).astype(np.int8).astype(np.int16))
    return np.asarray(
        (off <= _NEAR + _NEAR_PER_DISTANCE * np.abs(apart))
        & (turned <= _TURN_MAX)
        & (np.abs(octaves[None, :] - octaves[:, None]) <= _OCTAVES_MAX)
    )


def _distinct(
    at_found: Places, at_sent: Places, weight: NDArray[np.float32], which: NDArray[np.bool_]
) -> tuple[frozenset[int], float]:
    firm = np.flatnonzero(which)
    firm = firm[np.argsort(-weight[firm])]
    for places in (at_sent, at_found):
        firm = firm[np.sort(np.unique(_cells(places[firm]), return_index=True)[1])]
    return frozenset(_cells(at_found[firm]).tolist()), float(weight[firm].sum())


def _cells(places: Places) -> NDArray[np.int64]:
    down, across = places.imag // _CELL, places.real // _CELL
    return np.asarray(down * TURN + across, np.int64)


def _places(entries: Entries) -> Places:
    return np.asarray(entries["x"] + 1j * entries["y"].astype(np.float32), np.complex64)
