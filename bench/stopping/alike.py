"""Which edited uploads look alike to a network, and how often a stranger's does.

For `bench.stopping.recall --embedding`, where the extra is installed. Every upload is compared with
every registered photograph: its own counts for recall, the others are false pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bench.attacks.kinds import Rgb
from bench.stopping.recall_pictures import Subject
from entrenous.fingerprint.embedding import (
    OnnxEmbedder,
    Rows,
    cosines,
    embedding_rows,
    resize_to_square,
    window_squares,
)
from entrenous.stop.judge.deferred_scan import cosine_thresholds_of_squares

Bools = NDArray[np.bool_]


@dataclass(slots=True)
class Alike:
    """What was found by edit, and whether held out: by the network, by it or by the slow look."""

    names: tuple[str, ...]
    bank: Rows
    embedder: OnnxEmbedder
    found: dict[tuple[bool, str], list[tuple[bool, bool]]] = field(default_factory=dict)
    pairs: int = 0
    false: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, subjects: Sequence[Subject]) -> Self:
        """With an embedding of each."""
        embedder = OnnxEmbedder()
        bank = embedding_rows(embedder.embed([resize_to_square(one.rgb) for one in subjects]))
        return cls(tuple(one.name for one in subjects), bank, embedder)

    def add(self, one: Subject, edit: str, upload: Rgb, *, deep: bool) -> None:
        """Count an upload of a registered photograph; ``deep`` if the slow look found it."""
        hits = self.hits(upload)
        own = hits[self.names.index(one.name)]
        self.found.setdefault((one.held_out, edit), []).append((bool(own), bool(own) or deep))
        others = [name for name, hit in zip(self.names, hits, strict=True) if hit]
        self.false += [f"{edit}: {one.name} as {name}" for name in others if name != one.name]
        self.pairs += len(hits) - 1

    def hits(self, upload: Rgb) -> Bools:
        """Which of the registered photographs it is like."""
        squares = (resize_to_square(upload), *window_squares(upload))
        near = cosines(embedding_rows(self.embedder.embed(squares)), self.bank)
        enough = near >= np.array(cosine_thresholds_of_squares(squares))[:, None]
        return np.asarray(enough.any(axis=0), np.bool_)

    def recall(self, edit: str, *held_out: bool) -> tuple[float, float]:
        """The shares that were found: by the network, by it or by the slow look."""
        found = [one for held in held_out for one in self.found.get((held, edit), [])]
        alike, either = np.array(found, np.float64).reshape(-1, 2).mean(axis=0)
        return round(float(alike), 3), round(float(either), 3)

    def answer(self) -> Mapping[str, object]:
        """For the last line of the bench."""
        edits = list(dict.fromkeys(edit for _, edit in self.found))
        every = {edit: self.recall(edit, False, True) for edit in edits}
        held = {edit: self.recall(edit, True) for edit in edits}
        return {
            "recall": {edit: alike for edit, (alike, _) in every.items()},
            "recall_with_deep": {edit: either for edit, (_, either) in every.items()},
            "held_out": {edit: alike for edit, (alike, _) in held.items()},
            "held_out_with_deep": {edit: either for edit, (_, either) in held.items()},
            "false": len(self.false),
            "pairs": self.pairs,
            "falsely": self.false,
        }
