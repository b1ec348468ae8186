"""Attacks x photographs x sizes: whose copy is named."""

import hashlib
import math
import time
from dataclasses import dataclass

import numpy as np

from bench.attacks import leak
from bench.photographs import PHOTOGRAPHS, Size, TooSmall
from bench.tracing.house import RECIPIENTS, Sent, people, send
from entrenous.base.identifiers import RecipientId


@dataclass(frozen=True, slots=True)
class Cell:
    """One leak to be traced."""

    photo: str
    size: Size
    attack: str
    seed: int

    def rng(self) -> np.random.Generator:
        """Randomness of this leak alone: the same whatever else is run."""
        name = f"{self.photo}/{self.size}/{self.attack}/{self.seed}"
        return np.random.default_rng(
            int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        )


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one leak.

    ``score`` is the true copy's, ``innocent`` the best of the others', both in standard deviations
    of an innocent copy's; nan where the leak was not found to lie on the picture. ``others`` are
    all of the others'.
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
        """No copy was named."""
        return not self.right and self.wrong == 0


def sent_at(photo: str, size: Size, seed: int, count: int = RECIPIENTS) -> Sent | None:
    """A photograph sent to everybody; None, said aloud by the caller, where it is not to be had."""
    try:
        original = PHOTOGRAPHS[photo].file_at(size)
    except (FileNotFoundError, ModuleNotFoundError, TooSmall):
        return None
    return send(original, people(count), f"{photo} {size} {seed}")


def traced(cell: Cell, sent: Sent) -> Row:
    """Leak one copy, drawn at random, and trace it."""
    rng = cell.rng()
    who = str(rng.choice(list(sent.copies)))
    found = leak(cell.attack, sent.samples(who), rng)
    return weighed(cell, sent, who, found)


def weighed(cell: Cell, sent: Sent, who: str, found: bytes) -> Row:
    """Trace a file of which the leaker is known."""
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
