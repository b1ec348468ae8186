"""Chance, all of it from one seed; a stream for each purpose, so that one never shifts another."""

from random import Random


def dice_for(purpose: str, seed: int) -> Random:
    """The dice of one purpose, as ``network`` or ``ana``."""
    return Random(f"{purpose} {seed}")


def wait_s(mean_s: float, dice: Random) -> float:
    """A pause between things that happen now and then, whole milliseconds."""
    return round(dice.expovariate(1 / mean_s), 3)
