"""Many names in one line."""

from collections.abc import Sequence
from typing import Final

AT_MOST: Final = 5


def several(names: Sequence[str], unnamed: int = 0) -> str:
    """The first five of these names, and how many more there are; ``unnamed`` are more of them."""
    more = max(0, len(names) - AT_MOST) + unnamed
    return ", ".join(names[:AT_MOST]) + (f" and {more} more" if more else "")
