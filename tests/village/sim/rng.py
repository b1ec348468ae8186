"""Independent random generators for separate purposes, all derived from one seed."""

from random import Random


def rng_for(purpose: str, seed: int) -> Random:
    """Return the random generator for one purpose, e.g. ``network`` or ``ana``."""
    return Random(f"{purpose} {seed}")


def random_pause_s(mean_s: float, rng: Random) -> float:
    """Return an exponentially distributed pause in seconds, in whole milliseconds."""
    return round(rng.expovariate(1 / mean_s), 3)
