"""Measure whose copy is named after each attack, on each photograph and at each size."""

import hashlib
import math
import time
from dataclasses import dataclass

import numpy as np

from bench.attacks import leak
from bench.photographs import PHOTOGRAPHS, Size, TooSmall
from bench.tracing.memory_sender import RECIPIENTS, Sent, people, send
from entrenous.base.identifiers import RecipientId


@dataclass(frozen=True, slots=True)
class Cell:
    """One leak to be traced."""

    photo: str
    size: Size
    attack: str
    seed: int

    def rng(self) -> np.random.Generator:
        """Return a random generator that depends only on this leak, not on other measurements."""
        name = f"{self.photo}/{self.size}/{self.attack}/{self.seed}"
        return np.random.default_rng(
            int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        )


@dataclass(frozen=True, slots=True)
class Row:
    """The result for one leak.

    ``right`` is true if the leaked copy was named and no other copy was. ``wrong`` is the number of
    other copies that were named. ``score`` is the score of the leaked copy. ``others`` are the
    scores of all other copies, and ``innocent`` is the highest of these. Scores are in standard
    deviations of an innocent copy's score. If the leak could not be aligned with the picture,
    ``score`` and ``innocent`` are nan. ``seconds`` is the wall-clock time of the trace.
    """

    photo: str
    size: str
    attack: str
    right: bool
    wrong: int
    score: float
    innocent: float
    chance: float
    registered: bool
    seconds: float
    others: tuple[float, ...] = ()

    @property
    def nobody(self) -> bool:
        """Return whether no copy was named."""
        return not self.right and self.wrong == 0


def send_at_size(photo: str, size: Size, seed: int, count: int = RECIPIENTS) -> Sent | None:
    """Send a photograph to ``count`` people; return None if it is not available at this size."""
    try:
        original = PHOTOGRAPHS[photo].file_at(size)
    except (FileNotFoundError, ModuleNotFoundError, TooSmall):
        return None
    return send(original, people(count), f"{photo} {size} {seed}")


def leak_and_trace(cell: Cell, sent: Sent) -> Row:
    """Leak one copy, chosen at random, and trace it."""
    rng = cell.rng()
    who = str(rng.choice(list(sent.copies)))
    found = leak(cell.attack, sent.samples(who), rng)
    return trace_and_score(cell, sent, who, found)


def trace_and_score(cell: Cell, sent: Sent, who: str, found: bytes) -> Row:
    """Trace a leaked file, and compare the verdict with the known leaker, ``who``."""
    start = time.perf_counter()
    trace = sent.traced(found)
    seconds = time.perf_counter() - start
    score = {str(name): value for name, value in trace.verdict.score.items()}
    named = {str(name) for name in trace.verdict.named}
    others = [value for name, value in score.items() if name != who]
    return Row(
        photo=cell.photo,
        size=cell.size.value,
        attack=cell.attack,
        right=named == {who},
        wrong=len(named - {who}),
        score=score.get(who, math.nan),
        innocent=max(others, default=math.nan),
        chance=trace.verdict.chance.get(RecipientId(who), 1.0),
        registered=trace.warp is not None,
        seconds=seconds,
        others=tuple(round(value, 3) for value in others),
    )
