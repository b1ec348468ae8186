"""Measure how often embeddings find edited uploads, and how often they match another photograph.

`bench.stopping.recall --embedding` uses this; it needs the extra `embedding`. Every upload is
compared with every registered photograph. A match with its own photograph counts as found, a match
with any other one as a false pair.
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
class EmbeddingRecall:
    """Counts what is found among photographs with these ``names`` and embeddings (``bank``).

    By (held out, edit), ``found`` says for each upload whether the embedding found it, and whether
    the embedding or the deferred scan did. ``pairs`` counts the pairs of an upload and another
    photograph; ``false`` names those that match.
    """

    names: tuple[str, ...]
    bank: Rows
    embedder: OnnxEmbedder
    found: dict[tuple[bool, str], list[tuple[bool, bool]]] = field(default_factory=dict)
    pairs: int = 0
    false: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, subjects: Sequence[Subject]) -> Self:
        """Compute an embedding of each photograph."""
        embedder = OnnxEmbedder()
        bank = embedding_rows(embedder.embed([resize_to_square(one.rgb) for one in subjects]))
        return cls(tuple(one.name for one in subjects), bank, embedder)

    def add(self, one: Subject, edit: str, upload: Rgb, *, deep: bool) -> None:
        """Count an upload of photograph ``one``; ``deep`` says that the deferred scan found it."""
        hits = self.hits(upload)
        own = hits[self.names.index(one.name)]
        self.found.setdefault((one.held_out, edit), []).append((bool(own), bool(own) or deep))
        others = [name for name, hit in zip(self.names, hits, strict=True) if hit]
        self.false += [f"{edit}: {one.name} as {name}" for name in others if name != one.name]
        self.pairs += len(hits) - 1

    def hits(self, upload: Rgb) -> Bools:
        """Return for each registered photograph whether the upload matches it, shape (N,)."""
        squares = (resize_to_square(upload), *window_squares(upload))
        near = cosines(embedding_rows(self.embedder.embed(squares)), self.bank)
        enough = near >= np.array(cosine_thresholds_of_squares(squares))[:, None]
        return np.asarray(enough.any(axis=0), np.bool_)

    def recall(self, edit: str, *held_out: bool) -> tuple[float, float]:
        """Return the shares found by the embedding, and by the embedding or the deferred scan."""
        found = [one for held in held_out for one in self.found.get((held, edit), [])]
        alike, either = np.array(found, np.float64).reshape(-1, 2).mean(axis=0)
        return round(float(alike), 3), round(float(either), 3)

    def answer(self) -> Mapping[str, object]:
        """Return the figures for the last line of the benchmark."""
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
