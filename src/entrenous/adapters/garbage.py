"""How often Python looks for garbage in a process that serves."""

import gc
from typing import Final

_OBJECTS_BETWEEN: Final = 50_000  # two collections, counted as gc.set_threshold does


def collect_seldom() -> None:
    """Let the garbage collector leave alone what lives as long as the process, and come seldom.

    A request makes few cycles and many objects; looking for the former among the latter takes an
    eighth of the time of a busy relay.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN)
